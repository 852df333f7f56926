"""kappa: how aligned gradient noise is with curvature; D: the difficulty score.

Both come from `harness.curvature.covariance.moments`; the source of D leaves its kappa
open, so two are offered, of which `kappa_cos` is the default.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.curvature.covariance import Moments
from harness.measure import NOT_APPLICABLE, OK, Floats
from harness.reading import Reading, reading


def kappa_cos(found: Moments) -> Reading:
    """Return tr(Sigma H) / (||Sigma||_F ||H||_F), the cosine of the two matrices.

    Range: -1..1; 1 where one is a multiple of the other. Unit: none; the same for
    another scale of the loss. Undefined: "not_applicable" where a matrix is zero. A
    ratio of means from few probes is biased by about se^2. Standard error: jackknife
    over the probes.

    Cost: none beyond the moments.

    Example:
        Sigma = H: 1. Sigma = I, H = diag(10, 1, .1): .6376.
    """

    def cosine(m: Floats) -> Floats:
        cosines: Floats = m[0] / np.sqrt(m[1] * m[2])
        return cosines

    usable = (found.samples[1:3].mean(1) > 0).all(0)
    return _jackknife(found, cosine, usable)


def kappa_ratio(found: Moments) -> Reading:
    """Return P tr(Sigma H) / (tr Sigma tr H), P the number of parameters.

    How much more noise there is along curved directions than if it were isotropic
    with the same trace. Range: real; 1 for isotropic noise. Undefined:
    "not_applicable" where a trace is not positive. Standard error: jackknife over the
    probes.

    Cost: none beyond the moments.
    Source: after Zhu et al. 2019, arXiv 1803.00195, who compare tr(Sigma H) with that
    of isotropic noise.

    Example:
        Sigma = I: 1 for every H with a positive trace.
    """

    def ratio(m: Floats) -> Floats:
        ratios: Floats = found.dim * m[0] / (m[3] * m[4])
        return ratios

    usable = (found.samples[3:5].mean(1) > 0).all(0)
    return _jackknife(found, ratio, usable)


def difficulty(largest: Reading, trace: Reading, kappa: Reading) -> Reading:
    """Return D = lambda_1^2 / tr H * kappa.

    Unit: that of the loss over that of the parameters squared, so that ten times the
    loss has ten times the difficulty. Range: real. Undefined: "not_applicable" where
    tr H <= 0; the status of an argument that has none is kept. Standard error: by the
    delta method, taking trace and kappa as independent; None where one has none.

    Cost: none.

    Args:
        largest: lambda_1, from `harness.curvature.lanczos.extremes`.
        trace: tr H, from other probes than kappa.
        kappa: `kappa_cos` or `kappa_ratio`.

    Example:
        lambda_1 = 10, tr H = 11.1, kappa = 1: 9.01.
    """
    state = np.where(largest.status != OK, largest.status, trace.status)
    state = np.where(state != OK, state, kappa.status)
    state = np.where((state == OK) & ~(trace.value > 0), NOT_APPLICABLE, state)
    scale = np.where(state == OK, trace.value, np.nan)
    slope = largest.value**2 / scale
    error = None
    if trace.se is not None and kappa.se is not None:
        error = slope * np.hypot(kappa.se, kappa.value * trace.se / scale)
    return reading(slope * kappa.value, state, error)


def _jackknife(
    found: Moments, function: Callable[[Floats], Floats], usable: npt.NDArray[np.bool_]
) -> Reading:
    """Return a function of the five means `[5, ...]` with its standard error."""
    samples = np.where(usable & (found.status == OK), found.samples, np.nan)
    count = samples.shape[1]
    mean = samples.mean(1)
    without = (count * mean[:, None] - samples) / (count - 1)  # [5, m, S]
    values = function(without)
    spread = (count - 1) * values.var(0)
    state = np.where((found.status == OK) & ~usable, NOT_APPLICABLE, found.status)
    return reading(function(mean), state, np.sqrt(spread))
