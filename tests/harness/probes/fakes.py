"""Probes whose readings are known, to test what surrounds probes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.cadence import cadence_steps
from harness.measure import ILL_CONDITIONED, OK
from harness.passes import GRADIENT
from harness.probes.base import Probe, Scene
from harness.reading import Reading, reading
from harness.schema import Signal


def signal(name: str) -> Signal:
    """Return an entry of the dictionary of signals."""
    return Signal(name=name, meaning=f"test of {name}", unit="1", range="R", probe="")


class Norms(Probe):
    """Euclidean norm of the parameters, and of the sum of the updates seen so far."""

    signals = (signal("norm"), signal("travelled"))

    def __init__(self, scene: Scene, *, cadence: str = "epochs:1") -> None:
        self.steps = cadence_steps(cadence, scene.timeline)
        self.planned = GRADIENT.times(len(self.steps))
        self._net = scene.net
        self._sum = torch.zeros_like(scene.net.params)

    def measure(self, step: int) -> Mapping[str, Reading]:
        self.spent = self.spent.plus(GRADIENT)
        norm = self._net.params.norm(dim=1).double().numpy()
        found = {"norm": reading(norm, se=norm / 100)}
        if step:
            found["travelled"] = reading(self._sum.norm(dim=1).double().numpy())
        return found

    def watches(self, step: int) -> bool:
        return step % 2 == 0

    def observe(self, step: int, update: Tensor) -> None:
        self._sum += update

    def state(self) -> dict[str, Tensor]:
        return {"sum": self._sum}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._sum.copy_(state["sum"])


class Unsure(Probe):
    """A one that is missing in the first run of the cohort after the first epoch."""

    signals = (signal("one"),)

    def __init__(self, scene: Scene) -> None:
        self.steps = cadence_steps("epochs:1", scene.timeline)
        self._num_runs = len(scene.cohort)

    def measure(self, step: int) -> Mapping[str, Reading]:
        late = ILL_CONDITIONED if step else OK
        status = [late] + [OK] * (self._num_runs - 1)
        return {"one": reading([1.0] * self._num_runs, status)}


class Chatty(Probe):
    """Measures what its list of signals lacks."""

    steps = (0,)

    def __init__(self, scene: Scene) -> None:
        del scene

    def measure(self, step: int) -> Mapping[str, Reading]:
        return {"surprise": reading([1.0])}
