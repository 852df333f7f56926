"""All tasks together: a table a pool, everybody against everybody, the cost front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from harness.measure import Floats
from leaderboard.ranking.joint import Errors
from leaderboard.ranking.rank import (
    Pairs,
    display_order,
    interval,
    overall_skill,
    pairwise,
    ranking,
    together,
)

OVERALL: Final = pl.Schema(
    {
        "pool": pl.String,
        "name": pl.String,
        "rank": pl.Int64,
        "skill": pl.Float64,
        "skill_low": pl.Float64,
        "skill_high": pl.Float64,
        "win_rate": pl.Float64,
        "win_rate_low": pl.Float64,
        "win_rate_high": pl.Float64,
        "mean_rank": pl.Float64,
        "mean_rank_low": pl.Float64,
        "mean_rank_high": pl.Float64,
        "tasks": pl.Int64,
    }
)
"""Columns of the overall table, in order; tasks: how many the entry has a score of its
own at. At the others it counts as the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Everybody against everybody."""

    names: tuple[str, ...]
    """Rows and columns."""
    pairs: Pairs
    """`[P, P]`."""


def stacked(found: Mapping[str, Errors], names: Sequence[str]) -> tuple[Floats, Floats]:
    """Return errors `[T, P]` and their samples `[T, P, B]`, NaN where there is none.

    Args:
        found: By task.
        names: Columns.
    """
    parts = [one.of(names) for one in found.values()]
    return np.stack([p for p, _ in parts]), np.stack([s for _, s in parts])


def overall(
    pool: str,
    value: Floats,
    samples: Floats,
    *,
    names: Sequence[str],
    submitted: Sequence[str | None],
    tasks: Sequence[int],
) -> pl.DataFrame:
    """Return the rows of a pool in the order in which they are shown.

    Args:
        pool: Its name.
        value: Errors `[T, P]`, the reference first.
        samples: `[T, P, B]`.
        names: `[P]`.
        submitted: `[P]`, dates.
        tasks: `[P]`, how many each answers.
    """
    found = ranking(value, samples, reference=0)
    columns: dict[str, object] = {"name": list(names), "rank": found.rank}
    for name in ("skill", "win_rate", "mean_rank"):
        part = getattr(found, name)
        columns[name] = part.value
        columns |= {f"{name}_low": part.low, f"{name}_high": part.high}
    order = display_order(found.rank, found.skill.value, submitted, names)
    return (
        pl.DataFrame(columns | {"tasks": list(tasks)})
        .with_columns(pl.lit(pool).alias("pool"))
        .select(OVERALL.names())
        .cast(OVERALL)
        .with_columns(pl.col(pl.Float64).fill_nan(None))[order]
    )


def matrix(names: Sequence[str], value: Floats, samples: Floats) -> Matrix:
    """Return everybody against everybody; the reference is the first."""
    return Matrix(names=tuple(names), pairs=pairwise(value, samples, reference=0))


def unranked(
    found: Mapping[str, Errors], names: Sequence[str], reference: str
) -> pl.DataFrame:
    """Return the overall skill of what is not ranked: name, skill, low, high, tasks.

    Args:
        found: By task.
        names: Such as those of controls.
        reference: Name of the entry with skill 0.
    """
    value, samples = stacked(found, [reference, *names])
    skill = interval(overall_skill(together(value, samples, 0), 0))
    columns = {"skill": skill.value, "low": skill.low, "high": skill.high}
    tasks = np.isfinite(value).sum(axis=0)
    table = pl.DataFrame({"name": [reference, *names], **columns, "tasks": tasks})
    return table[1:].with_columns(pl.col(*columns).fill_nan(None))


def front(cost: Sequence[float | None], skill: Sequence[float | None]) -> list[bool]:
    """Return who is on the Pareto front of cost and skill.

    On the front: nobody else is at least as skilful and at most as dear, and better in
    one of both. Who has no known cost or skill is not on it and beats nobody.

    Args:
        cost: `[P]`, less is better.
        skill: `[P]`, more is better.

    Example:
        >>> front([0.1, 0.2, 0.2, None], [0.5, 0.5, 0.7, 0.9])
        [True, False, True, False]
    """

    def beaten(c: float, s: float) -> bool:
        return any(
            other <= c and more >= s and (other < c or more > s)
            for other, more in zip(cost, skill, strict=True)
            if other is not None and more is not None
        )

    return [
        c is not None and s is not None and not beaten(c, s)
        for c, s in zip(cost, skill, strict=True)
    ]
