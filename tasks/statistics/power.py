"""What a number of runs can and cannot show: effective n and detectable effects."""

import math


def effective_n(num_runs: float, replicates: float, icc: float) -> float:
    """Return how many independent runs replicated runs are worth.

    Formula: n / (1 + (m - 1) ICC), for a quantity whose replicates correlate by ICC.
    Unit: runs. Range: n / m at ICC 1 to n at 0. Source: Kish 1965 (design effect).

    Args:
        num_runs: n.
        replicates: m runs a family.
        icc: Intra-class correlation, see `ceiling.replication`.

    Example:
        >>> round(effective_n(432, 3, 0.9))
        154
    """
    return num_runs / (1 + (replicates - 1) * icc)


def detectable_correlation(
    n: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the least |correlation| that n independent pairs show.

    Formula: tanh((z_(1 - alpha / 2) + z_power) / sqrt(n - 3)), Fisher's
    approximation. Unit: 1. Range: 0 to 1; needs more than 3 pairs. Replicated runs
    count with their `effective_n`.

    Args:
        n: Independent pairs.
        power: Probability of a significant result.
        alpha: Two-sided level of the test.

    Example:
        >>> [round(detectable_correlation(n), 2) for n in (36, 72, 108, 144, 432)]
        [0.45, 0.33, 0.27, 0.23, 0.13]
    """
    from scipy.special import ndtri

    if n <= 3:
        raise ValueError(f"n is {n}; Fisher's approximation needs more than 3 pairs")
    return math.tanh(float(ndtri(1 - alpha / 2) + ndtri(power)) / math.sqrt(n - 3))


def detectable_dz(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the least standardised difference that n pairs show in a paired t test.

    Formula: the d_z at which t with noncentrality d_z sqrt(n) exceeds its two-sided
    critical value with probability `power`; significance of the wrong sign, less than
    1e-4 from a power of .5 on, does not count. Unit: standard deviations of the
    difference. Needs 2 pairs.

    Args:
        n: Pairs, such as seeds.
        power: Probability of a significant result, from .5.
        alpha: Two-sided level of the test.

    Example:
        >>> [round(detectable_dz(n), 2) for n in (3, 5, 10, 20)]
        [3.26, 1.68, 1.0, 0.66]
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    if n < 2:
        raise ValueError(f"n is {n}; a paired test needs at least 2 pairs")
    if not 0.5 <= power < 1 or not 0 < alpha < 0.5:
        raise ValueError(f"power {power}, alpha {alpha}; expected .5 to 1 and 0 to .5")
    critical = t.isf(alpha / 2, n - 1)

    def missing(d: float) -> float:
        return float(nct.sf(critical, n - 1, d * math.sqrt(n))) - power

    upper = 1 / math.sqrt(n)
    while missing(upper) < 0:
        upper *= 2
    return float(brentq(missing, 0.0, upper))
