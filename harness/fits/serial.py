"""Standard errors of a straight-line fit whose residuals are serially correlated.

The residuals of a loss curve resemble AR(1) noise, and least squares hides part of it:
fitted residuals are smaller and less correlated than the noise. `SerialErrors` undoes
both for one abscissa and then serves any number of curves.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.signal import fftconvolve

from harness.measure import Floats

RHO_GRID: Final = np.linspace(0.0, 0.99, 100)
"""Noise correlations considered; negative ones count as 0."""


class LineErrors(NamedTuple):
    """Standard errors `[B]` of a line a + b x."""

    slope: Floats
    intercept: Floats
    rho: Floats
    """Lag-1 correlation of the noise, as far as the residuals tell, in [0, 0.99]."""


class SerialErrors:
    """Errors of least-squares lines on x `[n]` under AR(1) noise.

    Formula: with the residual maker M = I - X (X'X)^-1 X', the noise correlation
    R_ij = rho^|i - j| and the shift S (ones beside the diagonal, halved),
    r1(rho) = tr(M S M R) / tr(M R) is what the residuals' lag-1 correlation estimates.
    It is inverted for rho; then var = RSS / tr(M R) * c' R c with c the weights that
    least squares gives the points for slope or intercept. rho = 0 gives the textbook
    errors. Every trace is a polynomial in rho whose coefficients are lag sums.

    Args:
        x: Regressor `[n]`, n >= 3, not constant.

    Cost: O(n log n + 100 n) once; an interpolation a curve.
    Source: first principles; the bias of rho is that of Marriott & Pope (1954).
    """

    def __init__(self, x: Floats) -> None:
        n = len(x)
        centred = x - x.mean()
        ones = np.full(n, 1 / np.sqrt(n))
        unit = centred / np.sqrt(centred @ centred)
        basis = [ones, unit]
        powers = RHO_GRID[:, None] ** np.arange(n)  # [100, n]

        def form(v: Floats, w: Floats) -> Floats:
            """Return v' R w at every rho of the grid, `[100]`."""
            lags = fftconvolve(v, w[::-1])  # lag k at n - 1 + k
            both = lags[n - 1 :].copy()
            both[1:] += lags[n - 2 :: -1]
            folded: Floats = powers @ both
            return folded

        shifted = [_shift(v) for v in basis]
        kept = n - sum(form(v, v) for v in basis)
        # tr(M S M R) = tr(S R) - 2 sum q' S R q + sum q_i' S q_j  q_j' R q_i
        cross = (n - 1) * RHO_GRID
        cross = cross - 2 * sum(form(s, v) for s, v in zip(shifted, basis, strict=True))
        for v in basis:
            for s, w in zip(shifted, basis, strict=True):
                cross = cross + (s @ v) * form(w, v)
        slope = centred / (centred @ centred)
        intercept = 1 / n - x.mean() * slope
        self._seen: Floats = np.maximum.accumulate(cross / kept)
        self._kept: Floats = np.asarray(kept)
        self._slope, self._intercept = form(slope, slope), form(intercept, intercept)

    def of(self, rss: Floats, r1: Floats) -> LineErrors:
        """Return the errors for sums of squares and lag-1 correlations `[B]`."""
        rho = np.interp(r1, self._seen, RHO_GRID)
        variance = rss / np.interp(rho, RHO_GRID, self._kept)
        slope = np.sqrt(variance * np.interp(rho, RHO_GRID, self._slope))
        intercept = np.sqrt(variance * np.interp(rho, RHO_GRID, self._intercept))
        return LineErrors(slope, intercept, rho)


def _shift(v: Floats) -> Floats:
    """Return S v: half of each neighbour's value."""
    out = np.zeros_like(v)
    out[:-1] += v[1:] / 2
    out[1:] += v[:-1] / 2
    return out
