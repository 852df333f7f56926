"""The run explorer's data: parquet that the page reads in the browser, over http.

runs/, curves/       the corpus's own files, byte for byte
laws.parquet         power laws and knees that `harness` finds in each window
forecasts/SLUG.parquet   what everybody said of each run, beside the truth
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from harness.corpus import Corpus
from harness.early.curves import EarlyCurves, early_curves
from harness.early.estimates import of_epochs
from harness.early.table import signals_of
from harness.fits.shifted_power import fit_shifted_power
from harness.storage import replacing, sha256_of, write_parquet
from leaderboard.page.render import slug
from tasks.answering import quantile_name
from tasks.base import Task
from tasks.sealed import Sealed

FORMAT: Final = 1
"""Raised when the files change their meaning."""
TABLES: Final = ("runs", "curves")
"""Tables of the corpus that the browser reads."""
RUNS_A_GROUP: Final = 32
"""Runs of a row group: what a browser reads to show one of them."""
SKIPPED_EPOCHS: Final = 2
"""Left out of the law with a floor, as `harness.early.alternatives` does."""
LAWS: Final = {
    "burn_in_power_law": "L = c t^-a from the end of burn-in to the window's end",
    "power_law": "L = c t^-a in the epochs 6 to 15, as far as the window goes",
    "shifted_power": "L = E + c t^-a after the first two epochs",
    "knee": "a bend that the learning rate's jumps do not explain",
}
"""What is fitted to the epoch means of train_loss, t in epochs."""
EARLY: Final = ("burn_in_power_law", "power_law", "knee")
"""Of these, the registered curve signals."""
SCHEMA: Final = pl.Schema(
    {
        "run_id": pl.String,
        "until": pl.Float64,
        "law": pl.String,
        "version": pl.String,
        "status": pl.String,
        "prefactor": pl.Float64,
        "exponent": pl.Float64,
        "offset": pl.Float64,
        "r2": pl.Float64,
        "n": pl.Int64,
        "first_step": pl.Float64,
        "last_step": pl.Float64,
        "knee_step": pl.Float64,
        "schedule": pl.Boolean,
    }
)
"""Columns of the laws, see `laws`."""


def write_explorer(
    out: Path,
    corpus: Corpus,
    truth: Callable[[Task], Sealed],
    tables: Mapping[str, Mapping[str, pl.DataFrame]],
    tasks: Sequence[Task],
) -> dict[str, Any]:
    """Write what the run explorer of a public board reads.

    Args:
        out: Folder of the explorer, `site/data/BOARD/explorer`.
        corpus: The board's corpus.
        truth: What scoring a task needs, see `leaderboard.boards.truth_of`.
        tables: Predictions by entry and task, see `tasks.answering`.
        tasks: The board's tasks.

    Returns:
        What the page must know to read the files: `files` with size and digest, laws,
        tasks, windows, signals.

    Raises:
        CorpusError: A file of the corpus has changed.

    Cost: copies the corpus; then some 2 s a window and 0.2 s a task for 432 runs.
    """
    written = [name for name in sorted(corpus.manifest["files"]) if _is_copied(name)]
    for name in written:
        with replacing(out / name) as temporary:
            shutil.copyfile(corpus.path(name), temporary)
    windows = sorted({task.visibility.until for task in tasks})
    _write(out / "laws.parquet", laws(corpus, windows))
    described = []
    for task in tasks:
        given = {
            n: found[task.name] for n, found in tables.items() if task.name in found
        }
        name = f"forecasts/{slug(task.name)}.parquet"
        _write(out / name, forecasts(truth(task), given))
        described.append(_task(task, name, list(given)))
    written += ["laws.parquet", *(task["file"] for task in described)]
    dictionary = corpus.signals().unique("name", keep="first", maintain_order=True)
    return {
        "format": FORMAT,
        "files": {name: _file(out / name) for name in written},
        "windows": windows,
        "laws": [{"name": name, "says": says} for name, says in LAWS.items()],
        "signals": dictionary.select("name", "unit", "meaning").to_dicts(),
        "tasks": described,
    }


def laws(corpus: Corpus, windows: Sequence[float]) -> pl.DataFrame:
    """Fit power laws, and look for knees, in windows of every run with curves.

    A row is a law of a run in a window, sorted by run, window and the order of `LAWS`:

    run_id, until; law, version: estimator of `harness.fits`.
    status: of `harness.measure`; what follows is null unless it is "ok".
    prefactor, exponent, offset: c in nats, a, and E in nats (0 where there is none) of
        L = E + c t^-a, t in epochs; r2, on the scale of the fit.
    n, first_step, last_step: epochs and steps used; null without a window.
    knee_step: where the knee is, if it is one; schedule: whether the rate changed.

    Args:
        corpus: An open corpus.
        windows: Shares of each run's steps, in (0, 1].

    Cost: reads the curves up to each window once; some 2 ms a run and window.

    Example:
        A loss of exactly 0.9 t^-0.5 has prefactor 0.9, exponent 0.5, offset 0, r2 1.
    """
    parts = [SCHEMA.to_frame()]
    for until in windows:
        for curves in early_curves(corpus, until):
            found = [_registered(curves, until), _shifted(curves, until)]
            parts.append(pl.concat(found).select(SCHEMA.names()).cast(SCHEMA))
    order = pl.col("law").replace_strict({law: i for i, law in enumerate(LAWS)})
    return pl.concat(parts).sort("run_id", "until", order)


def forecasts(found: Sealed, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return what predictors said of the scored runs, beside the truth.

    A row is a run and predictor, sorted by run, then in the order of `tables`: run_id,
    predictor, truth, prediction (null: declined), quantiles of the task's levels where
    one predictor gives them, reason. Where a curve is asked for, `first_epoch` and, in
    truth and prediction, one number for it and each epoch that follows.

    Args:
        found: The truth.
        tables: Predictions by entry. Rows about runs that are not scored are left out.
    """
    task, answers = found.task, found.answers
    asked = pl.DataFrame(
        {
            "id": answers.ids,
            "run_id": answers.run_ids,
            "truth": [list(c) for c in answers.curves] or answers.values,
        }
    )
    wanted = ["prediction", "reason"] + [quantile_name(level) for level in task.levels]
    parts = []
    for number, (name, table) in enumerate(tables.items()):
        texts = pl.String if "reason" in table.columns else pl.Null
        if task.kind == "curve":
            table = (
                table.sort("id", "epoch")
                .group_by("id", maintain_order=True)
                .agg(
                    pl.col("epoch").first().cast(pl.Int32).alias("first_epoch"),
                    pl.col("prediction").cast(pl.Float64),
                    pl.col("reason").drop_nulls().first().cast(texts)
                    if texts == pl.String
                    else pl.lit(None).alias("reason"),
                )
            )
        kept = [c for c in table.columns if c in (*wanted, "first_epoch")]
        table = asked.join(table.select("id", *kept), on="id", maintain_order="left")
        numbers = [c for c in kept if table[c].dtype.is_float()]
        parts.append(
            table.drop("id").with_columns(
                pl.col(numbers).cast(pl.Float64),
                predictor=pl.lit(name),
                number=pl.lit(number),
            )
        )
    empty = (
        asked.drop("id").clear().with_columns(predictor=pl.lit(""), number=pl.lit(0))
    )
    rows = pl.concat(parts or [empty], how="diagonal_relaxed").sort("run_id", "number")
    first = ["run_id", "predictor", "truth"]
    return rows.select(*first, pl.exclude(*first, "number"))


def _registered(curves: EarlyCurves, until: float) -> pl.DataFrame:
    """Return the rows of the laws that are registered curve signals."""
    long = signals_of([curves], until, EARLY).with_columns(
        law=pl.col("signal").str.split(".").list.first(),
        quantity=pl.col("signal").str.split(".").list.last(),
    )
    about = ["status", "n", "window_first", "window_last", "estimator_version"]
    numbers = {
        name: pl.col("value").filter(pl.col("quantity") == name).first()
        for name in ("alpha", "log_c", "r2", "knee", "t_knee", "schedule")
    }
    wide = long.group_by("run_id", "law", maintain_order=True).agg(
        pl.col(about).first(), **numbers
    )
    is_knee = pl.col("knee") == 1
    return wide.select(
        "run_id",
        "law",
        "status",
        "n",
        "r2",
        until=pl.lit(until),
        version="estimator_version",
        prefactor=pl.col("log_c").exp(),
        exponent="alpha",
        offset=pl.when(pl.col("alpha").is_not_null()).then(0.0),
        first_step="window_first",
        last_step="window_last",
        knee_step=pl.when(is_knee).then(pl.col("t_knee") * curves.steps_per_epoch),
        schedule=pl.when(is_knee).then(pl.col("schedule") == 1),
    ).select(SCHEMA.names())


def _shifted(curves: EarlyCurves, until: float) -> pl.DataFrame:
    """Return the rows of the law with a floor."""
    found = of_epochs(
        fit_shifted_power(
            curves.epoch_axis(), curves.epoch_means(), window=(SKIPPED_EPOCHS, np.inf)
        ),
        curves.steps_per_epoch,
    )
    columns = {
        "run_id": list(curves.run_ids),
        "status": found.status.tolist(),
        "prefactor": found.values["A"],
        "exponent": found.values["alpha"],
        "offset": found.values["E"],
        "r2": found.values["r2"],
        "n": found.n,
        "first_step": found.window[:, 0],
        "last_step": found.window[:, 1],
    }
    return (
        pl.DataFrame(columns)
        .with_columns(
            pl.col(pl.Float64).fill_nan(None),
            until=pl.lit(until),
            law=pl.lit(found.estimator),
            version=pl.lit(found.estimator_version),
            knee_step=pl.lit(None, pl.Float64),
            schedule=pl.lit(None, pl.Boolean),
        )
        .select(SCHEMA.names())
    )


def _task(task: Task, file: str, predictors: Sequence[str]) -> dict[str, Any]:
    """Return what the page must know of a task's forecasts."""
    return {
        "name": task.name,
        "kind": task.kind,
        "unit": task.unit,
        "question": task.question,
        "until": task.visibility.until,
        "levels": [[level, quantile_name(level)] for level in task.levels],
        "predictors": predictors,
        "file": file,
    }


def _write(path: Path, table: pl.DataFrame) -> None:
    """Write a table that is sorted by run in row groups of few runs."""
    with replacing(path) as temporary:
        write_parquet(temporary, table.to_arrow(), list(_groups(table)))


def _groups(table: pl.DataFrame) -> Iterator[pa.Table]:
    """Yield the rows of `RUNS_A_GROUP` runs at a time."""
    number = table["run_id"].rle_id() // RUNS_A_GROUP
    for part in table.with_columns(number=number).partition_by(
        "number", maintain_order=True, include_key=False
    ):
        yield part.to_arrow()


def _file(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _is_copied(name: str) -> bool:
    return name.split("/")[0] in TABLES
