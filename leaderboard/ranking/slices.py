"""How skilful entries are among the runs of one optimizer, schedule, size or ending."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from leaderboard.ranking.joint import Draws, Errors, errors, given_of, rows_of
from tasks.checked import Given, counted
from tasks.question import Answers
from tasks.sealed import Sealed

BY: Final = ("optimizer.name", "schedule.name", "batch_size", "status")
"""Columns of the table `runs` that runs are divided by."""
MOST: Final = 12
"""Levels of a column that are shown, the first in their order."""
NONE: Final = pl.DataFrame(
    schema={
        "task": pl.String,
        "by": pl.String,
        "level": pl.String,
        "n": pl.Int64,
        "families": pl.Int64,
        "name": pl.String,
        "skill": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
"""No row of `table`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The runs of one level, and the errors of everybody there."""

    by: str
    """Column."""
    level: str
    """Its value."""
    n: int
    """Runs."""
    families: int
    """Families; with fewer than two there are no intervals."""
    errors: Errors
    """Over the same draws as everywhere; `[P, 0]` samples where there is no interval.
    Of a metric that ranks runs, ranked among the slice's own."""


def levels(answers: Answers, by: str) -> list[Any]:
    """Return the levels of a column that divide the scored runs; none if only one."""
    if by not in answers.runs.columns:
        return []
    found = answers.runs[by].drop_nulls().unique().sort().to_list()
    return found[:MOST] if len(found) > 1 else []


def slices(found: Sealed, given: Mapping[str, Given], draws: Draws) -> Iterator[Slice]:
    """Yield every level of every column of `BY`.

    Cost: a column takes about as long as the errors of all runs.

    Args:
        found: The truth.
        given: As of `leaderboard.ranking.joint.errors`.
        draws: Shared by all tasks.
    """
    for by in BY:
        for level in levels(found.answers, by):
            rows = (found.answers.runs[by] == level).fill_null(False).to_numpy()
            answers = rows_of(found.answers, rows)
            width = None
            if found.task.kind == "curve":
                width = counted(answers).shape[1]
            own = {name: given_of(one, rows, width) for name, one in given.items()}
            families = len(set(answers.families))
            here = errors(found.task, answers, own, draws)
            if families < 2:
                here = replace(here, samples=np.empty((len(here.names), 0)))
            yield Slice(
                by=by,
                level=str(level),
                n=len(answers.ids),
                families=families,
                errors=here,
            )


def table(task: str, found: Slice) -> pl.DataFrame:
    """Return a row an entry: task, by, level, n, families, name, skill, low, high."""
    skill = found.errors.skill()
    numbers = {"skill": skill.value, "low": skill.low, "high": skill.high}
    return (
        pl.DataFrame({"name": found.errors.names, **numbers})
        .with_columns(
            pl.lit(task).alias("task"),
            pl.lit(found.by).alias("by"),
            pl.lit(found.level).alias("level"),
            pl.lit(found.n, pl.Int64).alias("n"),
            pl.lit(found.families, pl.Int64).alias("families"),
            pl.col(*numbers).fill_nan(None),
        )
        .select(NONE.columns)
    )
