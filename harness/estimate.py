"""How long a plan takes and how much disk it needs, from a few timed passes."""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from harness.curves import evaluation_steps
from harness.datasets import DataSet, Split
from harness.feed import DeviceData
from harness.plan import Plan, PlannedRun
from harness.rig import Rig
from harness.seeds import stream
from harness.spec import RunConfig
from harness.timing import seconds_per_call, wait
from harness.train import cohort_key
from harness.tuning import Tuner, untuned
from harness.workbench import Workbench

TIMED_S: Final = 0.75
"""Seconds for which the updates of a kind of cohort are timed, and its scores."""
SCORED: Final = 1000
"""Images that are scored to time scoring."""

BYTES_A_RUN: Final = 14_000.0
"""Disk a run before its values, in shard and tables together; measured on digits."""
BYTES_A_VALUE: Final = 9.5
"""Disk a recorded value."""
BYTES_A_CELL: Final = 15.0
"""Disk a row of the table `ood`."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan costs."""

    seconds: float
    """Time of one worker; divide by the number of workers."""
    bytes: float
    """Disk for shards and tables."""
    probe_share: float
    """Work of the probes as a share of training's, in passes."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Cohorts that take equally long, timed."""

    set_up_s: float
    """Until the first update that is like all later ones; of the whole cohort."""
    update_s: float
    """An update of the whole cohort, with its record."""
    image_s: float
    """Scoring one image with every run."""
    probes_s: float
    """All measurements of the probes, of the whole cohort."""
    passes: float
    """Gradients of an image that a run's probes take in all."""
    values: int
    """Values that a run's probes record."""


def estimate(
    cohorts: Sequence[Sequence[PlannedRun]],
    bench: Workbench,
    tuner: Tuner | None = None,
) -> Estimate:
    """Time each kind of cohort for some seconds and add up the plan.

    Args:
        cohorts: What is left to train.
        bench: Data on the device to be used.
        tuner: Tells how the workers will run them; by default as if nothing was tried.
    """
    seconds, size, updates, probed = 0.0, 0.0, 0.0, 0.0
    kinds: dict[object, _Kind] = {}
    cells: dict[object, tuple[int, int]] = {}
    for planned in cohorts:
        cohort = [run.config for run in planned]
        config, data = cohort[0], bench.data(cohort[0])
        key = (*cohort_key(config)[:-1], config.optimizer.name, len(cohort))
        if key not in kinds:
            way = tuner.known(config) if tuner else untuned(config, bench.device)
            kinds[key] = _time(cohort, data, way.execution)
        shifted = (config.dataset, config.recording.ood)
        if shifted not in cells:
            cells[shifted] = _ood_size(config, bench)
        num_cells, num_shifted = cells[shifted]
        steps = config.epochs * (len(data.train) // config.batch_size)
        evals = len(_evals(config, data, steps))
        subset = min(config.recording.train_subset, len(data.train))
        scored = (evals + 1) * (len(data.validation) + subset)
        scored += 2 * len(data.test) + num_shifted
        kind = kinds[key]
        updates += len(cohort) * steps * config.batch_size
        probed += len(cohort) * kind.passes
        seconds += kind.set_up_s + kind.probes_s
        seconds += steps * kind.update_s + scored * kind.image_s
        values = 3 * steps + 4 * evals + kind.values
        size += len(cohort) * (
            BYTES_A_RUN + values * BYTES_A_VALUE + num_cells * BYTES_A_CELL
        )
    return Estimate(seconds, size, probed / updates if updates else 0.0)


def _time(cohort: Sequence[RunConfig], data: DeviceData, execution: str) -> _Kind:
    """Set a cohort up and time what it does."""
    began, device = time.perf_counter(), data.train.labels.device
    rig = Rig(cohort, data, execution)
    wait(device)
    made = time.perf_counter() - began
    size = min(SCORED, len(data.train))
    chosen = torch.from_numpy(stream(0, "estimate").permutation(len(data.train))[:size])
    chosen = chosen.to(device)

    def update(number: int) -> None:
        rig.rehearse(number)
        rig.update.record()

    update_s, first_update = seconds_per_call(
        update, device, seconds=TIMED_S, settled=lambda: rig.update.settled
    )
    score_s, first_score = seconds_per_call(
        lambda _: rig.scorer.score(data.train, chosen),
        device,
        seconds=TIMED_S,
        settled=lambda: rig.scorer.settled,
    )
    probes = rig.state.probes
    return _Kind(
        set_up_s=made + first_update + first_score,
        update_s=update_s,
        image_s=score_s / size,
        probes_s=sum(
            times * seconds_per_call(measure, device, seconds=0.0)[0]
            for measure, times in probes.rehearsals()
        ),
        passes=sum(work.gradients for work in probes.planned.values()),
        values=probes.num_values,
    )


def _evals(config: RunConfig, data: DeviceData, steps: int) -> list[int]:
    per_epoch = len(data.train) // config.batch_size
    return evaluation_steps(per_epoch, config.recording.evals_per_epoch, steps)


def _ood_size(config: RunConfig, bench: Workbench) -> tuple[int, int]:
    """Return the number of cells and of images in the run's shifted test sets."""
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    for cell in bench.cells(config):
        known = sizes[cell.set_name]
        known.append(known[0] if known else len(cell.load()))
    return sum(map(len, sizes.values())), sum(map(sum, sizes.values()))


NOMINAL_SHAPE: Final = (3, 32, 32)
NOMINAL_CLASSES: Final = 10
NOMINAL_TRAIN: Final = 45_000
"""CIFAR-10 without its validation images, for times asked before data are at hand."""


def seconds_for_shape(plan: Plan) -> float:
    """Return the seconds of training alone on one thread, timed on random images."""
    numbers = stream(0, "estimate")
    images = numbers.integers(0, 256, (512, *NOMINAL_SHAPE), dtype=np.uint8)
    labels = numbers.integers(0, NOMINAL_CLASSES, 512)
    split = Split(images, labels)
    dataset = DataSet("nominal", split, split, split, NOMINAL_CLASSES)
    data = DeviceData(dataset, torch.device("cpu"))
    small = dataclasses.replace(
        plan.runs[0].config, batch_size=16, precision="float32", probes=()
    )
    image_s = _time([small], data, "eager").update_s / small.batch_size
    return sum(NOMINAL_TRAIN * run.config.epochs * image_s for run in plan.runs)
