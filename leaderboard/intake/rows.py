"""What may be wrong with the rows of a table of predictions; nothing is mended.

At least as strict as `tasks.checked.checked`: what passes here never fails there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from leaderboard.boards import Asked
from leaderboard.intake.limits import CELL_CHARS
from leaderboard.intake.names import shown
from leaderboard.problems import SHOWN, Problem
from tasks.answering import quantile_name
from tasks.base import Task

TYPES: Final = {"id": pl.String(), "epoch": pl.Int32(), "reason": pl.String()}
"""Types of columns once they are read; every other is Float32."""
FRACTIONS: Final = ("accuracy",)
"""Units of numbers in [0, 1]."""
SIGNED: Final = ("deviation",)
"""Targets that are differences of such numbers, in [-1, 1]."""
UNSEEN: Final = r"[\p{C}\p{Zl}\p{Zp}]"
"""Control, format, private and unassigned characters, and line breaks."""
BATCH: Final = 100_000
"""Rows whose ids are looked up at once, to bound memory."""
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Numbers = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A table as it was read."""

    frame: pl.DataFrame
    """Columns of `TYPES` and numbers in float32; a text that is no number is NaN."""
    quoted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """First texts of a column that are no numbers."""


def columns_of(task: Task) -> tuple[list[str], list[str]]:
    """Return the columns that a table must have, and those that it may have."""
    needed = ["id", *["epoch"] * (task.kind == "curve"), "prediction"]
    levels = [] if task.kind == "curve" else [quantile_name(q) for q in task.levels]
    return needed, [*levels, "reason"]


def range_of(task: Task) -> tuple[float, float] | None:
    """Return the least and greatest number that can be; None if all can.

    What is positive without a bound is left to `positive`.
    """
    if task.unit in FRACTIONS and task.target.name in SIGNED:
        return -1.0, 1.0
    if task.kind == "probability" or task.unit in FRACTIONS:
        return 0.0, 1.0
    return None


def positive(task: Task) -> bool:
    """Return whether a number must be greater than 0."""
    return task.kind == "curve" or "log_mae" in task.metrics


def check_columns(task: Task, names: Sequence[str], where: str) -> list[Problem]:
    """Return what is wrong with the names of a table's columns."""
    needed, optional = columns_of(task)
    levels = optional[:-1]
    given = [name for name in levels if name in names]
    expected = f"expected {', '.join(needed)} and if need be {', '.join(optional)}"
    found = []
    if lacking := [name for name in needed if name not in names]:
        found.append((f"no column {', '.join(lacking)}", expected))
    if unknown := [name for name in names if name not in (*needed, *optional)]:
        some = ", ".join(shown(name) for name in unknown[:SHOWN])
        found.append((f"{len(unknown)} unknown column(s): {some}", expected))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        some = ", ".join(shown(name) for name in twice[:SHOWN])
        found.append((f"column(s) there more than once: {some}", "keep one"))
    problems = [
        Problem(code="bad_columns", where=where, what=what, mend=mend)
        for what, mend in found
    ]
    if given and len(given) < len(levels):
        what = f"quantiles of {len(given)} of {len(levels)} levels only"
        mend = f"give all of {', '.join(levels)}, or none"
        code = "bad_distribution"
        problems.append(Problem(code=code, where=where, what=what, mend=mend))
    return problems


def check_rows(
    asked: Asked,
    table: pl.DataFrame,
    where: str,
    quoted: Mapping[str, Sequence[str]] | None = None,
) -> list[Problem]:
    """Return everything that is wrong with a table of predictions.

    Args:
        asked: What is asked for.
        table: As a reader of this package returns it; the order of rows is free.
        where: Name of the file.
        quoted: See `Read.quoted`.

    Cost: linear in the rows; a million a second.
    """
    problems = check_columns(asked.task, table.columns, where)
    for name, dtype in table.schema.items():
        if dtype != (expected := TYPES.get(name, pl.Float32())):
            what = f"column {shown(name)} is {dtype}, expected {expected}"
            mend = "write ids as text, epochs as whole numbers, the rest as numbers"
            found = Problem(code="bad_columns", where=where, what=what, mend=mend)
            problems.append(found)
    if any(problem.code == "bad_columns" for problem in problems):
        return problems
    return [*problems, *_Check(asked, table, where, quoted or {}).all()]


class _Check:
    """The checks of one table; each yields at most one problem a kind."""

    def __init__(
        self,
        asked: Asked,
        table: pl.DataFrame,
        where: str,
        quoted: Mapping[str, Sequence[str]],
    ) -> None:
        self.task, self.table, self.where = asked.task, table, where
        self.quoted = quoted
        self.names = asked.examples["id"].to_list()
        self.first = asked.examples["first"].to_numpy().astype(np.int64)
        self.last = asked.examples["last"].to_numpy().astype(np.int64)
        self.row = _placed(self.names, table["id"])  # [n], -1: not asked for

    def all(self) -> Iterator[Problem]:
        """Yield every problem."""
        yield from self._rows()
        yield from self._texts()
        numbers: dict[str, npt.NDArray[np.float32]] = {}
        nulls: dict[str, Mask] = {}
        for name in self.table.columns:
            if name not in TYPES:
                numbers[name] = self.table[name].to_numpy()
                nulls[name] = _null(self.table[name])
        yield from self._numbers(numbers, nulls)
        yield from self._declined(nulls["prediction"])
        levels = [quantile_name(level) for level in self.task.levels]
        if set(levels) <= set(numbers):
            yield from self._distributions(
                np.stack([numbers[name] for name in levels]),
                np.stack([nulls[name] for name in levels]),
                nulls["prediction"],
            )

    def _problem(
        self, code: str, what: str, mend: str, rows: Mask | None = None, count: int = 1
    ) -> Problem:
        first: tuple[int, ...] = ()
        if rows is not None:
            count = int(rows.sum())
            first = tuple((np.flatnonzero(rows)[:SHOWN] + 1).tolist())
        return Problem(
            code=code,
            where=self.where,
            what=what if rows is None else f"{count} row(s) {what}",
            mend=mend,
            rows=first,
            count=count,
        )

    def _rows(self) -> Iterator[Problem]:
        """Yield which rows are missing, extra or there twice."""
        sizes = self.last - self.first + 1
        start = np.cumsum(sizes) - sizes
        place = np.zeros(len(self.row), np.int64)  # epochs after the first
        inside = self.row >= 0
        blank = (
            _null(self.table["id"])
            | (self.table["id"] == "").fill_null(False).to_numpy()
        )
        missing_epoch = np.zeros(len(self.row), dtype=bool)
        if self.task.kind == "curve":
            missing_epoch = _null(self.table["epoch"])
            place = self.table["epoch"].to_numpy()
            place = np.where(missing_epoch, -1, place).astype(np.int64)
            place -= self.first[self.row]
            inside &= (place >= 0) & (place < sizes[self.row]) & ~missing_epoch
        code = start[self.row[inside]] + place[inside]
        seen, at, count = np.unique(code, return_index=True, return_counts=True)
        missing = np.setdiff1d(np.arange(int(sizes.sum())), seen, assume_unique=True)
        if len(missing):
            yield self._missing(missing, start)
        if blank.any():
            mend = "copy the id of the example that is answered"
            yield self._problem("bad_value", "without an id", mend, blank)
        if (no_epoch := missing_epoch & ~blank).any():
            mend = "write epochs in digits, such as 7"
            what = f"without a whole epoch{self._samples('epoch')}"
            yield self._problem("bad_value", what, mend, no_epoch)
        extra = ~inside & ~blank & ~missing_epoch
        if extra.any():
            yield self._problem("extra_rows", *self._stranger(extra), extra)
        if (count > 1).any():
            twice = inside.copy()
            twice[np.flatnonzero(inside)[at]] = False
            mend = "answer each example once"
            what = "answer what an earlier row answers"
            yield self._problem("duplicate_rows", what, mend, twice)

    def _missing(self, missing: Ints, start: Ints) -> Problem:
        rows = np.searchsorted(start, missing[:SHOWN], side="right") - 1
        some = [
            self.names[row]
            + f" epoch {code - start[row] + self.first[row]}" * bool(self.last[row])
            for row, code in zip(rows.tolist(), missing[:SHOWN].tolist(), strict=True)
        ]
        more = ", ..." if len(missing) > SHOWN else ""
        what = f"{len(missing)} row(s) missing: {', '.join(some)}{more}"
        mend = "answer all that is asked for; a blank prediction declines"
        return self._problem("missing_rows", what, mend, count=len(missing))

    def _stranger(self, extra: Mask) -> tuple[str, str]:
        """Return what is wrong with rows that were not asked for, and a hint."""
        at = np.flatnonzero(extra)[:SHOWN]
        ids = self.table["id"].gather(at).to_list()
        what = f"not asked for: {', '.join(shown(name) for name in ids)}"
        if "id" in ids:
            return what, "the header stands there again: keep the first line"
        strangers = [name for name in ids if name not in set(self.names)]
        if not strangers:
            return what, "answer only the epochs that are asked for"
        alike = {_alike(name): name for name in self.names}
        for name in strangers:
            if near := alike.get(_alike(name)):
                return what, (
                    f"{shown(name)} looks like {near}: ids are text and are copied "
                    "exactly, without blanks, in their case, never as numbers"
                )
        return what, "remove them; are they of another task or corpus?"

    def _texts(self) -> Iterator[Problem]:
        """Yield which reasons are too long, or cannot be shown."""
        if "reason" not in self.table.columns:
            return
        reason = self.table["reason"]
        if reason.null_count() == len(reason):
            return
        odd = (reason.str.len_chars() > CELL_CHARS) | reason.str.contains(UNSEEN)
        bad = np.asarray(odd.fill_null(False).to_numpy())
        if bad.any():
            mend = f"at most {CELL_CHARS} characters on one line, none invisible"
            what = "whose reason is too long or has control characters"
            yield self._problem("bad_value", what, mend, bad)

    def _samples(self, name: str) -> str:
        texts = self.quoted.get(name, ())
        return ": " * bool(texts) + ", ".join(shown(text) for text in texts[:SHOWN])

    def _numbers(
        self, numbers: Numbers, nulls: Mapping[str, Mask]
    ) -> Iterator[Problem]:
        """Yield which numbers cannot be."""
        for name, values in numbers.items():
            bad = ~nulls[name] & ~np.isfinite(values)
            if bad.any():
                what = f"where {name} is not a finite number{self._samples(name)}"
                mend = (
                    "write decimals such as 0.93, without blanks, signs of percent or "
                    "thousands; leave the cell blank to decline"
                )
                yield self._problem("bad_value", what, mend, bad)
            outside = np.isfinite(values) & self._outside(values)
            if outside.any():
                code = "bad_value" if name == "prediction" else "bad_distribution"
                what = f"where {name} is outside of {self._range()}"
                yield self._problem(code, what, self._percent(values), outside)

    def _outside(self, values: npt.NDArray[np.float32]) -> Mask:
        ends = range_of(self.task)
        outside = np.zeros(len(values), dtype=bool)
        if ends is not None:
            outside |= (values < ends[0]) | (values > ends[1])
        if positive(self.task):
            outside |= values <= 0
        return outside

    def _range(self) -> str:
        ends = range_of(self.task)
        return "the positive numbers" if ends is None else f"[{ends[0]:g}, {ends[1]:g}]"

    def _percent(self, values: npt.NDArray[np.float32]) -> str:
        finite = values[np.isfinite(values)]
        share = range_of(self.task) == (0.0, 1.0)
        if share and finite.min() >= 0.9 and finite.max() <= 100:
            return "percent? write shares: 0.93, not 93"
        return "nothing is clipped here: answer with numbers that can be"

    def _declined(self, null: Mask) -> Iterator[Problem]:
        """Yield which curves are declined in part."""
        if self.task.kind != "curve" or not null.any():
            return
        known = self.row >= 0
        size = len(self.names)
        rows = np.bincount(self.row[known], minlength=size)
        gone = np.bincount(self.row[known & null], minlength=size)
        part = (gone > 0) & (gone < rows)
        if (bad := known & null & part[self.row]).any():
            mend = "decline every epoch of an example, or none"
            yield self._problem("bad_value", "decline only part of a curve", mend, bad)

    def _distributions(
        self, values: npt.NDArray[np.float32], absent: Mask, declined: Mask
    ) -> Iterator[Problem]:
        """Yield which quantiles, `[L, n]`, are no distribution."""
        falls: Mask = np.asarray((np.diff(values, axis=0) < 0).any(axis=0))
        some: Mask = np.asarray(absent.any(axis=0))
        every: Mask = np.asarray(absent.all(axis=0))
        for bad, what, mend in (
            (falls, "whose quantiles decrease", "sort them along the levels"),
            (some & ~every, "with quantiles of some levels only", "give all or none"),
            (
                declined & ~every,
                "with quantiles of a declined example",
                "leave the quantiles blank where the prediction is blank",
            ),
        ):
            if bad.any():
                yield self._problem("bad_distribution", what, mend, bad)


def _placed(names: Sequence[str], ids: pl.Series) -> Ints:
    """Return the place of each id among names, -1 where it has none."""
    number = {name: row for row, name in enumerate(names)}
    placed = np.empty(len(ids), np.int64)
    for start in range(0, len(ids), BATCH):
        some = ids.slice(start, BATCH).to_list()
        placed[start : start + len(some)] = [number.get(name, -1) for name in some]
    return placed


def _null(column: pl.Series) -> Mask:
    if not column.null_count():
        return np.zeros(len(column), dtype=bool)
    return np.asarray(column.is_null().to_numpy())


def _alike(name: str) -> str:
    """Return what is left of an id when a spreadsheet was at it."""
    return re.sub(r"\.0+$", "", name.strip().casefold()).lstrip("0")
