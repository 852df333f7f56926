"""What `harness signals` tells: what was recorded, and what the curves say early."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from harness.columns import aligned, percent
from harness.corpus import Corpus
from harness.early.table import early_signals
from harness.measure import OK
from harness.storage import replacing

_DICTIONARY: Final = (
    "name",
    "probe",
    "unit",
    "probe_share_of_train_passes",
    "probe_share_of_train_seconds",
    "meaning",
)


def recorded(corpus: Corpus) -> pl.DataFrame:
    """Return the dictionary of signals with what each probe cost."""
    return corpus.signals().select(_DICTIONARY)


def recorded_text(table: pl.DataFrame) -> str:
    """Return the dictionary as aligned text; prices are shares of training."""
    rows = [
        (name, probe, percent(passes), percent(seconds), unit, meaning)
        for name, probe, unit, passes, seconds, meaning in table.rows()
        if not name.endswith("_se")
    ]
    header = ("signal", "probe", "passes", "seconds", "unit", "meaning")
    return "\n".join(
        [
            *aligned([header, *rows], right=(2, 3)),
            "",
            "passes, seconds: what the whole probe cost, in percent of training; the "
            "signals of one probe share it",
        ]
    )


def computed(
    corpus: Corpus, window: float, names: Sequence[str] | None, out: Path | None
) -> pl.DataFrame:
    """Return `early_signals` and write the table if a file is named.

    Raises:
        KeyError: A signal is unknown.
        ValueError: The window is no share, or the file is neither Parquet nor CSV.
    """
    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"--out is {out}, expected a file ending in .parquet or .csv")
    table = early_signals(corpus, until=window, names=names)
    if out is not None:
        with replacing(out) as temporary:
            if out.suffix == ".csv":
                table.write_csv(temporary)
            else:
                table.write_parquet(temporary)
    return table


def summary(table: pl.DataFrame) -> pl.DataFrame:
    """Return a row a signal: runs, how many have a value, quartiles, other statuses."""
    return table.group_by("signal", maintain_order=True).agg(
        pl.col("unit").first(),
        pl.len().alias("runs"),
        (pl.col("status") == OK).sum().alias("ok"),
        pl.col("value").quantile(0.25, "linear").alias("q25"),
        pl.col("value").median().alias("median"),
        pl.col("value").quantile(0.75, "linear").alias("q75"),
        pl.col("status")
        .filter(pl.col("status") != OK)
        .value_counts(sort=True)
        .struct.field("status")
        .first()
        .alias("else"),
    )


def summary_text(table: pl.DataFrame) -> str:
    """Return the summary as aligned text."""
    rows = [
        (
            row["signal"],
            f"{row['ok']}/{row['runs']}",
            *(_number(row[key]) for key in ("q25", "median", "q75")),
            row["unit"],
            row["else"] or "",
        )
        for row in table.iter_rows(named=True)
    ]
    header = ("signal", "values", "25 %", "median", "75 %", "unit", "else mostly")
    return "\n".join(aligned([header, *rows], right=(1, 2, 3, 4)))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
