"""A corpus of synthetic runs that lasts long enough for every early signal."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.corpus import Corpus
from harness.publish import build
from harness.record import Curve, RunRecord
from harness.registry import SCHEDULES
from harness.schema import Signal
from harness.seeds import stream

EPOCHS = 40
LENGTHS = (24, 6)
"""Steps an epoch; 20 logs an epoch are possible in the first only."""
SCHEDULE_NAMES = ("constant", "step", "cosine", "const_cool")
PROBED = tuple(
    Signal(name=name, meaning="test", unit=unit, range="R", probe="hessian")
    for name, unit in (("lambda_1", "curvature"), ("noise_scale", "image"))
)


def curve(steps, values) -> Curve:
    return Curve(np.asarray(steps, np.int32), np.asarray(values, np.float32))


def run(plain: RunRecord, size: int, index: int) -> RunRecord:
    """Return a run of 40 epochs whose loss falls below 1 nat in its first epochs."""
    noise = stream(index, "early", size)
    steps = np.arange(1, EPOCHS * size + 1)
    alpha = 0.4 + 0.1 * (index % 4)
    saw = 0.05 * (steps % size) / size
    loss = 1.5 * (steps / size) ** -alpha + saw
    loss *= np.exp(0.05 * noise.standard_normal(len(steps)))
    rate = (
        0.1 * (1 + index) * SCHEDULES.get(SCHEDULE_NAMES[index % 4])(len(steps), size)
    )
    every = np.arange(0, len(steps) + 1, size)
    rise = 10 * (1 - np.exp(-(every / size + 0.5) / 3))
    return dataclasses.replace(
        plain,
        num_steps=len(steps),
        steps_per_epoch=size,
        curves={
            "train_loss": curve(steps, loss),
            "grad_norm": curve(steps, loss**2),
            "lr": curve(steps, rate),
            "val_loss": curve(every, 2.3 * np.exp(-every / len(steps))),
            "lambda_1": curve(every[1:], rise[1:]),
            "noise_scale": curve(every[4::4], every[4::4] + index),
        },
        signals=PROBED,
    )


def cut(record: RunRecord, last: int, **status) -> RunRecord:
    """Return the run without what was recorded after a step."""
    kept = {
        name: Curve(*(part[steps <= last] for part in (steps, values)))
        for name, (steps, values) in record.curves.items()
    }
    return dataclasses.replace(record, curves=kept, **status)


def diverged(record: RunRecord, share: float) -> RunRecord:
    """Return the run as it would be had it diverged."""
    last = int(share * record.num_steps)
    early = cut(record, last, status="diverged", diverged_step=last)
    early.curves["train_loss"].values[-1] = np.nan
    return early


def changed(record: RunRecord, **curves: Curve | None) -> RunRecord:
    """Return the run with some curves replaced or, for None, left out."""
    kept = {k: v for k, v in {**record.curves, **curves}.items() if v is not None}
    return dataclasses.replace(record, curves=kept)


def save(records: Sequence[RunRecord], folder: Path) -> Corpus:
    """Build and open a corpus of these runs."""
    for one in records:
        one.save(folder / "shards")
    build(folder, name="early", grids={})
    return Corpus.open(folder)


@pytest.fixture(scope="session")
def long_records(make_record: Callable[..., RunRecord]) -> list[RunRecord]:
    """Runs of two lengths, of every fate; the last one failed."""
    runs = [
        run(make_record(seed), size, index)
        for seed, (size, index) in enumerate((s, i) for s in LENGTHS for i in range(9))
    ]
    for first in (0, 9):
        steps = runs[first].curves["train_loss"].steps
        high = stream(first, "high").normal(2.3, 0.01, len(steps))
        flat = curve(steps, high)
        runs[first + 4] = diverged(runs[first + 4], 0.06)
        runs[first + 5] = diverged(runs[first + 5], 0.7)
        runs[first + 6] = changed(runs[first + 6], train_loss=flat)
        runs[first + 7] = changed(runs[first + 7], lambda_1=None, noise_scale=None)
        runs[first + 8] = changed(runs[first + 8], lr=None)
    return [*runs, make_record(99, status="failed")]


@pytest.fixture(scope="session")
def long_corpus(
    tmp_path_factory: pytest.TempPathFactory, long_records: list[RunRecord]
) -> Corpus:
    """The corpus of `long_records`, not to be changed."""
    return save(long_records, tmp_path_factory.mktemp("early") / "corpus")
