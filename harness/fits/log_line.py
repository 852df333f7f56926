"""Straight lines through the logarithms of many curves: the core of two fits.

The power law is a line in ln t, the exponential decay one in t.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from harness.fits.serial import SerialErrors
from harness.measure import Floats

ROUNDING: Final = 8 * np.finfo(np.float64).eps
"""Relative scatter of ln L up to which a curve counts as constant."""


class Line(NamedTuple):
    """Least-squares lines ln L = intercept + slope x of B curves, `[B]` each."""

    intercept: Floats
    slope: Floats
    intercept_se: Floats
    """Standard error that allows for AR(1) residuals; white theory has `_white`."""
    slope_se: Floats
    intercept_se_white: Floats
    slope_se_white: Floats
    rss: Floats
    """Sum of squared residuals of ln L."""
    r2: Floats
    """1 - rss / total sum of squares; 0 for a constant curve."""
    rho1: Floats
    """Lag-1 correlation sum r_i r_i+1 / sum r_i^2 of the residuals; 0 if all are 0."""
    rho: Floats
    """Lag-1 correlation of the noise that rho1 points to, in [0, 0.99]."""


def prepare_line(x: Floats) -> Callable[[Floats], Line]:
    """Return the fit of positive curves `[B, n]` on the regressor `[n]`, n >= 4."""
    n = len(x)
    mean = x.mean()
    centred = x - mean
    spread = centred @ centred
    serial = SerialErrors(x)
    at_zero = np.sqrt(1 / n + mean**2 / spread)

    def fit(curves: Floats) -> Line:
        """Fit one block; the curves are overwritten."""
        y = np.log(curves, out=curves)
        height = y.mean(axis=1)
        y -= height[:, None]
        total = np.linalg.vecdot(y, y)
        flat = total <= n * (ROUNDING * height) ** 2
        slope = np.where(flat, 0.0, np.linalg.vecdot(y, centred) / spread)
        y -= slope[:, None] * centred
        rss = np.linalg.vecdot(y, y)
        lagged = np.linalg.vecdot(y[:, 1:], y[:, :-1])
        rho1 = np.divide(lagged, rss, out=np.zeros_like(rss), where=rss > 0)
        r2 = 1 - np.divide(rss, total, out=np.ones_like(rss), where=~flat)
        white = np.sqrt(rss / (n - 2))
        errors = serial.of(rss, rho1)
        return Line(
            intercept=height - slope * mean,
            slope=slope,
            intercept_se=errors.intercept,
            slope_se=errors.slope,
            intercept_se_white=white * at_zero,
            slope_se_white=white / np.sqrt(spread),
            rss=rss,
            r2=r2,
            rho1=rho1,
            rho=errors.rho,
        )

    return fit
