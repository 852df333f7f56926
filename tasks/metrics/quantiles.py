"""Scores of forecasts that are given as quantiles: pinball loss, CRPS, coverage."""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import finite, paired, weighted_mean

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Levels that a task asks for unless it says otherwise."""


def pinball(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    level: float = 0.5,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the mean pinball loss of one quantile.

    Formula: (y - q) level where y >= q, (q - y) (1 - level) elsewhere; half the MAE at
    level .5. Unit: the target's. Range: from 0 (optimum), always defined. Source:
    Koenker & Bassett 1978.

    Args:
        truth: True values `[N]`.
        prediction: Quantiles `[..., N]` of that level.
        level: Share of the probability below the quantile, between 0 and 1.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> round(float(pinball([1.0, 3.0], [2.0, 2.0], level=0.9)), 6)  # (.1 + .9) / 2
        0.5
    """
    y, q = paired(truth, prediction)
    (tau,) = checked_levels([level])
    return weighted_mean(np.maximum(tau * (y - q), (tau - 1) * (y - q)), weights)


def crps(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    levels: npt.ArrayLike = DECILES,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the continuous ranked probability score of quantile forecasts.

    Formula: 2 x the mean pinball loss over the levels, which tends to the integral of
    (F(x) - 1{x >= y})^2 as the levels fill (0, 1). Unequal levels are weighted by the
    part of (0, 1) they stand for (`level_weights`). With levels symmetric about the
    median this is the weighted interval score. Levels belong to the number: 9 deciles
    say .24673 where the integral is .23370. Unit: the target's; the MAE where all
    quantiles agree. Range: from 0 (optimum), always defined. Sources: Gneiting &
    Raftery 2007; Bracher et al. 2021 (weighted interval score).

    Args:
        truth: True values `[N]`.
        prediction: Quantiles `[..., N, Q]`.
        levels: Their levels `[Q]`, ascending, between 0 and 1.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(crps([0.0], [[-1.0, 0.0, 1.0]], levels=[0.25, 0.5, 0.75]))
        0.3333333333333333
    """
    tau = checked_levels(levels)
    y, q = _paired_quantiles(truth, prediction, len(tau))
    miss = y[:, None] - q
    losses = np.maximum(tau * miss, (tau - 1) * miss)
    return weighted_mean(2 * losses @ level_weights(tau), weights)


def level_weights(levels: npt.ArrayLike) -> Floats:
    """Return the weight of each level in a mean over (0, 1), `[Q]`, of sum 1.

    Formula: half the distance between the two neighbours; at either end the distance
    to the only neighbour; then scaled to sum 1. Equal distances give equal weights.

    Example:
        >>> level_weights([0.1, 0.5, 0.9]).round(3).tolist()
        [0.333, 0.333, 0.333]
    """
    tau = checked_levels(levels)
    if len(tau) == 1:
        return np.ones(1)
    gaps = np.diff(tau)
    widths = (np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])) / 2
    return np.asarray(widths / widths.sum())


def coverage(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return how often the truth lies between the outermost quantiles.

    Formula: share of rows with lowest quantile <= y <= highest quantile. Unit: share.
    Range: 0 to 1; the optimum is the difference of the outer levels (.8 for deciles),
    and an interval that is too wide overshoots it. Always defined.

    Args:
        truth: True values `[N]`.
        prediction: Quantiles `[..., N, Q]`, ascending levels; Q = 2 for an interval.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(coverage([1.0, 5.0], [[0.0, 2.0], [0.0, 2.0]]))
        0.5
    """
    num_levels = np.shape(prediction)[-1] if np.ndim(prediction) else 0
    y, q = _paired_quantiles(truth, prediction, num_levels)
    inside = (q[..., 0] <= y) & (y <= q[..., -1])
    return weighted_mean(inside.astype(np.float64), weights)


def checked_levels(levels: npt.ArrayLike) -> Floats:
    """Return quantile levels `[Q]` in float64.

    Raises:
        ValueError: They are not ascending numbers between 0 and 1.
    """
    tau = finite("levels", levels)
    ascending = tau.ndim == 1 and tau.size and (np.diff(tau) > 0).all()
    if not ascending or tau[0] <= 0 or tau[-1] >= 1:
        raise ValueError(
            f"levels are {tau.tolist()}; expected ascending numbers between 0 and 1"
        )
    return tau


def _paired_quantiles(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, num_levels: int
) -> tuple[Floats, Floats]:
    """Return truth `[N]` and quantiles `[..., N, Q]`, checked."""
    y, q = finite("truth", truth), finite("prediction", np.atleast_2d(prediction), -2)
    if y.ndim != 1 or not y.size or q.shape[-2:] != (len(y), num_levels):
        raise ValueError(
            f"truth has shape {list(y.shape)} and prediction {list(q.shape)}; expected "
            f"[N] and [..., N, {num_levels}] with the same rows and a column a level"
        )
    return y, q
