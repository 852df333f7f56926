"""What a predictor is given: curves cut at the window and settings, by opaque names.

Everything here follows from a task's `Visibility`. No run id, family, seed, cost,
environment or later value is in it, and the order of the examples says nothing.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import Curves32, EarlyCurves, Recorded, early_curves
from harness.early.table import signals_of, wide
from harness.hidden_rows import LENGTHS, NUMBERS, SETTINGS
from harness.spec import Part
from tasks.base import Task, Visibility
from tasks.planned import known_rates

ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question, as far as whoever answers must know it."""

    kind: str
    """"value", "probability" or "curve", see `tasks.base.Task`."""
    target: Part
    """What is asked for, such as column(name="final.test_accuracy")."""
    until: float
    """Share of the run's steps that is seen."""
    levels: tuple[float, ...]
    """Quantile levels at which uncertainty may be given."""


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What may be seen of n examples, in the order of `ids`. Arrays are read-only."""

    asked: Asked
    """What is asked about them."""
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

    @functools.cached_property
    def early(self) -> pl.DataFrame:
        """Every registered curve signal with its defaults, computed once.

        Columns: id, then one a signal (`harness.early`), such as "power_law.alpha" or
        "last/val_loss"; null where it has no value. Rows in the order of `ids`.
        """
        long = signals_of(self.blocks, self.asked.until)
        table = wide(long) if len(long) else long.select("run_id")
        ids = pl.DataFrame({"id": self.ids}, schema={"id": pl.String})
        return ids.join(table, left_on="id", right_on="run_id", how="left")

    def remaining_epochs(self, block: EarlyCurves) -> npt.NDArray[np.int64]:
        """Return the numbers, from 1, of the whole epochs that begin after the window.

        They are what a task of kind "curve" asks for, an array `[E]`.
        """
        seen = -(-block.end // block.steps_per_epoch)
        return np.arange(seen + 1, block.num_steps // block.steps_per_epoch + 1)

    def showing(
        self,
        signals: Collection[str] | None,
        *,
        settings: bool = True,
        curves: bool = True,
    ) -> "Observations":
        """Return the same with fewer recorded signals, without settings or curves.

        A name that the corpus does not have is no error.

        Args:
            signals: Names to keep, beside `train_loss` and `lr`; None for all.
            settings: Whether hyper-parameters stay.
            curves: Whether anything of the run itself stays; else `train_loss` and
                `lr` are NaN, and no recorded signal is there.
        """
        if signals is None and settings and curves:
            return self
        blocks = tuple(
            dataclasses.replace(
                block,
                loss=block.loss if curves else hidden(block.loss),
                rate=block.rate if curves else hidden(block.rate),
                recorded={
                    name: curve
                    for name, curve in block.recorded.items()
                    if curves and (signals is None or name in signals)
                },
            )
            for block in self.blocks
        )
        kept = [c for c in self.settings.columns if settings or not is_setting(c)]
        fewer = dataclasses.replace(
            self, blocks=blocks, settings=self.settings.select(kept)
        )
        if "early" in self.__dict__ and signals is None and curves:
            fewer.__dict__["early"] = self.early
        return fewer

    def of(self, ids: Collection[str]) -> "Observations":
        """Return some of the examples, under the same names and in their order.

        Raises:
            KeyError: An id is not among them.
        """
        chosen = set(ids)
        if lacking := sorted(chosen - set(self.ids)):
            raise KeyError(f"no example is called {lacking[0]!r}")
        blocks, planned = [], []
        for block, rates in zip(self.blocks, self.planned, strict=True):
            names = enumerate(block.run_ids)
            rows = np.array([row for row, name in names if name in chosen], np.int64)
            if len(rows):
                blocks.append(_rows(block, rows))
                planned.append(None if rates is None else frozen(rates[rows]))
        some = pl.col("id").is_in(sorted(chosen))
        part = dataclasses.replace(
            self,
            ids=tuple(name for name in self.ids if name in chosen),
            settings=self.settings.filter(some),
            blocks=tuple(blocks),
            planned=tuple(planned),
        )
        if "early" in self.__dict__:  # a row depends on its own example alone
            part.__dict__["early"] = self.early.filter(some)
        return part


def observe(
    corpus: Corpus,
    task: Task,
    run_ids: Collection[str],
    names: Mapping[str, str] | None = None,
) -> tuple[Observations, dict[str, str]]:
    """Return what `task` shows of some runs, and the run behind each example.

    Only the segments of the curves up to the window are read. The second value is for
    whoever scores; it never reaches a predictor.

    Args:
        corpus: An open corpus.
        task: Says what is seen.
        run_ids: Runs that have curves.
        names: Names of runs that are not to be called by their `example_id`.
    """
    given = names or {}
    run_of = {given.get(run) or example_id(task, corpus, run): run for run in run_ids}
    name_of = {run: example for example, run in run_of.items()}
    seen = task.visibility
    read = (_chosen(block, name_of) for block in _blocks(corpus, seen.until))
    blocks = [_renamed(block, name_of, seen) for block in read if len(block)]
    planned = [
        _planned(corpus, block, run_of) if seen.planned_rate else None
        for block in blocks
    ]
    observations = Observations(
        asked=Asked(
            kind=task.kind,
            target=task.target,
            until=seen.until,
            levels=task.levels,
        ),
        ids=tuple(sorted(run_of)),
        settings=_settings(corpus, seen, name_of),
        blocks=tuple(blocks),
        planned=tuple(planned),
    )
    return observations, run_of


@functools.lru_cache(maxsize=1)
def _blocks(corpus: Corpus, until: float) -> tuple[EarlyCurves, ...]:
    """Return all curves up to a window, which tasks with the same window share."""
    return tuple(early_curves(corpus, until))


def _chosen(block: EarlyCurves, runs: Collection[str]) -> EarlyCurves:
    """Return the runs of a block that are asked about."""
    rows = [row for row, run_id in enumerate(block.run_ids) if run_id in runs]
    return _rows(block, np.array(rows, np.int64))


def example_id(task: Task, corpus: Corpus, run_id: str) -> str:
    """Return the name of a run in a task: other tasks and corpora name it otherwise."""
    text = f"{task.name}@{task.version}/{corpus.name}/{run_id}"
    return f"e-{hashlib.blake2b(text.encode(), digest_size=ID_BYTES).hexdigest()}"


def is_setting(column: str) -> bool:
    """Tell whether a column is a hyper-parameter that a task may show."""
    return column.startswith(SETTINGS) or column in NUMBERS


def frozen(values: Curves32) -> Curves32:
    """Return the array, read-only: one predictor cannot change what the next sees."""
    values.flags.writeable = False
    return values


def hidden(values: Curves32) -> Curves32:
    """Return as many values that are not there."""
    return frozen(np.full_like(values, np.nan))


def _settings(
    corpus: Corpus, seen: Visibility, name_of: dict[str, str]
) -> pl.DataFrame:
    """Return the columns that are shown, sorted by example and by name."""
    runs = corpus.runs().filter(pl.col("run_id").is_in(list(name_of)))
    shown = sorted(name for name in runs.columns if seen.settings and is_setting(name))
    ids = runs["run_id"].replace_strict(name_of, return_dtype=pl.String).alias("id")
    table = runs.select(*LENGTHS, *shown, *seen.finals)
    return table.insert_column(0, ids).sort("id")


def _renamed(
    block: EarlyCurves, name_of: dict[str, str], seen: Visibility
) -> EarlyCurves:
    """Return a block under opaque names, in their order, with what is shown."""
    names = np.array([name_of[run_id] for run_id in block.run_ids])
    hidden_rate = seen.signals is not None and "lr" not in seen.signals
    shown = dataclasses.replace(
        block,
        run_ids=tuple(names.tolist()),
        rate=hidden(block.rate) if hidden_rate else block.rate,
        recorded={
            name: curve
            for name, curve in block.recorded.items()
            if seen.signals is None or name in seen.signals
        },
    )
    return _rows(shown, np.argsort(names))


def _rows(block: EarlyCurves, rows: npt.NDArray[np.int64]) -> EarlyCurves:
    """Return some runs of a block, in the order of `rows`; arrays are read-only."""
    return dataclasses.replace(
        block,
        run_ids=tuple(block.run_ids[row] for row in rows.tolist()),
        loss=frozen(block.loss[rows]),
        rate=frozen(block.rate[rows]),
        recorded={
            name: _reordered(curve, rows) for name, curve in block.recorded.items()
        },
    )


def _reordered(curve: Recorded, order: npt.NDArray[np.int64]) -> Recorded:
    """Return a signal with its runs in another order."""
    starts, sizes = curve.offsets[:-1][order], np.diff(curve.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    index = np.repeat(starts, sizes) + within
    steps, values = curve.steps[index], curve.values[index]
    for array in (offsets, steps, values):
        array.flags.writeable = False
    return Recorded(unit=curve.unit, offsets=offsets, steps=steps, values=values)


def _planned(corpus: Corpus, block: EarlyCurves, run_of: dict[str, str]) -> Curves32:
    """Return the learning rate at every update of a block's runs, `[N, num_steps]`."""
    runs = [run_of[example] for example in block.run_ids]
    rates = known_rates(corpus, runs)
    return frozen(np.stack([rates[run] for run in runs]))
