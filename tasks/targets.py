"""What a task asks for: a number a run, from the corpus's tables and full curves.

A target that a run does not have is null; such a run is in no part of the task.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import early_curves
from harness.errors import DataError
from harness.fits.plateau import find_plateau
from harness.registry import Registry

TARGETS: Final[Registry[Callable[..., pl.DataFrame]]] = Registry(
    "target", "tasks.targets"
)
"""Functions of a corpus that return a table with the columns run_id and value."""


@TARGETS.register("column")
def column(corpus: Corpus, *, name: str, log: bool = False) -> pl.DataFrame:
    """Return a column of the table `runs`, or its natural logarithm.

    Raises:
        DataError: The corpus does not have the column, or nothing in it.
    """
    value = _column(corpus, name)
    if log:
        value = value.with_columns(
            pl.when(pl.col("value") > 0).then(pl.col("value").log())
        )
    return value


@TARGETS.register("failed_to_learn")
def failed_to_learn(
    corpus: Corpus, *, below: float = 0.2, name: str = "final.test_accuracy"
) -> pl.DataFrame:
    """Return 1 for runs that diverged or ended below an accuracy, else 0.

    Raises:
        DataError: The corpus does not have the column, or only one of both outcomes.
    """
    status = corpus.runs(["run_id", "status"])
    joined = _column(corpus, name).join(status, on="run_id")
    bad = (pl.col("status") == "diverged") | (pl.col("value") < below)
    found = joined.select("run_id", bad.cast(pl.Float64).alias("value"))
    if found["value"].n_unique() < 2:
        raise DataError(
            f"no run of {corpus.name} diverged or ended with {name} below {below}, or "
            "every run did: there is nothing to tell apart"
        )
    return found


@TARGETS.register("deviation")
def deviation(corpus: Corpus, *, name: str = "final.test_accuracy") -> pl.DataFrame:
    """Return how far a run ends from the mean of its family's other runs.

    Raises:
        DataError: The corpus does not have the column, or no family of two runs.
    """
    families = corpus.runs(["run_id", "family_id"])
    joined = _column(corpus, name).drop_nulls().join(families, on="run_id")
    total, count = pl.col("value").sum(), pl.len()
    others = (total - pl.col("value")) / (count - 1)
    found = joined.with_columns(
        pl.when(count.over("family_id") > 1)
        .then(pl.col("value") - others.over("family_id"))
        .alias("value")
    ).select("run_id", "value")
    if not found["value"].count():
        raise DataError(f"no family of {corpus.name} has two runs with {name}")
    return found


@TARGETS.register("plateau")
def plateau(corpus: Corpus, *, signal: str = "lambda_1") -> pl.DataFrame:
    """Return the epoch from which a curvature stands still (`harness.fits.plateau`).

    Null where it never does in the run, which is not the same as late: such runs are
    censored at their end.

    Raises:
        DataError: The corpus does not record the signal.
    """
    if signal not in corpus.signals()["name"]:
        raise DataError(f"{corpus.name} does not record {signal!r}")
    rows: list[tuple[str, float | None]] = []
    for block in early_curves(corpus, 1.0):
        for alike in block.recorded[signal].alike():
            after = alike.steps > 0
            times = alike.steps[after] / block.steps_per_epoch
            found = find_plateau(times, alike.values[:, after])
            values = np.where(found.ok, found["t_plateau"], np.nan)
            names = [block.run_ids[row] for row in alike.rows]
            rows += zip(names, values.tolist(), strict=True)
    table = pl.DataFrame(
        rows, schema={"run_id": pl.String, "value": pl.Float64}, orient="row"
    )
    return table.with_columns(pl.col("value").fill_nan(None)).sort("run_id")


def _column(corpus: Corpus, name: str) -> pl.DataFrame:
    """Return run_id and a numeric column of the runs that did not fail, as value."""
    runs = corpus.runs()
    if name not in runs.columns or not runs[name].count():
        known = ", ".join(c for c in runs.columns if c.startswith(("final.", "ood.")))
        raise DataError(f"{corpus.name} has no values of {name!r} (it has: {known})")
    kept = runs.filter(pl.col("status") != "failed").sort("run_id")
    return kept.select("run_id", pl.col(name).cast(pl.Float64).alias("value"))
