"""Tables of predictions, checked strictly and laid out as metrics want them."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.measure import Floats
from tasks.answering import NO_NUMBER, quantile_name
from tasks.base import Task
from tasks.metrics.inputs import Ints
from tasks.question import Answers

SHOWN: Final = 3
"""Ids that a problem names."""
TEXT: Final = ("id", "reason")
BLOCK: Final = 2**16
"""Texts that are put together at a time, when many are digested."""
CODES: Final = 2**32
"""Codes an example: one an epoch."""
Columns = dict[str, tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]]
"""Values, and where they are null, by column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one predictor said of the n scored examples, in the order of the answers."""

    mean: Floats
    """`[n]`, or `[n, E]` of curves, padded with 1; NaN where declined."""
    quantiles: Floats | None
    """`[n, L]`, NaN where not given; None: no example has any."""
    reasons: tuple[str | None, ...]
    """Why an example is declined, `[n]`."""
    sha256: str
    """Digest of the table, see `digest`."""

    def gone(self, quantiles: bool = False) -> npt.NDArray[np.bool_]:
        """Return which examples are declined, or lack quantiles, `[n]`."""
        wanted = self.mean
        if quantiles and self.quantiles is not None:
            wanted = self.quantiles
        lacking = np.isnan(wanted.reshape(len(wanted), -1))
        return np.asarray(lacking.any(axis=1))

    def reason(self, rows: npt.NDArray[np.bool_]) -> str | None:
        """Return the most frequent reason of some rows, of equals the first by name."""
        counts = Counter(
            self.reasons[row] or NO_NUMBER for row in np.flatnonzero(rows).tolist()
        )
        return min(counts, key=lambda name: (-counts[name], name), default=None)

    def filled(self, other: "Given") -> "Given":
        """Return the same with the answers of another for what is declined.

        A quantile that the other one lacks is its mean: a point has no width.
        """
        gone = self.gone()
        mean = self.mean.copy()
        mean[gone] = other.mean[gone]
        quantiles = None
        if self.quantiles is not None:
            instead = other.quantiles
            if instead is None:
                instead = np.full_like(self.quantiles, np.nan)
            instead = np.where(np.isnan(instead), other.mean[:, None], instead)
            none = self.gone(quantiles=True)
            quantiles = np.where(none[:, None], instead, self.quantiles)
        return replace(self, mean=mean, quantiles=quantiles)


def checked(
    task: Task,
    answers: Answers,
    predictions: Mapping[str, pl.DataFrame],
    asked: pl.DataFrame | None = None,
) -> dict[str, Given]:
    """Return what each predictor said, sorted by name.

    Args:
        task: Says which columns and numbers are possible.
        answers: Says which examples are scored.
        predictions: Tables as `tasks.answering` makes them, by predictor.
        asked: All examples that were asked for, see `epochs_of`: those that are not
            scored are checked like the others, so that no error tells which they are.
            None: all are scored.

    Raises:
        ValueError: Something is wrong with a table; all that is wrong with any is
            named, with counts and the first ids.
    """
    table_of = epochs_of(task, answers) if asked is None else asked
    names = table_of["id"].to_list()
    wanted = _wanted(table_of)
    scored = set(answers.ids)
    counts = np.array([name in scored for name in names], dtype=bool)
    found: dict[str, Given] = {}
    problems: list[str] = []
    for name in sorted(predictions):
        table = predictions[name]
        wrong = list(_form(task, table))
        if not wrong:
            codes, strangers = _codes(names, table)
            wrong = list(_rows(names, wanted, codes, strangers))
        if not wrong:
            placed = _columns(table, np.argsort(codes))
            wrong = list(_numbers(task, placed))
            sha256, kept = (
                _digest(sorted(placed.items())),
                counts[np.sort(codes) // CODES],
            )
            placed = {key: (v[kept], null[kept]) for key, (v, null) in placed.items()}
            found[name] = _given(task, answers, placed, sha256)
        problems += [f"{name}: {problem}" for problem in wrong]
    if problems:
        raise ValueError(
            f"{task.name}: {len(problems)} problem(s) with predictions:\n  "
            + "\n  ".join(problems)
        )
    return found


def digest(table: pl.DataFrame) -> str:
    """Return the SHA-256 of a table of predictions, whatever the order of its rows.

    Of the rows sorted by id and epoch and the columns by name: each column's name,
    which values are null (a byte each), and the others as float64, int64 or UTF-8 with
    a zero byte.
    """
    keys = [name for name in ("id", "epoch") if name in table.columns]
    ordered = table.sort(keys)
    order = np.arange(len(ordered))
    # one column at a time: a table of a million runs is digested, too
    columns = (
        _columns(ordered.select(c), order).items() for c in sorted(table.columns)
    )
    return _digest(itertools.chain.from_iterable(columns))


def _digest(
    placed: Iterable[tuple[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]],
) -> str:
    """Return the digest of columns in order of their names."""
    sha = hashlib.sha256()
    for name, (values, null) in placed:
        sha.update(f"{name}\0".encode() + null.tobytes())
        if values.dtype == object:
            for start in range(0, len(values), BLOCK):
                block = slice(start, start + BLOCK)
                known = values[block][~null[block]]
                sha.update("".join(f"{v}\0" for v in known).encode())
        else:
            sha.update(values[~null].tobytes())
    return sha.hexdigest()


def _columns(table: pl.DataFrame, order: Ints) -> Columns:
    """Return values and where they are null, by column, in an order of rows.

    Numbers are float64 or, of epochs, int64; what is null has any value.
    """
    found: Columns = {}
    for name, column in zip(table.columns, table.get_columns(), strict=True):
        null = np.zeros(len(column), dtype=bool)
        if column.null_count():
            null = column.is_null().to_numpy()
        if name in TEXT:
            values = np.array(column.to_list(), dtype=object)
        else:
            whole = column.dtype.is_integer() and name == "epoch"
            numbers = column.cast(pl.Int64 if whole else pl.Float64).to_numpy()
            values = np.where(null, np.nan, numbers) if not whole else numbers
        found[name] = values[order], null[order]
    return found


def _levels(task: Task) -> list[str]:
    return [quantile_name(level) for level in task.levels]


def epochs_of(task: Task, answers: Answers) -> pl.DataFrame:
    """Return what is asked of each scored example: id, first and last epoch.

    Sorted by id. Both are 0 where no curve is asked for.
    """
    runs = pl.DataFrame({"id": answers.ids}, schema={"id": pl.String})
    if task.kind != "curve":
        return runs.with_columns(first=pl.lit(0), last=pl.lit(0))
    last = answers.runs["num_steps"] // answers.runs["steps_per_epoch"]
    length = pl.Series([len(curve) for curve in answers.curves], dtype=pl.Int64)
    last = last.cast(pl.Int64)
    return runs.with_columns(first=last - length + 1, last=last)


def _wanted(asked: pl.DataFrame) -> Ints:
    """Return the codes that a table must have, ascending: example, then epoch."""
    ends = zip(asked["first"].to_list(), asked["last"].to_list(), strict=True)
    rows = [row * CODES + np.arange(a, b + 1) for row, (a, b) in enumerate(ends)]
    return np.concatenate([np.empty(0, np.int64), *rows])


def _codes(names: Sequence[str], table: pl.DataFrame) -> tuple[Ints, list[str]]:
    """Return the code of each row, and the ids that are not asked for."""
    number = {name: row for row, name in enumerate(names)}
    ids = table["id"].to_list()
    strangers = [name for name in ids if name not in number]
    codes = np.array([number.get(name, -1) for name in ids], np.int64) * CODES
    if "epoch" in table.columns:
        codes = codes + table["epoch"].cast(pl.Int64).to_numpy()
    return codes, strangers


def _form(task: Task, table: pl.DataFrame) -> Iterator[str]:
    """Yield what is wrong with columns and their types."""
    needed = ["id", *["epoch"] * (task.kind == "curve"), "prediction", "reason"]
    if lacking := [name for name in needed if name not in table.columns]:
        yield f"no column {', '.join(lacking)}"
    levels = [] if task.kind == "curve" else _levels(task)
    if unknown := [c for c in table.columns if c not in (*needed, *levels)]:
        yield f"unknown column {', '.join(unknown)} (levels are {task.levels})"
    given = [name for name in levels if name in table.columns]
    if given and len(given) < len(levels):
        yield f"quantiles of some levels only: {', '.join(given)} of {len(levels)}"
    for name in (*needed, *given):
        dtype = table.schema.get(name)
        text, whole = name in TEXT, name == "epoch"
        if dtype is None or (dtype == pl.Null and name not in ("id", "epoch")):
            continue
        fits = dtype == pl.String if text else dtype.is_numeric()
        if not fits or (whole and not dtype.is_integer()):
            expected = "text" if text else "whole numbers" if whole else "numbers"
            yield f"column {name} is {dtype}, expected {expected}"
        if name in ("id", "epoch") and table[name].null_count():
            yield f"column {name} is null in {table[name].null_count()} row(s)"


def _rows(
    names: Sequence[str], wanted: Ints, codes: Ints, strangers: list[str]
) -> Iterator[str]:
    """Yield which examples are missing, not asked for, or there twice."""

    def named(some: Ints) -> list[str]:
        epochs = some % CODES
        return [
            names[row] + (f" epoch {epoch}" if epoch else "")
            for row, epoch in zip(
                (some // CODES).tolist(), epochs.tolist(), strict=True
            )
        ]

    known = codes[codes >= 0]
    found, count = np.unique(known, return_counts=True)
    for what, some in (
        ("missing", named(np.setdiff1d(wanted, found))),
        ("not asked for", strangers + named(np.setdiff1d(found, wanted))),
        ("there more than once", named(found[count > 1])),
    ):
        if some:
            yield f"{_some(some)} {what}"


def _some(names: list[str]) -> str:
    """Return how many there are and the first ones."""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} row(s) ({', '.join(names[:SHOWN])}{more})"


def _numbers(task: Task, placed: Columns) -> Iterator[str]:
    """Yield which numbers cannot be."""
    ids = placed["id"][0]
    value, null = placed["prediction"]
    levels = [placed[name] for name in _levels(task) if name in placed]
    infinite = ~null & ~np.isfinite(value)
    for numbers, absent in levels:
        infinite |= ~absent & ~np.isfinite(numbers)
    checks = {"not finite (null is how to decline)": infinite}
    if task.kind == "probability":
        checks["a probability outside [0, 1]"] = (value < 0) | (value > 1)
    if task.kind == "curve" or "log_mae" in task.metrics:
        checks["a value that is not positive"] = value <= 0
    if task.kind == "curve":
        run = np.append(0, np.cumsum(ids[1:] != ids[:-1]))
        share = np.bincount(run, null) / np.bincount(run)
        checks["some epochs declined, others not"] = ((share > 0) & (share < 1))[run]
    if levels:
        quantiles = np.stack([numbers for numbers, _ in levels])
        absent = np.stack([where for _, where in levels])
        falls = np.asarray((np.diff(quantiles, axis=0) < 0).any(axis=0))
        checks["quantiles that decrease"] = falls
        some, none = np.asarray(absent.any(axis=0)), np.asarray(absent.all(axis=0))
        checks["quantiles of some levels only"] = some & ~none
        checks["quantiles of a declined example"] = null & ~none
    for name, bad in checks.items():
        if bad.any():
            yield f"{_some(list(dict.fromkeys(ids[bad].tolist())))} with {name}"


def _given(task: Task, answers: Answers, placed: Columns, sha256: str) -> Given:
    mean, reasons = placed["prediction"][0], placed["reason"][0].tolist()
    quantiles: Floats | None = None
    if task.kind == "curve":
        mask = counted(answers)
        table = np.ones(mask.shape)
        table[mask] = mean
        sizes = mask.sum(axis=1)
        reasons = [reasons[i] for i in (np.cumsum(sizes) - sizes).tolist()]
        mean = table
    elif levels := [placed[name][0] for name in _levels(task) if name in placed]:
        quantiles = np.stack(levels, axis=1)
        quantiles = quantiles if np.isfinite(quantiles).any() else None
    return Given(mean=mean, quantiles=quantiles, reasons=tuple(reasons), sha256=sha256)


def counted(answers: Answers) -> npt.NDArray[np.bool_]:
    """Return which cells of padded curves are epochs, `[n, E]`."""
    sizes = np.array([len(curve) for curve in answers.curves])
    return np.arange(sizes.max()) < sizes[:, None]
