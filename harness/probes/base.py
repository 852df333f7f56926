"""What a probe is: it reads the training state at its times and changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from harness.cadence import Timeline
from harness.cohort import CohortNet
from harness.feed import DeviceData
from harness.reading import Reading
from harness.schema import Signal
from harness.seeds import derive, stream
from harness.spec import RunConfig


class Passes(NamedTuple):
    """Work in images of one run: what a forward or backward pass takes for one image.

    A backward pass through parameters costs about two forward passes, and a product
    with the Hessian through a kept graph two of each.
    """

    forward: float = 0.0
    backward: float = 0.0

    def plus(self, other: "Passes") -> "Passes":
        """Return the sum."""
        return Passes(self.forward + other.forward, self.backward + other.backward)

    def times(self, count: float) -> "Passes":
        """Return `count` times the work."""
        return Passes(self.forward * count, self.backward * count)

    @property
    def gradients(self) -> float:
        """Return the work as a number of image gradients, one forward, one backward.

        Formula: (forward + 2 backward) / 3.
        """
        return (self.forward + 2 * self.backward) / 3


GRADIENT = Passes(1.0, 1.0)
"""The gradient of one image's loss."""
HESSIAN_PRODUCT = Passes(2.0, 2.0)
"""A product with one image's Hessian through a kept graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a probe may look at, for the whole run."""

    cohort: Sequence[RunConfig]
    """Runs that train together."""
    net: CohortNet
    """Their networks, always in the present state; read only."""
    data: DeviceData
    """Their data set on the device."""
    timeline: Timeline
    """Length of the runs."""

    def images(self, count: int, probe: str) -> tuple[Tensor, Tensor]:
        """Return `count` training images, normalised, not augmented, and labels.

        They are the same for every run, probe and time.

        Raises:
            ValueError: The training set has fewer.
        """
        if count > len(self.data.train):
            raise ValueError(
                f"probe {probe!r} asks for {count} images, but the training set of "
                f"{self.data.name!r} has {len(self.data.train)}: give it fewer images"
            )
        order = stream(0, "probe-images").permutation(len(self.data.train))[:count]
        chosen = torch.from_numpy(order).to(self.data.train.labels.device)
        split = self.data.train
        return self.data.normalise(split.inputs[chosen]), split.labels[chosen]

    def seeds(self, probe: str, step: int) -> list[int]:
        """Return a seed a run for the random vectors of `probe` at `step`."""
        return [derive(run.seed, f"probe/{probe}", step) for run in self.cohort]


class Probe:
    """Base of all probes: says what it measures, when, and at what cost.

    A probe is made with the `Scene` and its keyword-only arguments. It never writes to
    the networks, never draws from a global random state, and gives a run the same
    numbers whatever runs stand beside it.

    Attributes:
        signals: What it measures; standard errors are added as "<name>_se".
        steps: Times at which `measure` is called, ascending.
        planned: Work for one run over all these times.
        spent: Work for one run so far.
    """

    signals: Sequence[Signal] = ()
    steps: Sequence[int] = ()
    planned: Passes = Passes()
    spent: Passes = Passes()

    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return readings by signal of the state after `step` updates.

        A signal that is not due at this step is left out.
        """
        raise NotImplementedError

    def watches(self, step: int) -> bool:
        """Tell whether `observe` wants update number `step` (the first is 1)."""
        del step
        return False

    def observe(self, step: int, update: Tensor) -> None:
        """Look at update number `step`, `[S, P]`: parameters after minus before."""

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, tensors with runs as rows."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
