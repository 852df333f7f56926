"""How long a plan takes and how much disk it needs, from a few timed passes."""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from harness.curves import evaluation_steps
from harness.datasets import DataSet, Split
from harness.feed import DeviceData, Feed
from harness.plan import Plan, PlannedRun
from harness.registry import OBJECTIVES
from harness.seeds import stream
from harness.spec import RunConfig
from harness.state import CohortState, hyper_columns
from harness.workbench import Workbench

TIMED_S: Final = 2.0
"""Seconds spent on timing each kind of cohort, after a first warm-up step."""

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
class _Rates:
    """Seconds an image and a run, training and scoring; what probes take a run."""

    train: float
    score: float
    probes: float
    """Gradients of an image that the run's probes take in all."""
    probe_values: int
    """Values that they record."""


def estimate(cohorts: Sequence[Sequence[PlannedRun]], bench: Workbench) -> Estimate:
    """Time each kind of cohort for some steps and add up the plan.

    Args:
        cohorts: What is left to train.
        bench: Data on the device to be used.
    """
    seconds, size, updates, probed = 0.0, 0.0, 0.0, 0.0
    rates: dict[object, _Rates] = {}
    cells: dict[object, tuple[int, int]] = {}
    for planned in cohorts:
        cohort = [run.config for run in planned]
        config, data = cohort[0], bench.data(cohort[0])
        shape = (config.model, config.dataset, config.batch_size, config.epochs)
        kind = (*shape, config.probes, len(cohort))
        if kind not in rates:
            rates[kind] = _time(cohort, data)
        key = (config.dataset, config.recording.ood)
        if key not in cells:
            cells[key] = _ood_size(config, bench)
        num_cells, num_shifted = cells[key]
        steps = config.epochs * (len(data.train) // config.batch_size)
        evals = len(_evals(config, data, steps))
        subset = min(config.recording.train_subset, len(data.train))
        scored = (evals + 1) * (len(data.validation) + subset)
        scored += 2 * len(data.test) + num_shifted
        rate = rates[kind]
        trained = steps * config.batch_size + rate.probes
        updates += len(cohort) * steps * config.batch_size
        probed += len(cohort) * rate.probes
        seconds += len(cohort) * (trained * rate.train + scored * rate.score)
        values = 3 * steps + 4 * evals + rate.probe_values
        size += len(cohort) * (
            BYTES_A_RUN + values * BYTES_A_VALUE + num_cells * BYTES_A_CELL
        )
    return Estimate(seconds, size, probed / updates if updates else 0.0)


def _time(cohort: Sequence[RunConfig], data: DeviceData) -> _Rates:
    """Return seconds an image of training and of scoring for one run of the cohort."""
    config, device = cohort[0], data.train.labels.device
    feed = Feed(data, cohort)
    state = CohortState(cohort, data, config.epochs * feed.steps_per_epoch)
    columns = hyper_columns([run.objective for run in cohort], device)
    objective = OBJECTIVES.get(config.objective.name)(**columns)
    scale = torch.zeros(len(cohort), 1, device=device)
    feed.start_epoch(0)

    def update(index: int) -> None:
        inputs, labels = feed.batch(index % feed.steps_per_epoch)
        losses = objective(state.net.train_logits(inputs, index), labels)
        state.optimizer.step(state.net.gradients(losses.objective), scale)

    batch = torch.from_numpy(stream(0, "estimate").permutation(len(data.train))[:128])
    images = data.normalise(data.train.inputs[batch.to(device)])
    per_step = _repeat(update, device, limit=feed.steps_per_epoch)
    per_pass = _repeat(lambda _: state.net.eval_logits(images), device, limit=50)
    runs = len(cohort)
    return _Rates(
        train=per_step / (config.batch_size * runs),
        score=per_pass / (len(images) * runs),
        probes=sum(work.gradients for work in state.probes.planned.values()),
        probe_values=state.probes.num_values,
    )


def _repeat(
    action: Callable[[int], object], device: torch.device, *, limit: int
) -> float:
    """Return the mean seconds of an action, after one call to warm up."""
    action(0)
    _wait(device)
    start, count = time.perf_counter(), 0
    while count < limit and time.perf_counter() - start < TIMED_S / 2:
        action(count)
        count += 1
    _wait(device)
    return (time.perf_counter() - start) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    small = dataclasses.replace(plan.runs[0].config, batch_size=16, precision="float32")
    rate = _time([small], data).train
    return sum(NOMINAL_TRAIN * run.config.epochs * rate for run in plan.runs)
