"""The error of forecast loss curves."""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import positive, weighted_mean


def curve_error(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    counted: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the mean |difference of ln L| between true and forecast curves.

    Formula: mean over a curve's counted points of |ln p - ln L|, then the weighted mean
    over the curves, so that long curves count no more than short ones. Unit: ln. Range:
    from 0 (optimum), always defined; a loss that is not positive is a ValueError.

    Args:
        truth: Losses `[N, T]`, positive.
        prediction: Forecast losses `[..., N, T]`, positive.
        counted: Which points count, `[N, T]`, at least one a curve; None means all.
        weights: How often each curve occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> round(float(curve_error([[1.0, 1.0]], [[1.0, 2.0]])), 6)  # ln 2 / 2
        0.346574
    """
    y = positive("truth", np.atleast_2d(truth), row_axis=-2)
    p = positive("prediction", np.atleast_2d(prediction), row_axis=-2)
    if y.ndim != 2 or not y.size or p.shape[-2:] != y.shape:
        raise ValueError(
            f"truth has shape {list(y.shape)} and prediction {list(p.shape)}; expected "
            "[N, T] and [..., N, T]"
        )
    mask = np.ones(y.shape) if counted is None else np.asarray(counted, dtype=bool)
    if mask.shape != y.shape or not mask.any(axis=1).all():
        raise ValueError(
            f"counted has shape {list(mask.shape)}; expected {list(y.shape)} with at "
            "least one point in every curve"
        )
    misses = np.abs(np.log(p) - np.log(y)) * mask
    return weighted_mean(misses.sum(axis=-1) / mask.sum(axis=-1), weights)
