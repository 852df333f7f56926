"""What a task asks for: a number (or a curve) a run, from tables and full curves.

A target that a run does not have is null; such a run is in no part of the task. Further
columns are what a metric must know beside the value, such as `happened`.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import LOSS, last_step
from harness.errors import DataError
from harness.fits.plateau import POINTS, STAY, find_plateau
from harness.measure import TOO_SHORT, Floats
from harness.registry import Registry

TARGETS: Final[Registry[Callable[..., pl.DataFrame]]] = Registry(
    "target", "tasks.targets"
)
"""Functions of a corpus that return a table with the columns run_id and value."""
DECIMALS: Final = 6
"""Of accuracies on curves, which are stored in float32."""


@TARGETS.register("column")
def column(corpus: Corpus, *, name: str, log: bool = False) -> pl.DataFrame:
    """Return a column of the table `runs`, or its natural logarithm.

    Raises:
        DataError: The corpus does not have the column, or nothing in it.
    """
    value = _column(corpus, name)
    return value.with_columns(_log(pl.col("value"))) if log else value


@TARGETS.register("ood_loss")
def ood_loss(corpus: Corpus, *, name: str, log: bool = False) -> pl.DataFrame:
    """Return a run's mean loss on an out-of-distribution set, or its logarithm.

    The mean is over the set's cells (a corruption at a severity), each of the same
    weight, as `ood.<set>_accuracy` is; null where a cell has no finite loss.

    Args:
        corpus: An open corpus.
        name: Name of the set, such as "digits-corrupted".
        log: Whether to return the natural logarithm.

    Raises:
        DataError: The corpus has no loss on this set.
    """
    table = corpus.ood().filter(pl.col("set") == name)
    loss = pl.col("loss").cast(pl.Float64)
    finite = loss.is_not_null() & loss.is_finite()
    means = table.group_by("run_id").agg(value=pl.when(finite.all()).then(loss.mean()))
    if not means["value"].count():
        known = ", ".join(sorted(corpus.ood()["set"].unique())) or "none"
        raise DataError(
            f"{corpus.name} has no losses on the set {name!r} (it has: {known}): "
            "record runs with the set among `recording.ood`"
        )
    found = _lengths(corpus).select("run_id").join(means, "run_id", "left")
    if log:
        found = found.with_columns(_log(pl.col("value")))
    return found.sort("run_id")


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
    if found["value"].drop_nulls().n_unique() < 2:
        raise DataError(
            f"no run of {corpus.name} diverged or ended with {name} below {below}, or "
            "every run did: there is nothing to tell apart; a grid with larger "
            "learning rates (edge) has both"
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
        raise DataError(
            f"no family of {corpus.name} has two runs with {name}: record every "
            "configuration with several seeds"
        )
    return found


@TARGETS.register("plateau")
def plateau(corpus: Corpus, *, signal: str = "lambda_1") -> pl.DataFrame:
    """Return the epoch from which a curvature stands still, or the end of sight.

    The column `happened` tells which: a run without a plateau (`harness.fits.plateau`)
    is censored at its last usable measurement, the last before one that is not finite
    and positive. Null with too few measurements to see a plateau. Step 0 is left out.

    Raises:
        DataError: No run has enough measurements, or no run reaches a plateau.
    """
    lengths = _lengths(corpus)
    curves = _joined(corpus, signal).join(
        lengths.select("run_id", "steps_per_epoch"), "run_id"
    )
    rows: list[tuple[str, float, bool]] = []
    longest = 0
    for (steps, size), alike in curves.group_by("steps", "steps_per_epoch"):
        times = np.asarray(steps, np.float64) / size
        values = np.array(alike["values"].to_list(), np.float64)
        longest = max(longest, len(times))
        found = find_plateau(times, values)
        seen = np.where(found.ok, found["t_plateau"], _last_usable(times, values))
        keep = (found.status != TOO_SHORT) & np.isfinite(seen)
        each = zip(alike["run_id"], seen.tolist(), found.ok.tolist(), strict=True)
        rows += [row for row, kept in zip(each, keep, strict=True) if kept]
    schema = {"run_id": pl.String, "value": pl.Float64, "happened": pl.Boolean}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    if not table["happened"].any():
        need = POINTS + STAY - 1
        raise DataError(
            f"no run of {corpus.name} shows a plateau of {signal!r}: it takes {need} "
            f"measurements or more, the runs have up to {longest}; record it at each "
            'epoch (cadence "epochs:1" of its probe)'
        )
    return lengths.select("run_id").join(table, "run_id", "left").sort("run_id")


@TARGETS.register("remaining_curve")
def remaining_curve(corpus: Corpus, *, after: float) -> pl.DataFrame:
    """Return the mean training loss of each whole epoch after the window, as lists.

    The first epoch is the first that begins at or after the window's last step, the
    last is the last whole one of the run. Null for runs that diverged, that lack an
    update, or whose loss is not finite and positive in each of these epochs.

    Args:
        corpus: An open corpus.
        after: End of the window, a share of each run's steps in (0, 1).

    Raises:
        DataError: No run has such a curve.
    """
    lengths = _lengths(corpus).filter(pl.col("status") == "completed")
    end = last_step(after, lengths["num_steps"].to_numpy())
    size = pl.col("steps_per_epoch")
    runs = lengths.select(
        "run_id",
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        size=size,
        first=(pl.Series(end) + size - 1) // size,
        stop=pl.col("num_steps") // size,
    )
    steps = (
        corpus.curves([LOSS])
        .join(runs, "run_id")
        .select("row", "size", "first", "stop", "steps", "values")
        .explode("steps", "values")
        .with_columns(epoch=(pl.col("steps") - 1) // pl.col("size"))
        .filter(pl.col("epoch").is_between("first", "stop", closed="left"))
    )
    epochs = steps.group_by("row", "epoch", "first", "stop", "size").agg(
        mean=pl.col("values").cast(pl.Float64).mean(), n=pl.len()
    )
    usable = (
        (pl.col("n") == pl.col("size"))
        & pl.col("mean").is_finite()
        & (pl.col("mean") > 0)
    )
    whole = pl.len() == (pl.col("stop") - pl.col("first")).first()
    curves = (
        epochs.sort("row", "epoch")
        .group_by("row")
        .agg(value=pl.col("mean"), usable=usable.all() & whole)
        .filter("usable")
        .join(runs, "row")
    )
    if curves.is_empty():
        raise DataError(
            f"no finished run of {corpus.name} has {LOSS} at every update of a whole "
            f"epoch after {after:.0%} of its steps: record or import it at every update"
        )
    found = _lengths(corpus).select("run_id")
    return found.join(curves.select("run_id", "value"), "run_id", "left").sort("run_id")


@TARGETS.register("last_good_checkpoint")
def last_good_checkpoint(corpus: Corpus, *, tolerance: float = 0.001) -> pl.DataFrame:
    """Return when the last checkpoint that is as good as a run's best was written.

    A checkpoint is written at every evaluation after step 0; its time is a share of
    the run's planned steps, its worth `val_accuracy`. The value is the time of the
    last one within the tolerance of the best: all before it can be deleted. Further
    columns, one number a checkpoint, are the context of `checkpoints_saved`:
    `evaluations`, their times, and `regrets`, what the best of all is better than the
    best of this checkpoint and those after it. Null without finite evaluations.

    Args:
        corpus: An open corpus.
        tolerance: Accuracy that may be lost.

    Raises:
        DataError: No run has `val_accuracy`.
    """
    lengths = _lengths(corpus)
    time = pl.col("steps") / pl.col("num_steps")
    accuracy = pl.col("values").cast(pl.Float64)
    best_left = accuracy.reverse().cum_max().reverse()
    good = (accuracy.max() - accuracy).round(DECIMALS) <= tolerance
    found = (
        _joined(corpus, "val_accuracy")
        .join(lengths.select("run_id", "num_steps"), "run_id")
        .explode("steps", "values")
        .filter(pl.col("values").is_finite())
        .group_by("run_id")
        .agg(
            value=time.filter(good).last(),
            evaluations=time,
            regrets=(accuracy.max() - best_left).round(DECIMALS),
        )
    )
    if found.is_empty():
        raise DataError(f"{corpus.name} has no values of 'val_accuracy' after step 0")
    return lengths.select("run_id").join(found, "run_id", "left").sort("run_id")


def _log(value: pl.Expr) -> pl.Expr:
    """Return the natural logarithm, null of what has none."""
    return pl.when(value > 0).then(value.log()).alias("value")


def _lengths(corpus: Corpus) -> pl.DataFrame:
    """Return the runs that did not fail with their lengths, sorted."""
    names = ["run_id", "status", "num_steps", "steps_per_epoch"]
    return corpus.runs(names).filter(pl.col("status") != "failed").sort("run_id")


def _joined(corpus: Corpus, signal: str) -> pl.DataFrame:
    """Return a signal after step 0, a row a run: run_id, steps, values."""
    return (
        corpus.curves([signal])
        .sort("run_id", "segment")
        .select("run_id", "steps", "values")
        .explode("steps", "values")
        .filter(pl.col("steps") > 0)
        .group_by("run_id", maintain_order=True)
        .agg("steps", "values")
    )


def _last_usable(times: Floats, values: Floats) -> Floats:
    """Return the time `[N]` of the last value before a bad one; NaN where none."""
    usable = np.isfinite(values) & (values > 0)
    count = usable.cumprod(axis=1).sum(axis=1)
    return np.where(count > 0, times[np.maximum(count, 1) - 1], np.nan)


def _column(corpus: Corpus, name: str) -> pl.DataFrame:
    """Return run_id and a numeric column of the runs that did not fail, as value."""
    runs = corpus.runs()
    if name not in runs.columns or not runs[name].count():
        kind, end = name.split(".")[0], name.split("_")[-1]
        known = [c for c in runs.columns if c.startswith(f"{kind}.") and end in c]
        raise DataError(
            f"{corpus.name} has no values of {name!r} (it has: "
            f"{', '.join(known) or 'nothing like it'}): record or import it"
        )
    kept = runs.filter(pl.col("status") != "failed").sort("run_id")
    return kept.select("run_id", pl.col(name).cast(pl.Float64).alias("value"))
