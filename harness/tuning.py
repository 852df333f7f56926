"""Which way to run a kind of cohort is fastest on a GPU: tried, timed and remembered.

How many runs fill a device, and whether compiling pays, depends on the network, the
batch and the device. So the ways are timed on real batches for some seconds, once a
device and kind of cohort.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import torch

from harness import __version__
from harness.cohort import is_recordable, is_stacked
from harness.device import Setting, release
from harness.environment import device_name
from harness.feed import DeviceData
from harness.planning import usual_packing
from harness.rig import Rig
from harness.spec import RunConfig, canonical_json
from harness.storage import write_text
from harness.timing import seconds_per_call, wait

PACKS: Final = {False: (1, 2, 4, 8), True: (24, 72, 216, 432)}
"""Numbers of runs that are tried on a GPU, of ordinary and of stacked models."""
GAIN: Final = 1.05
"""A larger pack must be faster by this factor: it delays the first results."""
TIMED_S: Final = 1.0
"""Seconds for which a way is timed."""

FOLDER: Final = "tuning"
"""Where choices are kept, below the cache of data sets."""


class Choice(NamedTuple):
    """How a kind of cohort is run."""

    execution: str
    """See `harness.execution`."""
    packing: int
    """Runs that train together."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One way, timed."""

    choice: Choice
    images_per_s: float
    """Training images a second of all runs together, 0 if memory did not suffice."""
    set_up_s: float
    """Seconds before the first cheap update: kernels chosen, compiled, recorded."""


Say = Callable[[str], None]


def untuned(config: RunConfig, device: torch.device) -> Choice:
    """Return how a run is trained where nothing was tried: always so on a CPU."""
    name = "eager" if device.type == "cpu" else "graph"
    return Choice(name, usual_packing(config))


def choose(trials: list[Trial]) -> Choice:
    """Return the fastest way; of packs the smallest that is nearly as fast.

    Example:
        >>> one, two = (Choice("graph", runs) for runs in (1, 2))
        >>> choose([Trial(one, 100.0, 0.0), Trial(two, 103.0, 0.0)]).packing
        1
    """
    best = trials[0]
    for trial in trials[1:]:
        larger = trial.choice.packing > best.choice.packing
        if trial.images_per_s > best.images_per_s * (GAIN if larger else 1.0):
            best = trial
    return best.choice


def timed(cohort: list[RunConfig], data: DeviceData, choice: Choice) -> Trial:
    """Return how fast a cohort trains, over real updates from the start of an epoch.

    It then scores and measures once, as that takes memory too.

    Raises:
        torch.OutOfMemoryError: It does not fit.
    """
    rig = Rig(cohort, data, choice.execution)
    device = data.train.labels.device
    per_update, set_up = seconds_per_call(
        rig.rehearse, device, seconds=TIMED_S, settled=lambda: rig.update.settled
    )
    rig.scorer.score(data.validation)
    for measure, _ in rig.state.probes.rehearsals():
        measure(0)
    wait(device)
    images = len(cohort) * cohort[0].batch_size
    return Trial(choice, images / per_update, set_up)


class Tuner:
    """Chooses ways for one kind of device, and remembers them in a folder.

    Args:
        setting: How workers train; what it leaves open is tried.
        cache_dir: Folder of what was found before.
        say: Told what is tried and found.
        attempt: Times one way.
        device_name: What the device is; by default as torch says.
    """

    def __init__(
        self,
        setting: Setting,
        cache_dir: Path,
        say: Say = lambda _: None,
        *,
        attempt: Callable[[list[RunConfig], DeviceData, Choice], Trial] = timed,
        device_name: str | None = None,
    ) -> None:
        self._device, self._folder = torch.device(setting.device), cache_dir / FOLDER
        self._setting, self._say, self._attempt = setting, say, attempt
        self._name = device_name

    def choice(
        self, config: RunConfig, load: Callable[[RunConfig], DeviceData]
    ) -> Choice:
        """Return how runs like `config` are trained, trying ways if none is known.

        Args:
            config: A resolved run.
            load: Returns its data set on the device; called only to try.
        """
        setting = self._setting
        asked = setting.execution != "auto" and setting.packing is not None
        path = None if self._device.type == "cpu" or asked else self._path(config)
        if path is None or path.exists():
            return self.known(config)
        trials = list(self._trials(config, load(config)))
        chosen = choose(trials)
        found = {
            "choice": chosen,
            "trials": [dataclasses.asdict(trial) for trial in trials],
            "kind": self._kind(config),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(found, indent=1))
        return chosen

    def known(self, config: RunConfig) -> Choice:
        """Return how runs like `config` are trained, by what was tried before."""
        if self._device.type == "cuda":
            path = self._path(config)
            if path.exists():
                return Choice(*json.loads(path.read_text(encoding="utf-8"))["choice"])
        setting, plain = self._setting, untuned(config, self._device)
        return Choice(
            plain.execution if setting.execution == "auto" else setting.execution,
            setting.packing or plain.packing,
        )

    def _trials(self, config: RunConfig, data: DeviceData) -> Iterator[Trial]:
        """Try executions with the smallest pack, then packs with the best of them."""
        fit = is_recordable(config.model, data.in_shape, data.num_classes)
        ways = ["graph" if fit else "eager", "compiled"]
        if self._setting.deterministic:
            ways.remove("compiled")
        if self._setting.execution != "auto":
            ways = [self._setting.execution]
        sizes: Sequence[int] = PACKS[is_stacked(config.model)]
        if self._setting.packing is not None:
            sizes = (self._setting.packing,)
        first = [self._try(config, data, Choice(way, sizes[0])) for way in ways]
        yield from first
        best = max(first, key=lambda trial: trial.images_per_s)
        for size in sizes[1:]:
            trial = self._try(config, data, Choice(best.choice.execution, size))
            yield trial
            if trial.images_per_s < GAIN * best.images_per_s:
                return
            best = trial

    def _try(self, config: RunConfig, data: DeviceData, choice: Choice) -> Trial:
        cohort = [
            dataclasses.replace(config, seed=seed) for seed in range(choice.packing)
        ]
        try:
            trial = self._attempt(cohort, data, choice)
        except torch.OutOfMemoryError:
            trial = Trial(choice, 0.0, 0.0)
        release(self._device)
        self._say(
            f"tried {choice.execution} with {choice.packing} run(s) of "
            f"{config.model.name} at batch {config.batch_size}: "
            f"{trial.images_per_s:,.0f} images/s, {trial.set_up_s:.1f} s to set up"
        )
        return trial

    def _path(self, config: RunConfig) -> Path:
        text = canonical_json(self._kind(config))
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"

    def _kind(self, config: RunConfig) -> dict[str, object]:
        """Return what the choice depends on."""
        return {
            "device": self._name or device_name(self._device),
            "torch": torch.__version__,
            "runcast": __version__,
            "dataset": config.dataset.to_json(),
            "model": config.model.to_json(),
            "batch_size": config.batch_size,
            "precision": config.precision,
            "optimizer": config.optimizer.name,
            "probes": [part.to_json() for part in config.probes],
            "execution": self._setting.execution,
            "packing": self._setting.packing,
            "deterministic": self._setting.deterministic,
        }
