"""Errors of point predictions: MAE, its logarithmic form, RMSE and R2.

All are means of a loss a row, so that all resamples cost one matrix product.
"""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import paired, positive, ratio, weighted_mean


def mae(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the mean absolute error.

    Formula: sum w |p - y| / sum w. Unit: the target's. Range: from 0 (optimum), always
    defined. Cost: O(N), one product [P, N] x [N, B].

    Args:
        truth: True values `[N]`.
        prediction: Predicted values `[..., N]`.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(mae([1.0, 2.0], [1.5, 1.0]))
        0.75
    """
    y, p = paired(truth, prediction)
    return weighted_mean(np.abs(p - y), weights)


def log_mae(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the mean absolute error of the natural logarithms.

    Formula: sum w |ln p - ln y| / sum w; .01 is an error of about 1 %. Unit: ln.
    Range: from 0 (optimum). A value that is not positive is a ValueError: predict the
    logarithm and use `mae` where a predictor may stray below zero.

    Args:
        truth: True values `[N]`, positive.
        prediction: Predicted values `[..., N]`, positive.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> round(float(log_mae([1.0, 2.0], [2.0, 2.0])), 6)  # ln 2 / 2
        0.346574
    """
    y, p = paired(positive("truth", truth), positive("prediction", prediction))
    return weighted_mean(np.abs(np.log(p) - np.log(y)), weights)


def rmse(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the root of the mean squared error.

    Formula: sqrt(sum w (p - y)^2 / sum w). Unit: the target's. Range: from 0 (optimum),
    always defined.

    Args:
        truth: True values `[N]`.
        prediction: Predicted values `[..., N]`.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(rmse([0.0, 0.0], [1.0, 7.0]))
        5.0
    """
    y, p = paired(truth, prediction)
    return np.sqrt(weighted_mean((p - y) ** 2, weights))


def r2(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the share of the variance of the truth that is explained.

    Formula: 1 - sum w (p - y)^2 / sum w (y - mean)^2 with the weighted mean of the
    truth. Unit: 1. Range: up to 1 (optimum); 0 is the mean of these very rows, which no
    predictor knows. NaN where the truth of a resample has no variance.

    Args:
        truth: True values `[N]`.
        prediction: Predicted values `[..., N]`.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(r2([1.0, 2.0, 3.0], [1.0, 2.0, 2.0]))
        0.5
    """
    y, p = paired(truth, prediction)
    centred = y - y.mean()
    spread = weighted_mean(centred**2, weights) - weighted_mean(centred, weights) ** 2
    # Below this the difference of the two moments is rounding, not variance.
    floor = 1e-14 * (centred**2).max() + (1e-14 * np.abs(y).max()) ** 2
    return 1 - ratio(
        weighted_mean((p - y) ** 2, weights), np.where(spread > floor, spread, 0.0)
    )
