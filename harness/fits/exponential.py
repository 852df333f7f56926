"""Exponential decay to zero: the rival of the power law over a short window."""

from typing import Final

import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, Window, fit_curves
from harness.fits.log_line import prepare_line
from harness.measure import Estimates, Floats

VERSION: Final = "1"
MIN_POINTS: Final = 5
UNITS: Final = {
    "rate": "1/t",
    "tau": "t",
    "log_c": "ln(nats)",
    "r2": "1",
    "rss": "1",
    "rho1": "1",
    "rho": "1",
    "rate_se_white": "1/t",
    "log_c_se_white": "1",
}


def fit_exponential(
    t: npt.ArrayLike, loss: npt.ArrayLike, *, window: Window = None
) -> Estimates:
    """Fit L = c exp(-t / tau) to N curves by least squares on logarithms.

    Formula: ln L = log_c - rate t + r, tau = 1 / rate (negative for a rising curve);
    rss, r2, rho1, rho and both kinds of standard errors as in `fit_power_law`. The
    standard error of tau is that of rate times tau^2.

    Undefined: "no_window", "too_short" (fewer than 5 points), "diverged" (a value in
    the window not finite or <= 0), "ill_conditioned" (rate exactly 0).

    Args:
        t: Times `[T]`, increasing, any unit.
        loss: `[N, T]`, positive; may be a memory map.
        window: (first, last), both included, for all curves, or `[N, 2]`; None is
            everything.

    Returns:
        rate (per unit of t), tau (in that unit), log_c, r2, rss, rho1, rho,
        rate_se_white, log_c_se_white; standard errors of rate, tau and log_c.

    Raises:
        ValueError: Shapes that do not match, or t not increasing.

    Cost: one pass, mostly the logarithms.

    Example:
        L = exp(-t / 10) gives tau = 10, log_c = 0, r2 = 1.
    """
    return fit_curves(
        t,
        loss,
        window,
        _prepare,
        estimator="exponential",
        version=VERSION,
        units=UNITS,
        errors=("rate", "tau", "log_c"),
        min_points=MIN_POINTS,
        positive=True,
        params={},
    )


def _prepare(times: Floats) -> Fit:
    """Return the fit on the times of one window."""
    line = prepare_line(times)

    def fit(curves: Floats) -> Fitted:
        """Fit one block."""
        found = line(curves)
        tau = -1 / found.slope
        values = {
            "rate": -found.slope,
            "tau": tau,
            "log_c": found.intercept,
            "r2": found.r2,
            "rss": found.rss,
            "rho1": found.rho1,
            "rho": found.rho,
            "rate_se_white": found.slope_se_white,
            "log_c_se_white": found.intercept_se_white,
        }
        errors = {
            "rate": found.slope_se,
            "tau": found.slope_se * tau**2,
            "log_c": found.intercept_se,
        }
        return Fitted(values, errors)

    return fit
