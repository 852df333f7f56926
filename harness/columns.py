"""Rows of text in columns, and shares as text, for what commands and cards print."""

from collections.abc import Collection, Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[Any]], *, right: Collection[int] = ()) -> list[str]:
    """Return rows as lines; columns numbered in `right` end, others begin, together.

    Example:
        >>> aligned([("a", 10), ("bc", 5)], right=(1,))
        ['a   10', 'bc   5']
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def percent(share: float | None) -> str:
    """Return a share in percent, "-" where there is none.

    Example:
        >>> percent(0.0468), percent(None)
        ('4.7 %', '-')
    """
    return "-" if share is None else f"{100 * share:,.1f} %"
