"""What a forecast is worth to someone who must choose: regret and compute saved.

Larger truth is better here; hand over negated losses. Both depend on a maximum over few
rows, so their bootstrap intervals are rough.
"""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import (
    Ints,
    columns,
    finite,
    paired,
    ratio,
    result_shape,
    within,
)


def regret_at_k(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    k: int = 1,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return what is lost by keeping only the k runs predicted best.

    Formula: max of truth - max of truth among the k largest predictions. Where equal
    predictions straddle the k-th place, the expectation over drawing the places at
    random among them: a constant predictor has the regret of a random choice. A
    resample is a multiset: copies take places. Unit: the target's. Range: from 0
    (optimum); 0 where k is not below the number of rows. Cost: a sort, and k passes
    over the rows that some resample keeps.

    Args:
        truth: True values `[N]`, larger is better.
        prediction: Predicted values `[..., N]`, larger is better.
        k: Runs that are kept.
        weights: How often each row occurs (whole numbers), `[N]` or `[N, B]`.

    Example:
        >>> float(regret_at_k([1.0, 2.0, 4.0], [3.0, 2.0, 1.0], k=2))
        2.0
    """
    y, p = paired(truth, prediction)
    if k < 1:
        raise ValueError(f"k is {k}; expected the number of runs kept, 1 or more")
    w = columns(weights, len(y))
    best = np.where(w > 0, y[:, None], -np.inf).max(axis=0)
    kept = [_expected_best(y, row, k, w) for row in p.reshape(-1, len(y))]
    return np.array([best - k for k in kept]).reshape(result_shape(p, weights))


def _expected_best(y: Floats, prediction: Floats, k: int, weights: Floats) -> Floats:
    """Return the expected largest truth among the k predicted best, `[B]`."""
    order = np.lexsort((y, -prediction))
    changes = np.flatnonzero(np.diff(prediction[order], prepend=np.nan))
    ends = np.append(changes[1:], len(order))
    used = ends[_groups_used(weights, order, ends, k)]
    order, changes, ends = order[:used], changes[changes < used], ends[ends <= used]
    group = np.searchsorted(changes, np.arange(used), side="right") - 1
    y, w = y[order, None], weights[order]
    cumulative = np.concatenate([np.zeros((1, w.shape[1])), np.cumsum(w, axis=0)])
    before, size = cumulative[changes], cumulative[ends] - cumulative[changes]
    places = np.clip(k - before, 0, size)
    sure = np.where((w > 0) & (places == size)[group], y, -np.inf).max(axis=0)
    # Tied at the cut: P(no draw exceeds row i) = prod_t (c_i - t) / (size - t), with
    # c_i the weight of the group up to row i, in ascending truth.
    within_group = cumulative[1:] - before[group]
    chance = np.ones_like(w)
    for t in range(k):
        factor = ratio(np.maximum(within_group - t, 0.0), (size - t)[group])
        chance = np.where((places > t)[group], chance * factor, chance)
    first = np.zeros(len(order), dtype=bool)
    first[changes] = True
    step = np.diff(chance, axis=0, prepend=0.0)
    step[first] = chance[first]
    partial = ((places > 0) & (places < size))[group] & (w > 0)
    expected = np.where(partial, step * np.maximum(sure, y), 0.0).sum(axis=0)
    return np.asarray(np.where(partial.any(axis=0), expected, sure))


def _groups_used(weights: Floats, order: Ints, ends: Ints, k: int) -> int:
    """Return the first group of equal predictions by which all resamples have k."""
    taken = np.zeros(weights.shape[1])
    start = 0
    for group, end in enumerate(ends.tolist()):
        taken += weights[order[start:end]].sum(axis=0)
        if taken.min() >= k:
            return group
        start = end
    return len(ends) - 1


def compute_saved(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    cost: npt.ArrayLike = 1.0,
    share: npt.ArrayLike = 0.2,
    tolerance: float = 0.1,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the largest share of compute that stopping early could have saved.

    All runs are trained up to the window; those predicted below a bar are stopped. The
    highest bar is taken that still keeps a run within `tolerance` of the best true
    value. Formula: with p* the largest prediction among the rows whose truth is at
    least max truth - tolerance, sum over prediction < p* of w cost (1 - share) / sum of
    w cost. Equal predictions are stopped or kept together, so a constant saves nothing.
    The bar is set in hindsight: this values the ranking, not a rule for the bar. Unit:
    share of the compute of all full runs. Range: 0 to 1 - share; the optimum depends on
    the data and is what truth itself scores. Always defined.

    Args:
        truth: True values `[N]`, larger is better, such as accuracy in points.
        prediction: Scores of the candidates `[..., N]`, larger is better.
        cost: Compute of each full run, `[N]` or one number.
        share: Part of a run that is spent when the decision falls, `[N]` or one number.
        tolerance: Regret that is accepted, in the target's unit (.1 point).
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> truth, prediction = [90.0, 93.0, 94.0, 94.0], [3.0, 1.0, 4.0, 2.0]
        >>> round(float(compute_saved(truth, prediction)), 6)  # three stopped at w20
        0.6
    """
    y, p = paired(truth, prediction)
    spent = np.broadcast_to(finite("cost", cost), y.shape)
    if (spent <= 0).any():
        raise ValueError(f"cost of row {int(spent.argmin())} is not positive")
    left = spent * (1 - np.broadcast_to(within("share", share, 0.0, 1.0), y.shape))
    w = columns(weights, len(y))
    best = np.where(w > 0, y[:, None], -np.inf).max(axis=0)
    good = (w > 0) & (y[:, None] >= best - float(finite("tolerance", tolerance)))
    result = []
    for row in p.reshape(-1, len(y)):
        bar = np.where(good, row[:, None], -np.inf).max(axis=0)
        stopped = np.where(row[:, None] < bar, w * left[:, None], 0.0)
        result.append(stopped.sum(axis=0) / (spent @ w))
    return np.array(result).reshape(result_shape(p, weights))
