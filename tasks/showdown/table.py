"""The noise showdown: which early signals know how a run ends, beyond its settings.

An analysis without submissions: a table of rank correlations, plain and with the
settings held fixed, with intervals, p-values, negative controls and costs.
`tasks.showdown.view` shows it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.measure import OK, TOO_SHORT
from tasks.showdown.correlations import NEGATIVE, STATISTICS, alike, correlations
from tasks.showdown.signals import showdown_signals, signal_costs
from tasks.statistics.multiplicity import holm
from tasks.targets import TARGETS

PRIMARY: Final = "final.test_accuracy"
PRIMARY_UNTIL: Final = 0.2
"""Named before any corpus was seen: plain Spearman, this target, this window."""

COLUMNS: Final = pl.Schema(
    {
        "signal": pl.String,
        "target": pl.String,
        "until": pl.Float64,
        "primary": pl.Boolean,
        "status": pl.String,
        "n": pl.Int64,
        "families": pl.Int64,
        "missing": pl.String,
        **dict.fromkeys(
            (
                f"{name}{suffix}"
                for name in STATISTICS
                for suffix in ("", "_low", "_high", "_p", "_p_holm")
            ),
            pl.Float64,
        ),
        **dict.fromkeys(
            (f"{name}{suffix}" for name in NEGATIVE for suffix in ("", "_p")),
            pl.Float64,
        ),
        "cost_passes": pl.Float64,
        "cost_seconds": pl.Float64,
    }
)
"""Columns of the table, in order."""


def showdown(
    corpus: Corpus,
    *,
    until: float = PRIMARY_UNTIL,
    targets: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Return how each early signal correlates with how runs end, and what it costs.

    A row a (target, signal), of the runs that have both:

    signal, target, until: a name of `tasks.showdown.signals`, a column of the table
        `runs`, the window.
    primary: whether `spearman` of this row belongs to the hypothesis named beforehand.
    status: "ok"; "too_short": fewer families than two for each column of controls,
        the constant being one; "not_applicable": signal or target does not vary, or the
        controls explain it.
    n, families, missing: runs and families used; why the others have no value, such as
        "too_short 364".
    spearman: Spearman's correlation, plain.
    partial: with learning rate, batch size, optimizer, schedule and augmentation held
        fixed, as far as they vary: the ranks of the first two and dummies add up
        (`tasks.statistics.partial`).
    levels: with a dummy for every learning rate of every optimizer and every batch
        size instead of ranks, null with too few families. A rate can be too small or
        too large for a run; ranks that add up do not hold that fixed, dummies do. What
        `partial` sees and `levels` does not, the settings knew.
    *_low, *_high: 95 % percentile interval over resampled families.
    *_p: two-sided, from the same resamples: atanh(r) over its standard deviation has
        Student's distribution with (families - 1) degrees of freedom.
    *_p_holm: adjusted over all signals and targets of the table (Holm 1979).
    shuffled, wrong_run: negative controls, `partial` when families have exchanged the
        signal, and when each run has that of a run of another family, so of other
        settings; their p-values must look uniform.
    cost_passes, cost_seconds: shares of a run's training, `signal_costs`.

    Args:
        corpus: An open corpus.
        until: Share of each run's steps, in (0, 1].
        targets: Columns of `runs`; None for final test accuracy and all accuracies
            under shift that the corpus has.
        resamples: Bootstrap resamples.
        seed: Names all draws.

    Raises:
        DataError: The corpus lacks a target.
        ValueError: `until` is out of range.

    Cost: 432 runs, 67 signals, 2 targets, 1,000 resamples: some 7 s on one core.
    """
    runs = corpus.runs()
    names = _default_targets(runs) if targets is None else list(targets)
    long = showdown_signals(corpus, until)
    prices = signal_costs(corpus, until)
    rows: list[dict[str, Any]] = []
    for name in names:
        target = TARGETS.get("column")(corpus, name=name).drop_nulls()
        known = target.join(runs, on="run_id", maintain_order="left")
        found: dict[str, dict[str, Any]] = {}
        for part in alike(known, long):
            found |= dict(
                zip(part.names, correlations(part, resamples, seed), strict=True)
            )
        for row in _census(known, long):
            rows.append(row | found.get(row["signal"], {}) | {"target": name})
    return _finished(rows, prices, until)


def _default_targets(runs: pl.DataFrame) -> list[str]:
    """Return the final test accuracy and the accuracies under shift that exist."""
    shifted = [
        c for c in runs.columns if c.startswith("ood.") and c[-9:] == "_accuracy"
    ]
    return [PRIMARY, *(c for c in shifted if runs[c].count())]


def _census(known: pl.DataFrame, long: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield for each signal its source, and which runs with the target lack it why."""
    of_known = long.join(known.select("run_id"), on="run_id", how="semi")
    for (signal,), part in of_known.group_by("signal", maintain_order=True):
        lost = part.filter(pl.col("status") != OK)["status"].value_counts()
        reasons = [f"{reason} {count}" for reason, count in sorted(lost.rows())]
        num = part.height - int(lost["count"].sum())
        yield {
            "signal": signal,
            "source": part["source"][0],
            "status": TOO_SHORT,
            "n": num,
            "families": 0,
            "missing": ", ".join(reasons),
        }


def _finished(
    rows: list[dict[str, Any]], prices: pl.DataFrame, until: float
) -> pl.DataFrame:
    """Return the table, with costs, adjusted p-values and the primary hypothesis."""
    schema = pl.Schema([*COLUMNS.items(), ("source", pl.String())])
    table = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(until).alias("until"),
        primary=(pl.col("target") == PRIMARY) & (until == PRIMARY_UNTIL),
    )
    free = pl.col("source").is_null()
    costs = [
        pl.when(free).then(0.0).otherwise(pl.col(f"{name}_right")).alias(name)
        for name in ("cost_passes", "cost_seconds")
    ]
    table = table.join(prices, on="source", how="left", maintain_order="left")
    table = table.with_columns(costs).select(COLUMNS.names())
    table = table.with_columns(pl.col(pl.Float64).fill_nan(None))
    return table.with_columns(_adjusted(table[f"{n}_p"]) for n in STATISTICS)


def _adjusted(p: pl.Series) -> pl.Series:
    """Return Holm's p-values over all that were tested, as `*_holm`."""
    values = p.to_numpy().copy()
    tested = np.isfinite(values)
    values[tested] = holm(values[tested])
    return pl.Series(f"{p.name}_holm", values).fill_nan(None)
