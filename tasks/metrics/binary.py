"""Forecasts of an event: area under the curves, and the Brier score."""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import (
    blocks,
    columns,
    paired,
    ratio,
    result_shape,
    running_sum,
    weighted_mean,
    within,
)
from tasks.metrics.rank import RankOrder


def auc(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the area under the receiver operating characteristic.

    Formula: P(score of an event > score of a non-event) + P(equal) / 2. Unit: share.
    Range: 0 to 1 (optimum); .5 is chance. NaN where a resample has only one class.

    Args:
        truth: 1 where the event happened, else 0, `[N]`.
        prediction: Scores `[..., N]`, larger where the event is likelier.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    y, p = _events(truth, prediction)
    w = columns(weights, len(y))
    result = np.empty((p.size // len(y), w.shape[1]))
    for number, row in enumerate(p.reshape(-1, len(y))):
        order = RankOrder(row)
        for block in blocks(w):
            happened = w[:, block] * y[:, None]
            events, others = order.totals(happened), order.totals(w[:, block])
            others -= events
            below = running_sum(others, own=0.5)
            pairs = events.sum(axis=0) * others.sum(axis=0)
            result[number, block] = ratio((events * below).sum(axis=0), pairs)
    return result.reshape(result_shape(p, weights))


def auc_bottom_half(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return how well a forecast tells the worse half of the runs from the better.

    Formula: `auc` of the event truth < median of truth, with score -prediction. The
    median is that of the rows handed over, the same in every resample. Unit: share.
    Range: 0 to 1 (optimum); .5 is chance. NaN as `auc`.

    Args:
        truth: True values `[N]`, larger is better.
        prediction: Predicted values `[..., N]`, larger is better.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(auc_bottom_half([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]))
        0.75
    """
    y, p = paired(truth, prediction)
    return auc(y < np.median(y), -p, weights=weights)


def auprc(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the area under the precision-recall curve, as average precision.

    Formula: sum over distinct scores, descending, of (recall gained) x precision,
    without interpolation (Davis & Goadrich 2006 show why). Unit: share. Range: 0 to 1
    (optimum); chance is the share of events. NaN where a resample has no event.

    Args:
        truth: 1 where the event happened, else 0, `[N]`.
        prediction: Scores `[..., N]`, larger where the event is likelier.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> round(float(auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])), 6)  # (1 + 2/3) / 2
        0.833333
    """
    y, p = _events(truth, prediction)
    w = columns(weights, len(y))
    result = np.empty((p.size // len(y), w.shape[1]))
    for number, row in enumerate(p.reshape(-1, len(y))):
        order = RankOrder(-row)
        for block in blocks(w):
            events = order.totals(w[:, block] * y[:, None])
            found = running_sum(events)
            named = running_sum(order.totals(w[:, block]))
            precision = found / np.where(named > 0, named, 1.0)
            gained = (events * precision).sum(axis=0)
            result[number, block] = ratio(gained, found[-1])
    return result.reshape(result_shape(p, weights))


def brier(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the Brier score of forecast probabilities.

    Formula: sum w (p - y)^2 / sum w. Unit: 1. Range: 0 (optimum) to 1; always p = .5
    scores .25. Always defined. Source: Brier 1950.

    Args:
        truth: 1 where the event happened, else 0, `[N]`.
        prediction: Probabilities of the event `[..., N]`, from 0 to 1.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> round(float(brier([0, 1], [0.2, 0.6])), 6)
        0.1
    """
    y, p = _events(truth, within("prediction", prediction, 0.0, 1.0))
    return weighted_mean((p - y) ** 2, weights)


def _events(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return events `[N]` as 0 and 1, and scores `[..., N]`, checked."""
    y, p = paired(truth, prediction)
    bad = np.flatnonzero((y != 0) & (y != 1))
    if len(bad):
        raise ValueError(
            f"truth of row {bad[0]} is {y[bad[0]]:g}; expected 1 where the event "
            "happened and 0 elsewhere"
        )
    return y, p
