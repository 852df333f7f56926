"""What every table needs: the device, its data, its clock and the time that is left."""

import dataclasses
import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import nn

from harness.datasets import DataSet, Split, find_source
from harness.feed import DeviceData
from harness.profiles import Profile
from harness.registry import DATASETS, MODELS, PROFILES
from harness.rig import Rig
from harness.seeds import stream
from harness.spec import NONE, Part, Recording, RunConfig

Action = Callable[[], object]
Row = dict[str, Any]

EPOCHS: Final = 1000
"""Epochs of runs that are never finished: no timing reaches their end."""
COMPILED_AGAIN_S: Final = 200.0
"""Seconds of the budget below which nothing that was compiled is compiled again."""
SETTLING: Final = 6
"""Calls before a graph has been recorded and replayed, see `harness.execution`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    width: float
    """Multiplies the channels of the network."""
    batches: tuple[int, ...]
    """Batch sizes, the profile's own first."""
    images: tuple[int, int, int]
    """Training, validation and test images."""
    seconds_each: float
    """Seconds for which each thing is timed, in all rounds together."""
    rounds: int
    """Rounds, in each of which everything is timed once."""
    budget_s: float
    """Seconds for everything."""
    curvature_images: int = 256
    """Images of a Hessian-vector product."""
    packing: tuple[int, ...] = (1, 2, 4, 8)
    """Runs side by side on the device."""
    packed_batches: tuple[int, ...] = (64, 128)
    """Their batch sizes."""
    stacked: tuple[int, ...] = (24, 48, 96, 216, 432)
    """Runs in one stacked network."""
    shrunk_probes: bool = False
    """Whether probes look at few images: to see that they run, not what they cost."""


SIZES: Final = {
    "full": Size(
        width=1.0,
        batches=(128, 512, 1024),
        images=(45_000, 5_000, 10_000),
        seconds_each=1.0,
        rounds=5,
        budget_s=480,
    ),
    "small": Size(
        width=0.125,
        batches=(32, 64),
        images=(512, 128, 500),
        seconds_each=1.5,
        rounds=5,
        budget_s=900,
        curvature_images=64,
        packing=(1, 2),
        packed_batches=(32,),
    ),
    "tiny": Size(
        width=0.03,
        batches=(8,),
        images=(32, 16, 24),
        seconds_each=0.05,
        rounds=2,
        budget_s=120,
        curvature_images=8,
        packing=(1, 2),
        packed_batches=(8,),
        stacked=(2, 3),
        shrunk_probes=True,
    ),
}


class Spread(NamedTuple):
    """A number measured several times."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the median with the smallest and the largest."""
        return cls(statistics.median(values), min(values), max(values))


def ratios(upper: Sequence[float], lower: Sequence[float]) -> Spread:
    """Return the ratio of two things timed in the same rounds."""
    return Spread.of([a / b for a, b in zip(upper, lower, strict=True)])


class Bench:
    """The device under test.

    Args:
        device: Where everything runs.
        size: How much is measured.
        model: Name of an ordinary model with an option `width`.
        dataset: Images and labels.

    Attributes:
        precision: In which training is measured: bfloat16 on a GPU.
        known: Numbers that one table finds and another needs.
    """

    def __init__(
        self, device: torch.device, size: Size, model: str, dataset: DataSet
    ) -> None:
        self.device, self.size, self.dataset = device, size, dataset
        self.cuda = device.type == "cuda"
        self.precision = "bfloat16" if self.cuda else "float32"
        self.execution = "graph" if self.cuda else "eager"
        self.model = Part(model, {"width": size.width}).resolve(MODELS)
        self.data = DeviceData(dataset, device)
        self.known: dict[tuple[Any, ...], float] = {}
        self._deadline = time.monotonic() + size.budget_s

    @property
    def left_s(self) -> float:
        """Seconds of the budget that are left."""
        return self._deadline - time.monotonic()

    def best(self, batch: int) -> str:
        """Return the fastest execution that was measured and may be used again."""
        compiled = self.known.get(("step", batch, "compiled"), math.inf)
        other = self.known.get(("step", batch, self.execution), math.inf)
        again = self.left_s > COMPILED_AGAIN_S
        return "compiled" if again and compiled < 0.97 * other else self.execution

    @property
    def profile(self) -> Profile:
        """The plan's setting, with this network and precision."""
        base: Profile = PROFILES.get("cifar10")()
        base = base if self.cuda else base.in_float32()
        recording = Recording(ood=(), train_subset=min(5000, self.size.images[0]))
        return dataclasses.replace(base, model=self.model, recording=recording)

    def run(
        self, batch_size: int, *, seed: int = 0, augment: bool = True, **changes: Any
    ) -> RunConfig:
        """Return a run of the profile without probes, resolved."""
        run = self.profile.run(batch_size=batch_size, seed=seed)
        standard: Mapping[str, Any] = {"epochs": EPOCHS, "probes": ()}
        more = {} if augment else {"augmentation": NONE}
        return dataclasses.replace(run, **{**standard, **more, **changes}).resolve()

    def wait(self) -> None:
        """Wait until the device has done everything."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, action: Action, count: int = 1, *, wall: bool = False) -> float:
        """Return the seconds of a call: of the clock, on a CPU of the processor.

        Args:
            action: What is timed, `count` times; the device is waited for at the end.
            count: Calls.
            wall: Read the clock on a CPU too: other processes take part.
        """
        now = time.perf_counter if self.cuda or wall else time.process_time
        self.wait()
        start = now()
        for _ in range(count):
            action()
        self.wait()
        return (now() - start) / count

    def interleaved(
        self, actions: Mapping[str, Action], *, rounds: int | None = None
    ) -> dict[str, list[float]]:
        """Return the seconds of a call of each action in every round.

        All are warmed up, then every round times them one after the other, each as
        often as fits.
        """
        rounds = rounds or self.size.rounds
        counts = {}
        for name, action in actions.items():
            for _ in range(SETTLING if self.cuda else 1):
                action()
            share = self.size.seconds_each / rounds
            counts[name] = max(1, round(share / max(1e-7, self.seconds(action))))
        times: dict[str, list[float]] = {name: [] for name in actions}
        for _ in range(rounds):
            for name, action in actions.items():
                times[name].append(self.seconds(action, counts[name]))
        return times

    def clear(self) -> None:
        """Give back the memory of what is no longer used."""
        gc.collect()
        torch.compiler.reset()
        if self.cuda:
            torch.cuda.empty_cache()


class Ours:
    """Training as `harness.train` does it, an update a call, recording included."""

    def __init__(
        self, bench: Bench, cohort: Sequence[RunConfig], execution: str | None = None
    ) -> None:
        self.rig = Rig(cohort, bench.data, execution or bench.execution)
        self._step = 0

    def __call__(self) -> None:
        """Make an update and record it."""
        self.unrecorded()
        self.rig.update.record()

    def unrecorded(self) -> None:
        """Make an update."""
        self.rig.update(self._step)
        self._step += 1

    def epoch(self) -> None:
        """Make the updates of a whole epoch, from its start."""
        per_epoch = self.rig.steps_per_epoch
        self._step = -(-self._step // per_epoch) * per_epoch
        for _ in range(per_epoch):
            self()


def twin(bench: Bench, rig: Rig) -> nn.Module:
    """Return an ordinary network with the weights of a rig's first run."""
    factory = MODELS.get(bench.model.name)
    net: nn.Module = factory(
        bench.data.in_shape, bench.data.num_classes, **bench.model.params
    ).to(bench.device)
    views = rig.state.net.layout.views(rig.state.net.params[:1])
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), views, strict=True):
            parameter.copy_(value)
    return net


def synthetic(images: tuple[int, int, int]) -> DataSet:
    """Return random images of CIFAR-10's geometry, without any zero."""
    numbers = stream(0, "bench-device")
    splits = []
    for count in images:
        pixels = numbers.integers(1, 256, (count, 3, 32, 32), dtype=np.uint8)
        splits.append(Split(pixels, numbers.integers(0, 10, count)))
    train, validation, test = splits
    return DataSet("synthetic", train, validation, test, 10)


def mirrored(data_dir: Any, images: tuple[int, int, int]) -> DataSet:
    """Return `cifar10-jpeg` from a local mirror, as many images of each split."""
    whole = DATASETS.get("cifar10-jpeg")(find_source(data_dir))
    parts = (whole.train, whole.validation, whole.test)
    train, validation, test = (
        part.take(np.arange(min(count, len(part))))
        for part, count in zip(parts, images, strict=True)
    )
    return DataSet(whole.name, train, validation, test, whole.num_classes)
