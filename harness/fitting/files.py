"""Loss curves from CSV and Parquet files, checked cell by cell before any fit.

A file that cannot be used is refused with its lines, what was expected there and how to
mend it: all problems of a file at once.
"""

import csv
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import CorpusError
from harness.measure import Floats
from harness.storage import read_parquet

SHOWN: Final = 8
"""Problems of a file that are told; the others are counted."""


class Columns(NamedTuple):
    """The columns that were asked for and are there, in the order of the file."""

    name: str
    """The file as it was named."""
    place: str
    """What the rows of `lines` are called: "line" or "row"."""
    lines: npt.NDArray[np.int64]
    """`[n]`, where each row stands in the file, from 1."""
    values: dict[str, Floats]
    """`[n]` a column."""

    def at(self, row: int) -> str:
        """Return the place of a row, such as "line 7"."""
        return f"{self.place} {self.lines[row]}"


class Rule(NamedTuple):
    """What the cells of a column must be."""

    good: Callable[[Floats], npt.NDArray[np.bool_]]
    expected: str
    """With the way to mend it."""


_WHOLE: Final = 2.0**53
_LOSS: Final = Rule(
    lambda x: (x > 0) & np.isfinite(x),
    "a loss in nat, finite and > 0; leave the row out if there is none",
)
RULES: Final = {
    "step": Rule(
        lambda x: (x >= 0) & (x == np.floor(x)) & (x < _WHOLE),
        "a whole number of updates >= 0; turn epochs or thousands into updates",
    ),
    "tokens": Rule(
        lambda x: (x > 0) & np.isfinite(x), "a number > 0; leave the row out"
    ),
    "lr": Rule(
        lambda x: (x >= 0) & np.isfinite(x),
        "a learning rate >= 0; fill in the rate of the update",
    ),
    "loss": _LOSS,
    "l0": _LOSS,
    "l1": _LOSS,
}


def read_columns(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> Columns:
    """Read columns of numbers from a CSV file with a header, or from Parquet.

    Args:
        path: A file ending in .csv or .parquet.
        required: Columns that must be there, names in `RULES`.
        optional: Columns that are read if they are there.

    Raises:
        ValueError: The file cannot be read, a required column is missing, or a cell
            is not what its column must be; the message tells all of them.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: expected a file ending in .csv or .parquet")
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    place, header, rows = readers[path.suffix.lower()](path)
    _check_header(path, header, required)
    wanted = [name for name in (*required, *optional) if name in header]
    lines = np.array([line for line, _ in rows], dtype=np.int64)
    if not rows:
        raise ValueError(f"{path}: has a header and no rows; expected a row a point")
    values, problems = {}, []
    for name in wanted:
        column = header.index(name)
        cells = [row[column] for _, row in rows]
        values[name] = _numbers(cells)
        rule = RULES[name]
        good = rule.good(values[name])
        problems += [
            (int(lines[i]), f"{name} is {_quoted(cells[i])}, expected {rule.expected}")
            for i in np.flatnonzero(~good)
        ]
    _refuse(path, place, problems)
    return Columns(str(path), place, lines, values)


def check_ascending(table: Columns, column: str = "step") -> None:
    """Check that a column grows from row to row.

    Raises:
        ValueError: It does not; the message tells where.
    """
    values = table.values[column]
    problems = []
    for i in np.flatnonzero(np.diff(values) <= 0).tolist():
        before = f"{values[i]:.16g} of {table.at(i)}"
        if values[i] == values[i + 1]:
            what = f"{column} is again {before}; keep one row a {column}"
        else:
            what = (
                f"{column} is {values[i + 1]:.16g} after {before}, expected more; sort "
                f"the rows by {column} and keep one run a file"
            )
        problems.append((int(table.lines[i + 1]), what))
    _refuse(Path(table.name), table.place, problems)


def check_unique(table: Columns, column: str) -> None:
    """Check that no value of a column occurs twice, in any order of rows.

    Raises:
        ValueError: One does; the message tells where.
    """
    values = table.values[column]
    order = np.argsort(values, kind="stable")
    again = np.flatnonzero(np.diff(values[order]) == 0)
    problems = [
        (
            int(table.lines[order[i + 1]]),
            f"{column} is again {values[order[i]]:.16g} of {table.at(int(order[i]))}; "
            f"keep one row a value, since rows are paired by {column}",
        )
        for i in again
    ]
    _refuse(Path(table.name), table.place, sorted(problems))


Rows = list[tuple[int, Sequence[Any]]]


def _read_csv(path: Path) -> tuple[str, list[str], Rows]:
    """Return the header and the rows that are not blank, with their lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, skipinitialspace=True)
            lines = [
                (reader.line_num, row) for row in reader if any(map(str.strip, row))
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: is no CSV text in UTF-8: {error}") from error
    if not lines:
        raise ValueError(f"{path}: is empty; expected a header and a row a point")
    header = [cell.strip() for cell in lines[0][1]]
    problems = [
        (line, f"has {len(row)} cells, expected {len(header)} as in the header")
        for line, row in lines[1:]
        if len(row) != len(header)
    ]
    _refuse(path, "line", problems)
    rows: Rows = list(lines[1:])
    return "line", header, rows


def _read_parquet(path: Path) -> tuple[str, list[str], Rows]:
    try:
        table = read_parquet(path)
    except CorpusError as error:
        raise ValueError(str(error)) from error
    columns = [column.to_pylist() for column in table.columns]
    rows: Rows = list(enumerate(zip(*columns, strict=True), start=1))
    return "row", list(table.column_names), rows


def _check_header(path: Path, header: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: has several columns called {', '.join(twice)}")
    if not missing:
        return
    hints = []
    for name in missing:
        close = difflib.get_close_matches(name, [h.lower() for h in header], n=1)
        hints += [
            f"{h!r} to {name!r}" for h in header if close and h.lower() == close[0]
        ]
    mend = f"rename {', '.join(hints)}" if hints else "add or rename them in the header"
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        mend = "separate the cells by commas"
    raise ValueError(
        f"{path}: has no column {', '.join(missing)}; expected "
        f"{', '.join(required)}, found {', '.join(header) or 'none'}; {mend}"
    )


def _numbers(cells: Sequence[Any]) -> Floats:
    """Return cells as numbers, NaN where one is none."""
    try:
        if not any(isinstance(cell, bool) for cell in cells):
            return np.array(cells, dtype=np.float64)
    except (TypeError, ValueError):
        pass
    return np.array([_number(cell) for cell in cells], dtype=np.float64)


def _number(cell: Any) -> float:
    try:
        return float("nan") if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        return float("nan")


def _quoted(cell: Any) -> str:
    if cell is None or cell == "":
        return "empty"
    return (
        repr(cell) if isinstance(cell, str) and np.isnan(_number(cell)) else str(cell)
    )


def _refuse(path: Path, place: str, problems: list[tuple[int, str]]) -> None:
    """Raise an error that tells the first problems, if there are any."""
    if not problems:
        return
    problems = sorted(problems, key=lambda problem: problem[0])
    told = [f"  {place} {line}: {what}" for line, what in problems[:SHOWN]]
    if len(problems) > SHOWN:
        told.append(f"  and {len(problems) - SHOWN} more")
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise ValueError("\n".join([f"{path}: {count}", *told]))


def check_rows(table: Columns, least: int) -> None:
    """Check that there are enough rows for a fit.

    Raises:
        ValueError: There are not.
    """
    if len(table.lines) < least:
        raise ValueError(
            f"{table.name}: has {len(table.lines)} rows, expected at least {least} for "
            "this law; log more often or give a longer run"
        )
