"""CRPS of a normal distribution and of an ensemble; of quantiles: see quantiles.py.

All estimate the integral of (F(x) - 1{x >= y})^2 over x; the MAE of a point forecast.
"""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import finite, paired, positive, weighted_mean


def crps_gaussian(
    truth: npt.ArrayLike,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the CRPS of normal forecasts in closed form.

    Formula: sd [z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)], z = (y - mean) / sd. Unit:
    the target's. Range: from 0 (optimum, as sd falls to 0 at the truth); always
    defined. Source: Gneiting et al. 2005, equation 5.

    Args:
        truth: True values `[N]`.
        mean: Means of the forecasts `[..., N]`.
        sd: Their standard deviations, positive, `[..., N]` or one number.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> round(float(crps_gaussian([0.0], [0.0], [1.0])), 7)
        0.233695
    """
    from scipy.special import ndtr

    y, m = paired(truth, mean)
    scale = np.broadcast_to(positive("sd", sd), m.shape)
    z = (y - m) / scale
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    losses = scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return weighted_mean(losses, weights)


def crps_ensemble(
    truth: npt.ArrayLike,
    members: npt.ArrayLike,
    *,
    fair: bool = True,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the CRPS of ensemble forecasts.

    Formula: mean |x_i - y| - sum over ordered pairs |x_i - x_j| / (2 m^2), the score of
    the ensemble's own distribution. The fair version divides by 2 m (m - 1) instead: it
    expects what the distribution behind m members scores, and may be negative. Unit:
    the target's. Range: from 0 (optimum; fair: lower is possible by chance); the fair
    version needs 2 members. m = 10 members of N(0, 1) at 0 expect .29012 and .23370.
    Source: Ferro 2014 (fair scores).

    Args:
        truth: True values `[N]`.
        members: Ensembles `[..., N, M]`.
        fair: Whether to correct for the number of members.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        >>> float(crps_ensemble([0.0], [[-1.0, 1.0]], fair=False))  # 1 - 4 / 8
        0.5
    """
    y, x = finite("truth", truth), finite("members", np.atleast_2d(members), -2)
    m = x.shape[-1]
    if y.ndim != 1 or x.shape[-2] != len(y) or m < 1 + fair:
        raise ValueError(
            f"truth has shape {list(y.shape)} and members {list(x.shape)}; expected "
            f"[N] and [..., N, M] with M of at least {1 + fair}"
        )
    ordered = np.sort(x, axis=-1)
    # Sum over ordered pairs |x_i - x_j| = 2 sum_i (2 i - m - 1) x_(i).
    spread = ordered @ (2.0 * np.arange(1, m + 1) - m - 1)
    losses = np.abs(x - y[:, None]).mean(axis=-1) - spread / (m * (m - fair))
    return weighted_mean(losses, weights)
