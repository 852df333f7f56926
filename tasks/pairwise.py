"""Every two predictors against each other, at the main metric of a task."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.checked import checked
from tasks.scores import p_values, scores, true_values
from tasks.sealed import Entry, Sealed
from tasks.statistics.bootstrap import combine
from tasks.statistics.multiplicity import holm

COLUMNS: Final = pl.Schema(
    {
        "task": pl.String,
        "metric": pl.String,
        "first": pl.String,
        "second": pl.String,
        "difference": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "p_holm": pl.Float64,
    }
)
"""Columns of the rows, in order."""


def pairwise(
    found: Sealed, entries: Mapping[str, Entry], *, resamples: int, seed: int = 0
) -> pl.DataFrame:
    """Return a row a pair of predictors: how their main scores differ.

    difference, low, high: score of the first less that of the second, with its 95 %
        interval over resampled families, the same draws for both.
    p, p_holm: as in `tasks.evaluate`, adjusted over the pairs of the task.

    Predictors that declined every example are left out. What one of both declined is
    scored as the reference, as everywhere.

    Args:
        found: The truth.
        entries: Answers by the predictor's name, the task's reference among them.
        resamples: Resamples behind each interval.
        seed: Names the draws.

    Raises:
        ValueError: A table is not what was asked for.

    Cost: that of the scores, of one metric.
    """
    task, answers = found.task, found.answers
    tables = {name: entry.table for name, entry in entries.items()}
    tables = {task.reference: found.reference} | tables
    said = checked(task, answers, tables, found.asked)
    reference = said[task.reference]
    answering = {
        name: one.filled(reference)
        for name, one in said.items()
        if not one.gone().all()
    }
    alone = replace(task, metrics=task.metrics[:1])
    (one,) = scores(alone, answers, answering, resamples=resamples, seed=seed)
    truth = true_values(task, answers)
    rows: list[dict[str, Any]] = []
    for at, first in enumerate(one.names):
        p = p_values(one.metric, answers, truth, one.said, one.score, against=at)
        for other in range(at + 1, len(one.names)):
            gap = combine(np.subtract, one.score.at(at), one.score.at(other))
            rows.append(
                {
                    "task": task.name,
                    "metric": one.metric.name,
                    "first": first,
                    "second": one.names[other],
                    "difference": float(gap.value),
                    "low": float(gap.low),
                    "high": float(gap.high),
                    "p": float(p[other]),
                }
            )
    told = [row for row in rows if np.isfinite(row["p"])]
    for row, adjusted in zip(told, holm([row["p"] for row in told]), strict=True):
        row["p_holm"] = float(adjusted)
    table = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))
