"""The noise ceiling: how well seeds themselves allow a target to be predicted.

A predictor that knows a run's configuration and not its seed cannot tell replicates
apart. What replicates differ by is the least error that such a predictor makes.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from tasks.metrics.inputs import finite
from tasks.statistics.bootstrap import family_index


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """One-way analysis of variance of a target over families of replicates."""

    num_runs: int
    num_families: int
    replicates: float
    """Runs a family; with unequal numbers (N - sum n^2 / N) / (F - 1)."""
    sigma_within: float
    """Standard deviation between seeds, in the target's unit."""
    sigma_between: float
    """Standard deviation between families, 0 where its estimate is negative."""
    icc: float
    """ICC(1), from -1 / (replicates - 1) to 1; NaN where nothing varies."""
    icc_low: float
    icc_high: float
    """Ends of its 95 % interval."""
    leave_one_out_factor: float
    """Mean over the runs that have replicates of sqrt(m / (m - 1))."""

    @property
    def r2_ceiling(self) -> float:
        """Best R2 of a predictor that knows families only: the ICC, at least 0."""
        return max(self.icc, 0.0) if math.isfinite(self.icc) else math.nan

    @property
    def mae_ceiling(self) -> float:
        """Best MAE of such a predictor under normal noise: sigma_w sqrt(2 / pi)."""
        return self.sigma_within * math.sqrt(2 / math.pi)

    @property
    def rmse_ceiling(self) -> float:
        """Best RMSE of such a predictor: sigma_w."""
        return self.sigma_within

    @property
    def mae_leave_one_out(self) -> float:
        """MAE of predicting a run by its family's other runs, x sqrt(m / (m - 1))."""
        return self.mae_ceiling * self.leave_one_out_factor


def replication(
    values: npt.ArrayLike, families: npt.ArrayLike, *, level: float = 0.95
) -> Replication:
    """Return how much of a target is configuration and how much is seed.

    Formula: with mean squares MSB between and MSW within families and n0 replicates,
    ICC(1) = (MSB - MSW) / (MSB + (n0 - 1) MSW), sigma_w^2 = MSW, sigma_b^2 = (MSB -
    MSW) / n0. The interval inverts the F distribution of MSB / MSW: exact for normal
    values and equal numbers of replicates, approximate otherwise. Families with one run
    inform MSB alone. Sources: Shrout & Fleiss 1979 (ICC); Donner 1986 (unequal sizes).

    Args:
        values: The target of each run, `[N]`.
        families: Label of each run's family, `[N]`.
        level: Nominal coverage of the interval.

    Raises:
        DataError: No family has two runs, so that noise cannot be measured.

    Example:
        >>> r = replication([1.0, 3.0, 5.0, 7.0], ["a", "a", "b", "b"])
        >>> round(r.icc, 6), round(r.sigma_within**2, 6)  # MSB 16, MSW 2
        (0.777778, 2.0)
    """
    from scipy.special import fdtri  # scipy.stats takes a second to import

    y = finite("values", values)
    index, num_families = family_index(families)
    if y.shape != index.shape:
        raise ValueError(f"{list(y.shape)} values for {list(index.shape)} families")
    sizes = np.bincount(index)
    between_df, within_df = num_families - 1, len(y) - num_families
    if within_df < 1:
        raise DataError(
            f"none of the {num_families} families has two runs: without replicates "
            "there is no noise ceiling (record more seeds)"
        )
    means = np.bincount(index, y) / sizes
    msw = float(((y - means[index]) ** 2).sum()) / within_df
    msb = float((sizes * (means - y.mean()) ** 2).sum()) / between_df
    n0 = float(len(y) - (sizes**2).sum() / len(y)) / between_df
    tail = (1 - level) / 2
    low_f = msb / fdtri(between_df, within_df, 1 - tail)
    high_f = msb * fdtri(within_df, between_df, 1 - tail)
    replicated = sizes[index][sizes[index] > 1]
    return Replication(
        num_runs=len(y),
        num_families=num_families,
        replicates=n0,
        sigma_within=math.sqrt(msw),
        sigma_between=math.sqrt(max(msb - msw, 0.0) / n0),
        icc=_icc(msb, msw, n0),
        icc_low=_icc(low_f, msw, n0),
        icc_high=_icc(high_f, msw, n0),
        leave_one_out_factor=float(np.sqrt(replicated / (replicated - 1)).mean()),
    )


def typical_sigma(values: npt.ArrayLike, families: npt.ArrayLike) -> float:
    """Return the standard deviation between replicates in the typical family.

    Formula: root of the median over families of s^2 / m, s^2 the unbiased variance of a
    family and m the median of chi-square / df with its degrees of freedom: of normal
    replicates with one deviation it is that; unlike the pooled one it does not follow
    a few families in which some seeds fail. Unit: the target's. Range: from 0.

    Args:
        values: The target of each run, `[N]`.
        families: Label of each run's family, `[N]`.

    Raises:
        DataError: No family has two runs.

    Example:
        >>> round(typical_sigma([0.0, 2.0, 5.0], ["a", "a", "b"]), 4)  # 2 / .4549
        2.0967
    """
    from scipy.special import chdtri  # scipy.stats takes a second to import

    y = finite("values", values)
    index, _ = family_index(families)
    sizes = np.bincount(index)
    centred = y - (np.bincount(index, y) / sizes)[index]
    free = sizes - 1
    some = free > 0
    if not some.any():
        raise DataError("no family has two runs: replicates cannot be compared")
    variance = np.bincount(index, centred**2)[some] / free[some]
    typical = chdtri(free[some], 0.5) / free[some]
    return float(np.sqrt(np.median(variance / typical)))


def _icc(msb: float, msw: float, n0: float) -> float:
    """Return (MSB - MSW) / (MSB + (n0 - 1) MSW); NaN where nothing varies."""
    total = msb + (n0 - 1) * msw
    return (msb - msw) / total if total > 0 else math.nan
