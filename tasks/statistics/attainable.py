"""The noise ceiling of each metric: the best score of whoever knows the settings only.

It is a ceiling for configurations, from replicates that differ in their seed. A window
shows part of what the seed has done already: a predictor that reads it may pass.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.measure import Floats
from tasks.metrics.inputs import finite
from tasks.metrics.rank import weighted_ranks
from tasks.statistics.bootstrap import family_index
from tasks.statistics.ceiling import replication

METRICS: Final = ("mae", "log_mae", "rmse", "r2", "spearman", "kendall", "brier")
"""Metrics that have a ceiling."""


def attainable(
    metric: str, values: npt.ArrayLike, families: npt.ArrayLike
) -> float | None:
    """Return the score that seeds leave attainable to a function of the family.

    Formulas, y and y' two replicates:

    mae: mean |y - y'| within families / sqrt(2). With normal noise of standard
        deviation s, y - y' has s sqrt(2), so E|y - y'| = s sqrt(2) sqrt(2 / pi), and
        E|y - mu| = s sqrt(2 / pi): their ratio is sqrt(2) in every family whatever its
        s, and so in the mean over them. With one s this is s sqrt(2 / pi).
    log_mae: the same of the logarithms; None where a value is not positive.
    rmse: s_w, the root of the pooled variance within families.
    r2: ICC(1), at least 0.
    spearman: root of the ICC(1) of the ranks. What a function of the family correlates
        with is the family's share of the variance of the ranks, in whose root Cauchy
        and Schwarz bound it; mean ranks by family come close to it.
    kendall: (2 / pi) arcsin(sqrt(r)), r = 2 sin(pi / 6 x ICC of the ranks): tau of a
        normal pair of correlation sqrt(r), if replicates are one of correlation r.
    brier: mean p (1 - p) within families, unbiased: mean (y - y')^2 / 2.

    Means count a family as often as it has runs that have a replicate. Unit: the
    metric's. Undefined: None for other metrics, without replicates, and of shares of a
    variance where nothing varies. Cost: a sort.

    Args:
        metric: Name in `tasks.metrics.table`.
        values: The target of each run, `[N]`.
        families: Label of each run's family, `[N]`.

    Example:
        >>> round(attainable("mae", [1.0, 3.0, 5.0, 5.0], ["a", "a", "b", "b"]), 6)
        0.707107
    """
    y = finite("values", values)
    if metric not in METRICS or (metric == "log_mae" and not (y > 0).all()):
        return None
    try:
        if metric in ("mae", "log_mae"):
            return mean_difference(np.log(y) if metric == "log_mae" else y, families)
        if metric == "brier":
            return mean_difference(y, families, power=2) / math.sqrt(2)
        if metric == "rmse":
            return replication(y, families).rmse_ceiling
        if metric != "r2":
            y = weighted_ranks(y, np.ones((len(y), 1)))[:, 0]
        share = replication(y, families).r2_ceiling
    except DataError:
        return None
    found = {"r2": share, "spearman": math.sqrt(share)}.get(metric, _kendall(share))
    return found if math.isfinite(found) else None


def mean_difference(
    values: npt.ArrayLike, families: npt.ArrayLike, *, power: int = 1
) -> float:
    """Return the mean of |y - y'|^power within families over sqrt(2).

    Formula: mean over the pairs of a family, then over families, weighted by their
    runs. Unit: the target's, to the power.

    Args:
        values: The target of each run, `[N]`.
        families: Label of each run's family, `[N]`.
        power: 1 or 2.

    Raises:
        DataError: No family has two runs.
    """
    y = finite("values", values)
    index, _ = family_index(families)
    sizes = np.bincount(index)
    some = sizes > 1
    if not some.any():
        raise DataError("no family has two runs: replicates cannot be compared")
    m = sizes[some]
    if power == 2:
        means = np.bincount(index, y) / sizes
        squares = np.bincount(index, (y - means[index]) ** 2)[some]
        pairwise: Floats = 2 * squares / (m - 1)
    else:
        order = np.lexsort((y, index))
        place = np.arange(len(y)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        # Sum over pairs |y - y'| = sum_i (2 i - m + 1) y_(i), i from 0.
        signed = (2 * place - sizes[index[order]] + 1) * y[order]
        sums = np.bincount(index[order], signed)[some]
        pairwise = 2 * sums / (m * (m - 1))
    return float((pairwise * m).sum() / m.sum()) / math.sqrt(2)


def _kendall(rank_icc: float) -> float:
    """Return tau of a normal pair whose replicates' ranks correlate by `rank_icc`."""
    r = 2 * math.sin(math.pi / 6 * rank_icc)
    return 2 / math.pi * math.asin(math.sqrt(min(r, 1.0)))
