"""Spearman's correlation, for thousands of resamples at once.

A resample is a column of counts; the rank that a row would have among the copies
follows from a cumulative sum of the counts, so nothing is sorted again.
"""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import (
    Ints,
    blocks,
    columns,
    cut,
    finite,
    paired,
    ratio,
    result_shape,
    running_sum,
    scratch_for,
    take_rows,
)


class RankOrder:
    """The order of one column of values, found once and used by every resample.

    Attributes:
        code: `[N]`, index of each row's value among the distinct values, ascending.
        num_values: Distinct values.
    """

    def __init__(self, values: Floats) -> None:
        distinct, code = np.unique(values, return_inverse=True)
        self.code: Ints = code.reshape(-1)
        self.num_values = len(distinct)
        self._order = np.argsort(self.code, kind="stable")
        sizes = np.bincount(self.code, minlength=self.num_values)
        self._starts = np.cumsum(sizes) - sizes

    def totals(self, weights: Floats, out: Floats | None = None) -> Floats:
        """Return how often each distinct value occurs, `[G, B]`, from `[N, B]`.

        Args:
            weights: How often each row occurs.
            out: `[N, B]`, memory that may be used for the result.
        """
        ordered = take_rows(weights, self._order, out)
        if self.num_values == len(ordered):
            return ordered
        return np.asarray(np.add.reduceat(ordered, self._starts, axis=0))

    def middles(self, totals: Floats, out: Floats | None = None) -> Floats:
        """Return the mid-rank of each distinct value less 1/2, from its `totals`.

        Formula: copies of smaller values + own copies / 2, `[G, B]`.
        """
        return running_sum(totals, out, own=0.5)


def weighted_ranks(values: npt.ArrayLike, weights: npt.ArrayLike) -> Floats:
    """Return the mid-ranks that rows have in resamples, `[N, B]`.

    Formula: weight of smaller values + (weight of equal values + 1) / 2; with weights
    of one these are `scipy.stats.rankdata`. A row of weight 0 has a rank nobody uses.

    Args:
        values: `[N]`.
        weights: How often each row occurs, `[N, B]`.

    Example:
        >>> weighted_ranks([5.0, 7.0], [[1.0], [2.0]]).tolist()  # 5, 7, 7
        [[1.0], [2.5]]
    """
    y = finite("values", values)
    order = RankOrder(y)
    return 0.5 + order.middles(order.totals(columns(weights, len(y))))[order.code]


def spearman(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return Spearman's rank correlation with mid-ranks for ties.

    Formula: Pearson's correlation of the ranks, weighted; the variance of the ranks of
    n rows with ties of g rows is (n^3 - sum g^3) / 12. Equal to a loop of
    `scipy.stats.spearmanr` over the resamples to rounding. Unit: 1. Range: -1 to 1
    (optimum). NaN where truth or prediction has no variance in a resample. Cost: a sort
    and about six passes over `[N, B]` a predictor.

    Args:
        truth: True values `[N]`.
        prediction: Predicted values `[..., N]`, in any monotone unit.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(spearman([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]))
        0.5
    """
    y, p = paired(truth, prediction)
    w = columns(weights, len(y))
    flat = p.reshape(-1, len(y))
    of_truth = RankOrder(y)
    of_prediction = [RankOrder(row) for row in flat]
    result = np.empty((len(flat), w.shape[1]))
    scratch = scratch_for(w, 4)
    for block in blocks(w):
        part = w[:, block]
        buffers = cut(scratch, 4, *part.shape)
        result[:, block] = _correlations(of_truth, of_prediction, part, buffers)
    return result.reshape(result_shape(p, weights))


def _correlations(
    of_truth: RankOrder,
    of_prediction: list[RankOrder],
    weights: Floats,
    scratch: Floats,
) -> Floats:
    """Return the correlations `[P, b]` under weights `[N, b]`."""
    w, deviation, first, second = scratch
    w[:] = weights
    n, cubes = w.sum(axis=0), _sum_of_cubes(w)

    def spread(totals: Floats) -> Floats:
        # Without ties the totals are the weights, in another order.
        return np.asarray(
            n**3 - (cubes if len(totals) == len(w) else _sum_of_cubes(totals))
        )

    totals = of_truth.totals(w, first)
    spread_truth = spread(totals)
    ranks = of_truth.middles(totals, second[: len(totals)])
    ranks -= n / 2
    # Deviations of the truth's ranks sum to zero: the other ranks need no centring.
    take_rows(ranks, of_truth.code, deviation)
    deviation *= w
    result = np.empty((len(of_prediction), w.shape[1]))
    for row, order in enumerate(of_prediction):
        totals = order.totals(w, first)
        scale = np.sqrt(spread_truth * spread(totals)) / 12
        ranks = order.middles(totals, second[: len(totals)])
        covariance = _sum_of_products(take_rows(ranks, order.code, first), deviation)
        result[row] = ratio(covariance, scale)
    return result


def _sum_of_cubes(totals: Floats) -> Floats:
    """Return the sum of cubes down the rows, `[b]`."""
    return np.asarray(np.einsum("gb,gb,gb->b", totals, totals, totals))


def _sum_of_products(a: Floats, b: Floats) -> Floats:
    """Return the sum of products down the rows, `[b]`."""
    return np.asarray(np.einsum("nb,nb->b", a, b))
