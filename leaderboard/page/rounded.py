"""Numbers as a page shows them: finite or null, rounded."""

import math
from collections.abc import Mapping
from typing import Any, Final

DIGITS: Final = 5
"""Significant digits."""
Row = Mapping[str, Any]


def number(value: float | None) -> float | None:
    """Return a number rounded to five digits; null unless it is finite.

    Example:
        >>> number(-0.123456789), number(math.inf)
        (-0.12346, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS - 1}e}") + 0.0


def three(row: Row, value: str, low: str, high: str) -> list[float | None]:
    """Return a statistic with its interval."""
    return [number(row[name]) for name in (value, low, high)]


def skill_of(row: Row) -> list[float | None]:
    """Return skill, low and high."""
    return three(row, "skill", "low", "high")
