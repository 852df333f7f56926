"""Metrics of pairs: Kendall's tau-b and the accuracy of pairwise decisions.

Both ask, for every row, how much weight of the rows before it in truth lies below it in
prediction. A tree of sorted blocks answers that for all resamples at once in
O(N log N); of up to a thousand rows the plain sum over pairs is faster.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.dense_pairs import ROWS, EqualRows, beaten, untied
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
from tasks.metrics.rank import RankOrder


class PairSums(NamedTuple):
    """Sums over the pairs that are compared, `[B]` each."""

    won: Floats
    """Weight of the pairs in the right order, ties of the prediction half."""
    total: Floats
    """Weight of all pairs compared."""


class _Level(NamedTuple):
    """Which cells of one level's cumulative sums are read, and by which rows."""

    permutation: Ints
    """`[N]`: rows, sorted by prediction within blocks."""
    rows: Ints
    """`[M]`: rows whose prefix contains a block of this size."""
    start: Ints
    below: Ints
    not_above: Ints
    """`[M]` each: where the block starts, and where the row's prediction falls."""


class PairTree:
    """Compare every row with the first `prefix` rows of an order.

    The prefix of a row is cut into blocks whose sizes are powers of two; each block is
    sorted by prediction, and a difference of cumulative weights says how much of it
    lies below the row.

    Args:
        order: `[N]`, rows in ascending truth.
        prefix: `[N]`, how many rows at the front of `order` each row is compared with.
        prediction: `[N]`, what should be larger in the row than in its prefix.
    """

    def __init__(self, order: Ints, prefix: Ints, prediction: Floats) -> None:
        self.order = order
        self.prefix = prefix[order]
        self._levels: list[_Level] = []
        code = RankOrder(prediction).code[order]
        count, size = len(order), 1
        permutation = np.arange(count)
        while size <= count:
            key = np.arange(count) // size * count + code
            # Stable sorting of blocks already sorted is a merge: close to linear.
            permutation = permutation[np.argsort(key[permutation], kind="stable")]
            rows = np.flatnonzero(self.prefix & size)
            start = self.prefix[rows] // (2 * size) * (2 * size)
            wanted = start // size * count + code[rows]
            in_order = key[permutation]
            below = np.searchsorted(in_order, wanted, side="left")
            not_above = np.searchsorted(in_order, wanted, side="right")
            self._levels.append(_Level(permutation, rows, start, below, not_above))
            size *= 2

    def sums(self, weights: Floats, sources: Floats) -> PairSums:
        """Return the sums `[B]` over pairs (row, row of its prefix).

        Args:
            weights: `[N, B]`, weight of a row as the later of a pair.
            sources: `[N, B]`, weight of a row as the earlier of a pair.
        """
        won, total = np.empty((2, weights.shape[1]))
        scratch = scratch_for(weights, 5)
        for block in blocks(weights):
            width = weights[:, block].shape[1]
            part = cut(scratch, 5, len(weights) + 1, width)
            part[0, :-1], part[1, :-1] = weights[:, block], sources[:, block]
            won[block], total[block] = self._sums(part)
        return PairSums(won, total)

    def _sums(self, scratch: Floats) -> PairSums:
        """Return the sums `[b]`; weights and sources lie in scratch 0 and 1."""
        count = len(self.order)
        later = take_rows(scratch[0, :-1], self.order, scratch[2, :-1])
        earlier = take_rows(scratch[1, :-1], self.order, scratch[3, :-1])
        cumulative, spare, beaten = scratch[4], scratch[0], scratch[1]
        cumulative[0] = 0.0
        running_sum(earlier, cumulative[1:])
        before = take_rows(cumulative, self.prefix, spare[:count])
        total = np.einsum("nb,nb->b", later, before)
        won = np.zeros_like(total)
        for level in self._levels:
            used = len(level.rows)
            running_sum(
                take_rows(earlier, level.permutation, spare[:-1]), cumulative[1:]
            )
            mine = take_rows(cumulative, level.below, beaten[:used])
            mine += take_rows(cumulative, level.not_above, spare[:used])
            mine *= 0.5
            mine -= take_rows(cumulative, level.start, spare[:used])
            won += np.einsum(
                "nb,nb->b", mine, take_rows(later, level.rows, spare[:used])
            )
        return PairSums(won, total)


def pair_sums(
    order: Ints,
    prefix: Ints,
    predictions: Floats,
    weights: Floats,
    *,
    counts: npt.ArrayLike = True,
) -> PairSums:
    """Return the sums over pairs (row, row of its prefix) for P predictions.

    By a table of all pairs or by `PairTree`: equal to the bit for whole weights.

    Args:
        order: As of the tree, `[N]`.
        prefix: As of the tree, `[N]`.
        predictions: `[P, N]`.
        weights: `[N, B]`.
        counts: Whether a row counts as the earlier of a pair, `[N]`.

    Returns:
        `won` `[P, B]` and `total` `[B]`.
    """
    early = np.broadcast_to(np.asarray(counts, dtype=bool), order.shape)
    if len(order) > ROWS:
        trees = (PairTree(order, prefix, row) for row in predictions)
        sums = [tree.sums(weights, weights * early[:, None]) for tree in trees]
        return PairSums(np.array([s.won for s in sums]), sums[0].total)
    equal = EqualRows(weights)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    at = equal.order
    compared = (place[at] < prefix[at, None]) & early[at]
    won = [equal.sums(beaten(row[at]) * compared) for row in predictions]
    return PairSums(np.array(won), equal.sums(compared.astype(np.float64)))


def kendall(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return Kendall's tau-b.

    Formula: (concordant - discordant) / sqrt((n0 - n1) (n0 - n2)) with n0 = n (n - 1) /
    2 pairs of which n1 are tied in truth and n2 in prediction; copies of a row in a
    resample are tied in both, as in a loop of `scipy.stats.kendalltau`. Unit: 1. Range:
    -1 to 1 (optimum). NaN where truth or prediction has no variance in a resample.
    Cost: O(N log N) once, and about 4 log2(N) passes over `[N, B]` a predictor.

    Args:
        truth: True values `[N]`.
        prediction: Predicted values `[..., N]`.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> round(float(kendall([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])), 6)
        0.333333
    """
    y, p = paired(truth, prediction)
    w = columns(weights, len(y))
    flat = p.reshape(-1, len(y))
    order, prefix = _smaller(y, 0.0)
    sums = pair_sums(order, prefix, flat, w)
    differing = _untied(np.vstack([y[None], flat]), w)
    scale = np.sqrt(differing[0] * differing[1:])
    result = ratio(2 * sums.won - sums.total, scale)
    return result.reshape(result_shape(p, weights))


def pairwise_accuracy(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    threshold: float = 0.0,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return how often the predictor names the better of two runs.

    Formula: over the pairs whose true difference exceeds `threshold`, the share that
    the prediction orders rightly; equal predictions count one half. Unit: share. Range:
    0 to 1 (optimum); .5 is chance. NaN where a resample has no such pair. Set the
    threshold to 2 sigma_w, twice the spread over seeds, so that winners are real.
    Source: DataDecide, arXiv 2504.11393 (decision accuracy). Cost as `kendall`.

    Args:
        truth: True values `[N]`.
        prediction: Predicted values `[..., N]`.
        threshold: Least true difference of a pair that is not counted, target's unit.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(pairwise_accuracy([1.0, 2.0, 4.0], [3.0, 1.0, 3.0], threshold=1.5))
        0.75
    """
    y, p = paired(truth, prediction)
    if not float(finite("threshold", threshold)) >= 0:
        raise ValueError(f"threshold is {threshold}; expected 0 or more")
    w = columns(weights, len(y))
    order, prefix = _smaller(y, threshold)
    sums = pair_sums(order, prefix, p.reshape(-1, len(y)), w)
    return ratio(sums.won, sums.total).reshape(result_shape(p, weights))


def _smaller(y: Floats, threshold: float) -> tuple[Ints, Ints]:
    """Return the order of `y` and how many values lie more than `threshold` below."""
    order = np.argsort(y, kind="stable")
    prefix = np.searchsorted(y[order], y - threshold, side="left")
    return order, prefix


def _untied(values: Floats, weights: Floats) -> Floats:
    """Return the number of pairs that differ in each of `values` `[P, N]`, `[P, B]`."""
    if values.shape[1] <= ROWS:
        equal = EqualRows(weights)
        return np.array([untied(row, equal) for row in values])
    n = weights.sum(axis=0)
    totals = (RankOrder(row).totals(weights) for row in values)
    return np.array([(n**2 - (total**2).sum(axis=0)) / 2 for total in totals])
