"""What was varied in the runs of a corpus: each column with its levels and counts."""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import polars as pl

from harness.foreign import FOREIGN
from harness.schema import RUNS

MOST_LEVELS: Final = 12
"""Levels that are listed one by one; of more, the number and the ends are told."""
_MOST_LETTERS: Final = 100
_OTHER: Final = ("final.", "ood.", "cost.", "environment.")
_NAMES: Final = (f"{FOREIGN}.run", f"{FOREIGN}.family")
"""Names that a foreign run was given, not settings of it."""


class Level(NamedTuple):
    """A value of a column."""

    text: str
    """The value; "not set" for null."""
    runs: int
    """Runs that have it."""


class Factor(NamedTuple):
    """A column and what it holds."""

    column: str
    """Name of the column of the table `runs`."""
    num_levels: int
    """Different values, null among them."""
    levels: tuple[Level, ...]
    """Each value with its runs, if they are few."""
    ends: str = ""
    """Smallest and largest of many numbers, such as "0.01 to 3"."""


def settings(runs: pl.DataFrame) -> list[Factor]:
    """Return a factor for each column of the table of runs that is a setting."""
    return [
        factor(runs, name)
        for name in runs.columns
        if name not in RUNS.names and name not in _NAMES and not name.startswith(_OTHER)
    ]


def factor(runs: pl.DataFrame, column: str) -> Factor:
    """Return the levels of a column in ascending order, "not set" last.

    Example:
        A column (0.1, 0.1, None) has the levels ("0.1", 2) and ("not set", 1).
    """
    values = runs[column].alias("value")
    counts = values.value_counts(name="runs").sort("value", nulls_last=True)
    if len(counts) <= MOST_LEVELS:
        return Factor(
            column, len(counts), tuple(Level(text_of(v), n) for v, n in counts.rows())
        )
    ends = ""
    if counts["value"].dtype.is_numeric():
        numbers = counts["value"]
        ends = f"{text_of(numbers.min())} to {text_of(numbers.max())}"
    return Factor(column, len(counts), (), ends)


def text_of(value: Any) -> str:
    """Return a setting as short text; a JSON list of parts as their names.

    Example:
        >>> text_of(0.1), text_of(True), text_of(None), text_of('[{"name": "sam"}]')
        ('0.1', 'true', 'not set', 'sam')
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _names(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def _names(text: str) -> str:
    """Return the names of the parts in a JSON list; other text as it is."""
    if not text.startswith("["):
        return text
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not all(isinstance(part, dict) and "name" in part for part in parts):
        return text
    return ", ".join(str(part["name"]) for part in parts) or "none"


def varying(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Return the factors that take more than one value."""
    return tuple(f for f in factors if f.num_levels > 1)


def constant(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Return the factors that are the same in every run."""
    return tuple(f for f in factors if f.num_levels == 1)
