"""How a score varies with the seed: what `harness show` and cards tell of a corpus."""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

ACCURACY: Final = "final.test_accuracy"


class SeedNoise(NamedTuple):
    """Spread of a score among replicates and among configurations."""

    within: float
    """Pooled standard deviation of runs about their family's mean."""
    between: float
    """Standard deviation of the means of these families."""
    typical: float
    """Median over the families of their standard deviation."""
    families: int
    """Families with at least two runs."""


def seed_noise(runs: pl.DataFrame, score: str = ACCURACY) -> SeedNoise | None:
    """Return how a score varies with the seed and with the configuration.

    Formula: within = sqrt(sum_f sum_i (x_fi - mean_f)^2 / (N - F)) over the F families
    with two runs or more, N runs in all; between is the standard deviation (F - 1) of
    their means. None without two such families. Runs without the score are left out.

    Example:
        Families (0, 2) and (10, 12) give within sqrt(4 / 2) = 1.414 and between 7.071.
    """
    groups = (
        runs.filter(pl.col(score).is_not_null() & pl.col(score).is_not_nan())
        .group_by("family_id")
        .agg(n=pl.len(), mean=pl.col(score).mean(), var=pl.col(score).var(ddof=1))
        .filter(pl.col("n") > 1)
    )
    if len(groups) < 2:
        return None
    n, var = groups["n"].to_numpy(), groups["var"].to_numpy()
    within = float(np.sqrt(np.sum(var * (n - 1)) / np.sum(n - 1)))
    between = float(np.std(groups["mean"].to_numpy(), ddof=1))
    return SeedNoise(within, between, float(np.median(np.sqrt(var))), len(n))
