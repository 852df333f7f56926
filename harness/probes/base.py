"""What a probe is: it reads the training state at its times and changes nothing."""

import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from harness.cadence import Timeline
from harness.cohort import CohortNet
from harness.curvature.vectors import Draw, gaussian, rademacher
from harness.feed import DeviceData
from harness.landscape import Landscape
from harness.passes import FREE, Passes
from harness.reading import Reading
from harness.schema import Signal
from harness.seeds import derive, stream
from harness.spec import RunConfig


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

    @property
    def device(self) -> torch.device:
        """Where parameters and data lie."""
        return self.net.params.device

    @property
    def dim(self) -> int:
        """Number of parameters of one run, P."""
        return self.net.params.shape[1]

    @property
    def layers(self) -> list[tuple[str, int]]:
        """Name and size of each parameter tensor of one run, in the order of `dim`."""
        module, rows = self.net.modules()[0]
        share = rows.stop - rows.start
        return [(k, p.numel() // share) for k, p in module.named_parameters()]

    def start(self, probe: str, step: int) -> Tensor:
        """Return a Gaussian vector a run, `[S, P]`, always the same at one step."""
        return gaussian(
            self._seeds(probe, step), self.dim, 0, purpose="start", device=self.device
        )

    def signs(self, probe: str, step: int) -> Draw:
        """Return random signs by index, independent of `start`."""
        seeds = self._seeds(probe, step)
        return lambda index: rademacher(
            seeds, self.dim, index, purpose="signs", device=self.device
        )

    def _seeds(self, probe: str, step: int) -> list[int]:
        return [derive(run.seed, f"probe/{probe}", step) for run in self.cohort]


class Meaning(NamedTuple):
    """What a probe says of one of its signals."""

    name: str
    meaning: str
    unit: str
    range: str
    citation: str = ""


def dictionary(
    probe: str, meanings: Iterable[Meaning], passes: Passes = FREE
) -> tuple[Signal, ...]:
    """Return dictionary entries of signals that together cost `passes` an image."""
    return tuple(
        Signal(
            **meaning._asdict(),
            probe=probe,
            forward_passes=passes.forward,
            backward_passes=passes.backward,
        )
        for meaning in meanings
    )


class Lens:
    """Fixed images through which a probe sees the loss around the present state.

    It keeps the landscapes that it shows, with what was recorded of them.
    """

    def __init__(self, scene: Scene, probe: str, images: int, precision: str) -> None:
        self._net, self._precision = scene.net, precision
        self._inputs, self._labels = scene.images(images, probe)
        self._landscapes: dict[tuple[int | None, int | None], Landscape] = {}

    @contextmanager
    def look(self, probe: "Probe", part: slice = slice(None)) -> Iterator[Landscape]:
        """Yield the landscape of the images in `part`; charge its passes to `probe`."""
        key = part.start, part.stop
        if key in self._landscapes:
            self._landscapes[key].refresh()
        else:
            self._landscapes[key] = Landscape(
                self._net,
                self._inputs[part],
                self._labels[part],
                precision=self._precision,
            )
        with self._landscapes[key] as landscape:
            yield landscape
            probe.spent = probe.spent.plus(landscape.passes)


class Probe(abc.ABC):
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
    planned: Passes = FREE
    spent: Passes = FREE

    @abc.abstractmethod
    def measure(self, step: int) -> Mapping[str, Reading]:
        """Return readings by signal of the state after `step` updates.

        A signal that is not due at this step is left out.
        """

    def watches(self, step: int) -> bool:
        """Tell whether `observe` wants update number `step` (the first is 1)."""
        del step
        return False

    def observe(self, step: int, update: Tensor) -> None:
        """Look at update number `step`, `[S, P]`: parameters after minus before."""
        del step, update

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, tensors with runs as rows."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        del state
