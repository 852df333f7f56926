"""Is one predictor or treatment better than another on the same families or seeds?"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import finite, paired, ratio

SAME: Final = 1e-14
"""Share of the largest value below which a standard deviation is rounding."""


class PairedTest(NamedTuple):
    """A paired comparison; p-values are two-sided."""

    n: int
    """Pairs."""
    difference: float
    """Mean of first - second, in their unit."""
    t: float
    p_t: float
    """Student's t and its p-value; NaN where all differences are equal."""
    p_wilcoxon: float
    """Of Wilcoxon's signed ranks; NaN where no pair differs."""
    d_z: float
    """Mean difference in standard deviations of the difference; NaN as `t`."""
    d_z_low: float
    d_z_high: float
    """Ends of its interval."""


def paired_test(
    first: npt.ArrayLike, second: npt.ArrayLike, *, level: float = 0.95
) -> PairedTest:
    """Compare paired values by Student's t, Wilcoxon's signed ranks and d_z.

    Formula: t = mean(d) / (sd(d) / sqrt(n)), d_z = t / sqrt(n); its interval holds the
    d_z whose noncentral t distribution has the observed t within its central `level`.
    Pairs must be independent: hand over one mean a family, not its runs. Pairs that do
    not differ are left out of Wilcoxon's test (exact up to 50 pairs without ties).
    Sources: Cohen 1988 (d_z); Steiger & Fouladi 1997 (interval).

    Args:
        first: `[n]`, such as errors of one predictor, a mean a family.
        second: `[n]`, of the other one.
        level: Nominal coverage of the interval.

    Raises:
        ValueError: There are fewer than two pairs.

    Example:
        >>> round(paired_test([2.0, 4.0, 3.0], [1.0, 1.0, 1.0]).d_z, 6)  # 2 / 1
        2.0
    """
    from scipy.stats import t as student

    a, b = paired(first, second)
    difference = a - b
    n = len(difference)
    if difference.ndim != 1 or n < 2:
        raise ValueError(f"{n} pair(s); a paired test needs at least 2, [n] and [n]")
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    if sd <= SAME * max(np.abs(a).max(), np.abs(b).max()):
        return PairedTest(
            n, mean, math.nan, math.nan, _wilcoxon(difference), *[math.nan] * 3
        )
    d_z = mean / sd
    t = d_z * math.sqrt(n)
    low, high = _noncentralities(t, n - 1, level)
    return PairedTest(
        n,
        mean,
        t,
        float(2 * student.sf(abs(t), n - 1)),
        _wilcoxon(difference),
        d_z,
        low / math.sqrt(n),
        high / math.sqrt(n),
    )


def paired_p(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """Return two-sided p-values of Student's paired t test, many at once, `[...]`.

    Formula: as `paired_test`; NaN where all differences are equal. Pairs must be
    independent: hand over one mean a family, not its runs.

    Args:
        first: `[..., n]`, such as errors of predictors, a mean a family.
        second: `[n]` or of a shape that broadcasts, of the other one.

    Raises:
        ValueError: There are fewer than two pairs, or a value is not finite.

    Example:
        >>> round(float(paired_p([2.0, 4.0, 3.0], [1.0, 1.0, 1.0])), 6)  # t = 2 sqrt 3
        0.07418
    """
    from scipy.special import stdtr  # scipy.stats takes a second to import

    a, b = finite("first", first), finite("second", second)
    difference = a - b
    n = difference.shape[-1]
    if n < 2:
        raise ValueError(f"{n} pair(s); a paired test needs at least 2, [..., n]")
    sd = difference.std(axis=-1, ddof=1)
    scale = np.maximum(np.abs(a).max(axis=-1), np.abs(b).max(axis=-1))
    t = ratio(difference.mean(axis=-1), np.where(sd > SAME * scale, sd, 0.0))
    return np.asarray(2 * stdtr(n - 1, -np.abs(t) * math.sqrt(n)))


def _wilcoxon(difference: npt.NDArray[np.float64]) -> float:
    """Return the two-sided p-value of the signed ranks, NaN if all are zero."""
    from scipy.stats import wilcoxon

    moved = difference[difference != 0]
    return float(wilcoxon(moved).pvalue) if len(moved) else math.nan


def _noncentralities(t: float, df: int, level: float) -> tuple[float, float]:
    """Return the noncentralities under which `t` lies at the two tails."""
    if t < 0:  # the far tails are computed reliably for positive t only
        low, high = _noncentralities(-t, df, level)
        return -high, -low
    return _noncentrality(t, df, (1 + level) / 2), _noncentrality(
        t, df, (1 - level) / 2
    )


def _noncentrality(t: float, df: int, share: float) -> float:
    """Return the noncentrality under which `share` lies below `t`."""
    from scipy.optimize import brentq
    from scipy.stats import nct

    def miss(shift: float) -> float:
        return float(nct.cdf(t, df, shift)) - share

    step = 1.0
    while miss(t - step) < 0 or miss(t + step) > 0:
        step *= 2
    return float(brentq(miss, t - step, t + step))
