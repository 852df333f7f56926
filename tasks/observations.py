"""What a predictor is given: curves cut at the window and settings, by opaque names.

Everything here follows from a task's `Visibility`. No run id, family, seed, cost,
environment or later value is in it, and the order of the examples says nothing.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import Curves32, EarlyCurves, Recorded, early_curves
from tasks.base import Task, Visibility

PARTS: Final = (
    "dataset.",
    "model.",
    "optimizer.",
    "schedule.",
    "augmentation.",
    "objective.",
    "regularizer.",
    "controller.",
)
"""Beginnings of the columns that are a run's settings."""
NUMBERS: Final = ("batch_size", "epochs", "precision")
"""Settings that have a name of their own. The seed is none."""
LENGTHS: Final = ("num_steps", "steps_per_epoch")
"""Always shown: how long the run is meant to be."""
ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What may be seen of n examples, in the order of `ids`."""

    ids: tuple[str, ...]
    """Opaque names, sorted."""
    settings: pl.DataFrame
    """`[n]`: id, lengths, the settings and given finals that the task shows."""
    blocks: tuple[EarlyCurves, ...]
    """Curves up to the window; `run_ids` of a block are ids, every id in one block."""
    planned: tuple[Curves32 | None, ...]
    """Learning rates of the whole run, `[N, num_steps]` a block; None: not shown."""

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.ids)


def observe(
    corpus: Corpus, task: Task, run_ids: Collection[str]
) -> tuple[Observations, dict[str, str]]:
    """Return what `task` shows of some runs, and the run behind each example.

    Only the segments of the curves up to the window are read. The second value is for
    whoever scores; it never reaches a predictor.

    Args:
        corpus: An open corpus.
        task: Says what is seen.
        run_ids: Runs that have curves.
    """
    run_of = {example_id(task, corpus, run): run for run in run_ids}
    name_of = {run: example for example, run in run_of.items()}
    seen = task.visibility
    blocks = [
        _renamed(block, name_of, seen)
        for block in early_curves(corpus, seen.until, run_ids)
    ]
    planned = [
        _planned(corpus, block, run_of) if seen.planned_rate else None
        for block in blocks
    ]
    observations = Observations(
        ids=tuple(sorted(run_of)),
        settings=_settings(corpus, seen, name_of),
        blocks=tuple(blocks),
        planned=tuple(planned),
    )
    return observations, run_of


def example_id(task: Task, corpus: Corpus, run_id: str) -> str:
    """Return the name of a run in a task: other tasks and corpora name it otherwise."""
    text = f"{task.name}@{task.version}/{corpus.name}/{run_id}"
    return f"e-{hashlib.blake2b(text.encode(), digest_size=ID_BYTES).hexdigest()}"


def _settings(
    corpus: Corpus, seen: Visibility, name_of: dict[str, str]
) -> pl.DataFrame:
    """Return the columns that are shown, sorted by example and by name."""
    runs = corpus.runs().filter(pl.col("run_id").is_in(list(name_of)))
    shown = sorted(
        name
        for name in runs.columns
        if seen.settings and (name.startswith(PARTS) or name in NUMBERS)
    )
    ids = runs["run_id"].replace_strict(name_of, return_dtype=pl.String).alias("id")
    table = runs.select(*LENGTHS, *shown, *seen.finals)
    return table.insert_column(0, ids).sort("id")


def _renamed(
    block: EarlyCurves, name_of: dict[str, str], seen: Visibility
) -> EarlyCurves:
    """Return a block under opaque names, in their order, with what is shown."""
    names = np.array([name_of[run_id] for run_id in block.run_ids])
    order = np.argsort(names)
    recorded = {
        name: _reordered(curve, order)
        for name, curve in block.recorded.items()
        if seen.signals is None or name in seen.signals
    }
    hidden_rate = seen.signals is not None and "lr" not in seen.signals
    rate = np.full_like(block.rate, np.nan) if hidden_rate else block.rate[order]
    return EarlyCurves(
        run_ids=tuple(names[order].tolist()),
        num_steps=block.num_steps,
        steps_per_epoch=block.steps_per_epoch,
        loss=block.loss[order],
        rate=rate,
        recorded=recorded,
    )


def _reordered(curve: Recorded, order: npt.NDArray[np.int64]) -> Recorded:
    """Return a signal with its runs in another order."""
    starts, sizes = curve.offsets[:-1][order], np.diff(curve.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    index = np.repeat(starts, sizes) + within
    return Recorded(
        unit=curve.unit,
        offsets=offsets.astype(np.int64),
        steps=curve.steps[index],
        values=curve.values[index],
    )


def _planned(corpus: Corpus, block: EarlyCurves, run_of: dict[str, str]) -> Curves32:
    """Return the learning rate at every update of a block's runs, as planned.

    A run that diverged recorded only a part of it; the plan goes on where a run of
    equal settings shows how, else the rates are NaN from there on.
    """
    runs = [run_of[example] for example in block.run_ids]
    table = corpus.curves(["lr"], run_ids=runs)
    rates = np.full((len(runs), block.num_steps), np.nan, np.float32)
    row = {run: i for i, run in enumerate(runs)}
    for run_id, steps, values in table.select("run_id", "steps", "values").rows():
        rates[row[run_id], np.asarray(steps) - 1] = values
    _completed(rates, corpus, runs)
    return rates


def _completed(rates: Curves32, corpus: Corpus, runs: Sequence[str]) -> None:
    """Fill what a diverged run lacks from a run of its family that did not."""
    families = dict(corpus.runs(["run_id", "family_id"]).rows())
    whole = np.asarray(np.isfinite(rates).all(axis=1))
    plan = {families[run]: rates[i] for i, run in enumerate(runs) if whole[i]}
    for i in np.flatnonzero(~whole).tolist():
        rates[i] = plan.get(families[runs[i]], rates[i])
