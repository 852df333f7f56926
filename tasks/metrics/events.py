"""When something happens: concordance under censoring, and hits within a tolerance."""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import (
    checked_weights,
    columns,
    paired,
    ratio,
    result_shape,
)
from tasks.metrics.pairs import pair_sums


def c_index(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    happened: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return Harrell's concordance of predicted with censored times.

    Formula: over the pairs of which it is known who came first (the earlier one
    happened; at equal times one happened and the other had not yet), the share whose
    predictions have that order; equal predictions count one half. Unit: share. Range: 0
    to 1 (optimum); .5 is chance. NaN where a resample has no such pair. Cost as
    `pairs.kendall`. Source: Harrell et al. 1982.

    Args:
        truth: Time of the event, or of the end of observation, `[N]`.
        prediction: Predicted times `[..., N]`, larger is later.
        happened: Whether the event was seen, `[N]`.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(c_index([2.0, 3.0, 5.0], [1.0, 4.0, 3.0], happened=[1, 0, 1]))
        1.0
    """
    y, p = paired(truth, prediction)
    seen = np.asarray(happened, dtype=bool)
    if seen.shape != y.shape:
        raise ValueError(f"happened has shape {list(seen.shape)}; expected {[len(y)]}")
    w = columns(weights, len(y))
    # Censored rows come after the events of the same time, and are after them in truth.
    order = np.lexsort((~seen, y))
    earlier = np.searchsorted(y[order], y, side="left")
    events = np.sort(y[seen])
    tied_events = np.searchsorted(events, y, side="right") - np.searchsorted(events, y)
    prefix = earlier + np.where(seen, 0, tied_events)
    sums = pair_sums(order, prefix, p.reshape(-1, len(y)), w, counts=seen)
    return ratio(sums.won, sums.total).reshape(result_shape(p, weights))


def f1_within(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    tolerance: float = 1.5,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the F1 of finding an event of which each run has one or none.

    Formula: 2 hits / (events + alarms); a hit is an alarm within `tolerance` of the
    event of its run. An alarm at the wrong place is a miss and a false alarm. Unit:
    share. Range: 0 to 1 (optimum). NaN where a resample has neither event nor alarm.

    Args:
        truth: When the event happened, infinite where there is none, `[N]`.
        prediction: When it is said to happen, infinite for never, `[..., N]`.
        tolerance: Greatest distance of a hit, in the unit of the times (epochs).
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> never = float("inf")
        >>> float(f1_within([15.0, 20.0, never], [16.0, 10.0, never]))
        0.5
    """
    happens = np.isfinite(truth)
    alarm = np.isfinite(prediction)
    y, p = paired(_times("truth", truth), _times("prediction", prediction))
    hits = happens & alarm & (np.abs(p - y) <= tolerance)
    w = np.ones(len(y)) if weights is None else checked_weights(weights, len(y))
    hit, events = hits.astype(np.float64) @ w, happens.astype(np.float64) @ w
    return ratio(2 * hit, events + alarm.astype(np.float64) @ w)


def _times(name: str, values: npt.ArrayLike) -> Floats:
    """Return times with 0 for never; NaN and minus infinity stay, to be rejected."""
    times = np.asarray(values, dtype=np.float64)
    return np.where(times == np.inf, 0.0, times)
