"""Correlations of signals with a target, for the runs that have the same signals.

The statistics of the noise showdown (`tasks.showdown`).
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.measure import NOT_APPLICABLE, OK, Floats
from harness.seeds import stream
from tasks.metrics.inputs import Ints
from tasks.metrics.rank import spearman
from tasks.statistics.bootstrap import Bootstrap, cluster_bootstrap
from tasks.statistics.partial import partial_spearman

NUMERIC: Final = ("optimizer.lr", "batch_size")
"""Controls by rank, which the logarithm of a rate does not change."""
CATEGORIES: Final = ("optimizer.name", "schedule.name", "augmentation.name")
STATISTICS: Final = ("spearman", "partial", "levels")
NEGATIVE: Final = ("shuffled", "wrong_run")
"""Negative controls."""
NEGATIVE_RESAMPLES: Final = 200
"""At most so many are taken for them: enough for a standard deviation."""
PER_COLUMN: Final = 2
"""Families needed for each column of controls: fewer fit them by chance."""
EDGE: Final = 1 - 1e-9
"""Correlations are cut here, where Fisher's scale is still finite."""


class Rows(NamedTuple):
    """Runs that have a target and the same signals."""

    names: list[str]
    """`[S]`, the signals."""
    signals: Floats
    """`[S, N]`."""
    truth: Floats
    """`[N]`."""
    families: Ints
    """`[N]`."""
    numeric: list[Floats]
    """Numeric controls that vary, `[N]` each."""
    categories: list[npt.NDArray[Any]]
    """Other controls that vary, `[N]` each."""
    levels: list[npt.NDArray[Any]]
    """All of them as categories, a learning rate with its optimizer, `[N]` each."""


def alike(known: pl.DataFrame, long: pl.DataFrame) -> Iterator[Rows]:
    """Yield the runs of each pattern of missing signals, with these signals."""
    table = long.pivot(on="signal", index="run_id", values="value")
    table = known.select("run_id").join(table, on="run_id", maintain_order="left")
    names = table.columns[1:]
    values = table.drop("run_id").to_numpy().astype(np.float64).T
    patterns, which = np.unique(np.isfinite(values), axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        some = known.filter(pl.Series(pattern))
        rows = np.flatnonzero(which.reshape(-1) == number)
        if len(some):
            yield Rows(
                names=[names[i] for i in rows],
                signals=values[rows][:, pattern],
                truth=some["value"].to_numpy(),
                families=np.unique(some["family_id"], return_inverse=True)[1],
                **_controls(some),
            )


def _controls(runs: pl.DataFrame) -> dict[str, Any]:
    """Return the controls that vary between these runs, as `Rows` has them."""
    varies = [
        runs[name]
        for name in (*NUMERIC, *CATEGORIES)
        if name in runs.columns and runs[name].n_unique() > 1
    ]
    numeric = [c for c in varies if c.name in NUMERIC]
    # A dummy for "not known" makes the value that is filled in immaterial.
    unknown = [c.is_null().to_numpy() for c in numeric if c.null_count()]
    others = [c.fill_null("").to_numpy() for c in varies if c.name in CATEGORIES]
    cells = [c.cast(pl.String).fill_null("") for c in numeric]
    if "optimizer.lr" in [c.name for c in cells] and "optimizer.name" in runs.columns:
        cells[0] = cells[0] + " " + runs["optimizer.name"].fill_null("")
    return {
        "numeric": [
            c.cast(pl.Float64).fill_null(strategy="min").to_numpy() for c in numeric
        ],
        "categories": unknown + others,
        "levels": [c.to_numpy() for c in cells] + others,
    }


def correlations(part: Rows, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Return the statistics of each signal of a part."""
    num_families = len(np.unique(part.families))
    enough = num_families // PER_COLUMN
    if enough < 1 + len(part.numeric) + _num_dummies(part.categories):
        return [{"families": num_families} for _ in part.names]
    strict = enough >= 1 + _num_dummies(part.levels)

    def statistic(weights: Floats) -> Floats:
        plain = spearman(part.truth, part.signals, weights=weights)
        levels = (
            partial_spearman(
                part.truth, part.signals, categories=part.levels, weights=weights
            )
            if strict
            else np.nan * plain
        )
        return np.stack([plain, _partial(part, part.signals, weights), levels])

    fakes = _negative_controls(part, seed)
    draw = partial(cluster_bootstrap, families=part.families, seed=seed)
    real = draw(statistic, resamples=resamples)
    fake = draw(
        lambda weights: _partial(part, fakes, weights),
        resamples=min(resamples, NEGATIVE_RESAMPLES),
    )
    rows: list[dict[str, Any]] = [{"families": num_families} for _ in part.names]
    for boot, names in ((real, STATISTICS), (fake, NEGATIVE)):
        p = _two_sided(boot, num_families)
        for (j, i), value in np.ndenumerate(boot.value):
            rows[i] |= {names[j]: value, f"{names[j]}_p": p[j, i]}
            if names is STATISTICS:
                ends = {"low": boot.low[j, i], "high": boot.high[j, i]}
                rows[i] |= {f"{names[j]}_{end}": x for end, x in ends.items()}
    for row in rows:
        known = np.isfinite(row["spearman"]) and np.isfinite(row["partial"])
        row["status"] = OK if known else NOT_APPLICABLE
    return rows


def _partial(part: Rows, signals: Floats, weights: Floats) -> Floats:
    return partial_spearman(
        part.truth,
        signals,
        numeric=part.numeric,
        categories=part.categories,
        weights=weights,
    )


def _num_dummies(categories: list[npt.NDArray[Any]]) -> int:
    return sum(len(np.unique(category)) - 1 for category in categories)


def _negative_controls(part: Rows, seed: int) -> Floats:
    """Return signals that know nothing, `[2, S, N]`: shuffled, of wrong runs."""
    order = np.argsort(part.families, kind="stable")
    sizes = np.bincount(part.families)
    stop = np.cumsum(sizes)
    family, size = part.families, sizes[part.families]
    place = np.empty_like(order)
    place[order] = np.arange(len(order)) - (stop - sizes)[family[order]]
    fakes = np.empty((2, *part.signals.shape))
    for i, (name, signal) in enumerate(zip(part.names, part.signals, strict=True)):
        random = stream(seed, f"showdown-control/{name}")
        # Replicates stay together; a smaller family's repeat in a larger one.
        other = random.permutation(len(sizes))[family]
        fakes[0, i] = signal[order[stop[other] - sizes[other] + place % sizes[other]]]
        # Any of the runs after the own family's, beginning anew at the end.
        ahead = random.integers(len(order) - size)
        fakes[1, i] = signal[order[(stop[family] + ahead) % len(order)]]
    return fakes


def _two_sided(boot: Bootstrap, num_families: int) -> Floats:
    """Return p-values `[J, S]` of correlations being 0, NaN where there is none.

    Formula: atanh(r) over the standard deviation of atanh(r*) in the resamples has
    Student's distribution with (families - 1) degrees of freedom.
    """
    from scipy.stats import t

    defined = np.isfinite(boot.samples)
    some = np.isfinite(boot.value) & (defined.sum(axis=-1) > 1)
    samples = np.arctanh(np.clip(boot.samples[some], -EDGE, EDGE))
    spread = np.std(samples, axis=-1, ddof=1, where=defined[some])
    size = np.arctanh(np.clip(np.abs(boot.value[some]), 0, EDGE))
    p = np.full(some.shape, np.nan)
    p[some] = 2 * t.sf(size / np.maximum(spread, 1 - EDGE), num_families - 1)
    return p
