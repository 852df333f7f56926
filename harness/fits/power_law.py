"""Power law in training time: alpha, log c and how straight the log-log curve is."""

from typing import Final

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, Window, fit_curves
from harness.fits.log_line import prepare_line
from harness.measure import Estimates, Floats

VERSION: Final = "1"
MIN_POINTS: Final = 5
UNITS: Final = {
    "alpha": "1",
    "log_c": "ln(nats)",
    "r2": "1",
    "rss": "1",
    "rho1": "1",
    "rho": "1",
    "alpha_se_white": "1",
    "log_c_se_white": "1",
}


def fit_power_law(
    t: npt.ArrayLike, loss: npt.ArrayLike, *, window: Window = None
) -> Estimates:
    """Fit L = c t^-alpha to N curves by least squares on logarithms.

    Formula: ln L = log_c - alpha ln t + r over the points in the window; rss = sum r^2,
    r2 = 1 - rss / sum (ln L - mean)^2, rho1 = sum r_i r_i+1 / rss. The standard errors
    of alpha and log_c allow for AR(1) noise whose correlation `rho` is read from rho1
    (`harness.fits.serial`); `alpha_se_white` and `log_c_se_white` assume that there is
    none and are too small for loss curves (at sigma 0.05 and rho 0.8 alpha really
    varies by 0.061, white theory says 0.02). With some ten points and strong
    correlation even the first are too small by up to a factor of 1.5.

    alpha is unit-free (t in epochs or steps gives the same), any real number, and
    depends on where t = 0 lies (`windows.epoch_axis`). r2 is no evidence of a power
    law: exponential and straight decay reach 0.97 to 0.98 in the window 5-15. log_c
    refers to t = 1 in the unit of t.

    Undefined: "no_window", "too_short" (fewer than 5 points), "diverged" (a value in
    the window not finite or <= 0).

    Args:
        t: Times `[T]`, increasing, > 0 where the windows lie.
        loss: `[N, T]`, positive; may be a memory map.
        window: (first, last), both included, for all curves, or `[N, 2]`, such as
            burn-in to the end of the window; None is everything.

    Returns:
        alpha, log_c, r2, rss, rho1, rho, alpha_se_white, log_c_se_white; standard
        errors of alpha and log_c.

    Raises:
        ValueError: Shapes that do not match, t not increasing or not positive.

    Cost: one pass, mostly the logarithms.
    Source: the form of Kaplan et al. 2001.08361, there in data and parameters; that it
    holds in training time is a hypothesis.

    Example:
        L = 0.9 t^-0.5 gives alpha = 0.5, log_c = ln 0.9, r2 = 1.
    """
    return fit_curves(
        t,
        loss,
        window,
        _prepare,
        estimator="power_law",
        version=VERSION,
        units=UNITS,
        errors=("alpha", "log_c"),
        min_points=MIN_POINTS,
        positive=True,
        params={},
    )


def _prepare(times: Floats) -> Fit:
    """Return the fit on the times of one window."""
    if times[0] <= 0:
        raise ValueError(
            f"t is {times[0]:g} in the window; a power law needs t > 0 (leave out step "
            "0 or begin the window later)"
        )
    line = prepare_line(np.log(times))

    def fit(curves: Floats) -> Fitted:
        """Fit one block."""
        found = line(curves)
        values = {
            "alpha": -found.slope,
            "log_c": found.intercept,
            "r2": found.r2,
            "rss": found.rss,
            "rho1": found.rho1,
            "rho": found.rho,
            "alpha_se_white": found.slope_se_white,
            "log_c_se_white": found.intercept_se_white,
        }
        return Fitted(values, {"alpha": found.slope_se, "log_c": found.intercept_se})

    return fit
