"""A synthetic corpus of which every task can be asked, and crippled copies of it."""

import dataclasses
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np

from harness.corpus import Corpus
from harness.publish import build
from harness.record import Curve, OodResult, RunRecord
from harness.schema import Signal
from harness.seeds import stream
from harness.spec import Part
from tasks.catalogue.ood_accuracy import SETS
from tests.harness.conftest import record

LAMBDA_1 = Signal(
    name="lambda_1", meaning="largest eigenvalue", unit="1", range="R", probe="hessian"
)
CHANCE = 0.1


def records(seeds: int = 2) -> Iterator[RunRecord]:
    """Yield 24 families; those of one optimizer, batch size and schedule stay at 10 %.

    One run diverged, one failed.
    """
    factors = product(
        ("sgd", "adamw", "lion"), (32, 64), ("cosine", "step"), ("none", "randaugment")
    )
    for number, (optimizer, size, schedule, augmentation) in enumerate(factors):
        rate = (0.1, 0.3)[number % 2]
        for seed in range(seeds):
            status = {(3, 1): "diverged", (9, 0): "failed"}.get((number, seed))
            one = record(seed, status=status or "completed", optimizer=optimizer)
            config = dataclasses.replace(
                one.config,
                optimizer=one.config.optimizer.with_params(lr=rate),
                batch_size=size,
                schedule=Part(schedule, resolved=True),
                augmentation=Part(augmentation, resolved=True),
            )
            one = dataclasses.replace(one, config=config)
            failed = status == "failed"
            yield one if failed else finished(one, number, number // 2 == 5)


def finished(one: RunRecord, number: int, chance: bool) -> RunRecord:
    """Return a run with all that tasks ask for; `number` makes families differ."""
    noise = stream(one.config.seed, f"full/{number}")
    correct = 20 if chance else 120 + number + int(noise.integers(20))
    end = max(curve.steps[-1] for curve in one.curves.values())
    steps = np.arange(0, end + 1, 2, dtype=np.int32)
    curvature = 1 - np.exp(-(steps + 1) / (2.0 + number))
    if number % 4 == 3:
        curvature = np.exp(steps / 20)  # never stands still
    evaluated = one.curves["val_accuracy"]
    accuracy = evaluated.values + 0.02 * noise.standard_normal(len(evaluated.values))
    curves = {
        "lambda_1": Curve(steps, curvature.astype(np.float32)),
        "train_loss_eval": one.curves["val_loss"],
        "val_accuracy": evaluated._replace(values=accuracy.astype(np.float32)),
    }
    loss = None if one.status == "diverged" else 0.5 + 0.01 * number + noise.random()
    more = {"validation_loss": loss, "train_loss": loss, "test_correct": correct}
    return dataclasses.replace(
        one,
        curves=one.curves | curves,
        signals=(LAMBDA_1,),
        final=one.final | more,
        ood=tuple(
            OodResult(name, corruption, 1, correct - k, 200, 0.5 + k + noise.random())
            for name in SETS
            for k, corruption in enumerate(("fog", "contrast"))
        ),
    )


def build_full(
    folder: Path,
    change: Callable[[RunRecord], RunRecord | None] = lambda one: one,
    seeds: int = 2,
) -> Corpus:
    """Return the corpus of the changed records; those changed to None are left out."""
    for one in records(seeds):
        if changed := change(one):
            changed.save(folder / "shards")
    build(folder, name="full", grids={})
    return Corpus.open(folder)


def without(*signals: str) -> Callable[[RunRecord], RunRecord]:
    """Return a change that takes signals out of a record."""

    def change(one: RunRecord) -> RunRecord:
        kept = {k: v for k, v in one.curves.items() if k not in signals}
        return dataclasses.replace(one, curves=kept)

    return change


def only(**settings: object) -> Callable[[RunRecord], RunRecord | None]:
    """Return a change that keeps the runs with these parts or numbers."""

    def change(one: RunRecord) -> RunRecord | None:
        found = {name: getattr(one.config, name) for name in settings}
        names = {k: v.name if isinstance(v, Part) else v for k, v in found.items()}
        return one if names == settings else None

    return change
