"""Power law with a floor: L = E + A t^-alpha for very many curves on shared times."""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, Window, block_rows, fit_curves
from harness.measure import Estimates, Floats

VERSION: Final = "1"
MIN_POINTS: Final = 5
ALPHA_RANGE: Final = (0.01, 6.0)
STEP: Final = 0.25
"""Grid step of alpha, times the logarithm of last over first time."""
SKETCH_TOLERANCE: Final = 1e-14
STENCIL: Final = 5
"""Grid points on either side from which the best alpha is interpolated."""
CONVERGED: Final = 1e-7
"""Newton step, times the same logarithm, so small that its square is rounding."""
MAX_STEPS: Final = 25
FLAT: Final = 1e-13
"""Scatter over level of a curve below which only rounding is left."""
UNITS: Final = {
    "E": "nats",
    "A": "nats",
    "alpha": "1",
    "rss": "nats^2",
    "r2": "1",
    "rho1": "1",
}


def fit_shifted_power(
    t: npt.ArrayLike,
    loss: npt.ArrayLike,
    *,
    window: Window = None,
    alpha_range: tuple[float, float] = ALPHA_RANGE,
) -> Estimates:
    """Fit L = E + A t^-alpha to N curves by least squares on L.

    Formula: for a given alpha the best E and A are linear, so only
    phi(alpha) = (y . p)^2 / (p . p) is maximised, y and p being L and t^-alpha less
    their means. y . p is an entire function of alpha: one matrix product of all curves
    with p at some 40 Chebyshev nodes gives it for every alpha. The best point of a
    fine grid, the polynomial through its neighbours and Newton steps on the data then
    lead to the global optimum in the range.

    rss = sum r^2, r2 = 1 - rss / sum y^2, rho1 = sum r_i r_i+1 / rss. Standard errors:
    sqrt of the diagonal of rss / (n - 3) (J'J)^-1, J the Jacobian; they assume
    uncorrelated residuals of equal size and a model linear across them. Over less
    than a decade of t, E and alpha are nearly collinear and the errors large.

    Undefined: "no_window", "too_short" (fewer than 5 points), "diverged" (a value in
    the window not finite), "ill_conditioned" (constant curve, or no optimum inside
    alpha_range: towards 0 the curve is logarithmic in t, towards large alpha only its
    first points stand out).

    Args:
        t: Times `[T]`, increasing, > 0 where the windows lie.
        loss: `[N, T]`; may be a memory map.
        window: (first, last), both included, for all curves, or `[N, 2]`; None is
            everything.
        alpha_range: Where alpha is sought, 0 < low < high.

    Returns:
        E, A (at t = 1 in the unit of t), alpha, rss, r2, rho1; standard errors of E, A
        and alpha.

    Raises:
        ValueError: Shapes that do not match, t not increasing or not positive, or an
            impossible alpha_range.

    Cost: T x 40 multiply-adds and about T exponentials a curve.
    Source: variable projection, Golub & Pereyra 1973; Chebyshev interpolation.

    Example:
        L = 0.3 + 0.9 t^-0.5 gives E = 0.3, A = 0.9, alpha = 0.5, rss = 0.
    """
    low, high = alpha_range
    if not 0 < low < high < math.inf:
        raise ValueError(f"alpha_range is {alpha_range}; expected 0 < low < high")

    def prepare(times: Floats) -> Fit:
        """Return the fit on the times of one window."""
        if times[0] <= 0:
            raise ValueError(
                f"t is {times[0]:g} in the window; a power law needs t > 0 (leave out "
                "step 0 or begin the window later)"
            )
        return _Problem(times, low, high).fit

    return fit_curves(
        t,
        loss,
        window,
        prepare,
        estimator="shifted_power",
        version=VERSION,
        units=UNITS,
        errors=("E", "A", "alpha"),
        min_points=MIN_POINTS,
        positive=False,
        params={"alpha_range": (low, high)},
    )


class _Moments(NamedTuple):
    """Sums over the points of B curves at their alphas, p = (t / t_0)^-alpha.

    s = ln(t / t_0); every factor but one of a product is centred.
    """

    p: Floats
    """`[B, n]`."""
    mean_p: Floats
    mean_sp: Floats
    yp: Floats
    ysp: Floats
    pp: Floats
    psp: Floats
    spsp: Floats
    step: Floats
    """Newton step of alpha towards the maximum of phi."""
    peak: npt.NDArray[np.bool_]
    """Whether phi bends down here."""


class _Problem:
    """Everything about a fit that depends on the times `[n]` only."""

    def __init__(self, times: Floats, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.log_t0 = math.log(times[0])
        self.s: Floats = np.log(times / times[0])
        self.s2 = self.s**2
        span = float(self.s[-1])
        self.tolerance = CONVERGED / span
        count = max(math.ceil((high - low) * span / STEP), 4 * STENCIL) + 1
        self.grid: Floats = np.linspace(low, high, count)
        nodes, self.refine = _chebyshev(low, high, span, self.grid)
        self.sketch = self._powers(nodes).T.copy()  # [n, K]
        self.inverse = 1 / np.linalg.vecdot(*(2 * [self._powers(self.grid)]))
        self.rows = block_rows(len(times))
        offsets = np.arange(-STENCIL, STENCIL + 1)
        self.offsets = offsets
        self.stencil: Floats = np.linalg.inv(np.vander(offsets, increasing=True))

    def _powers(self, alphas: Floats) -> Floats:
        """Return the centred powers `[G, n]`."""
        p = np.exp(-alphas[:, None] * self.s)
        centred: Floats = p - p.mean(axis=1, keepdims=True)
        return centred

    def fit(self, y: Floats) -> Fitted:
        """Fit curves `[B, n]`, which are overwritten."""
        level = y.mean(axis=1)
        y -= level[:, None]
        total = np.linalg.vecdot(y, y)
        alpha = self._start(y)
        sums = self._moments(y, alpha)
        inside = (alpha >= self.low) & (alpha <= self.high)
        for _ in range(MAX_STEPS):
            # not converged, still inside, and curved so that Newton climbs
            go = (abs(sums.step) > self.tolerance) & inside & sums.peak
            if not go.any():
                break
            rows = np.flatnonzero(go)
            alpha[rows] += sums.step[rows]
            inside[rows] = (alpha[rows] >= self.low) & (alpha[rows] <= self.high)
            again = self._moments(y[rows], alpha[rows])
            for old, new in zip(sums, again, strict=True):
                old[rows] = new
        settled = abs(sums.step) <= self.tolerance
        flat = total <= len(self.s) * (FLAT * level) ** 2
        values, errors = self._results(y, level, total, alpha, sums)
        return Fitted(values, errors, flat | ~inside | ~sums.peak | ~settled)

    def _start(self, y: Floats) -> Floats:
        """Return the alphas `[B]` that the grid and its interpolation give.

        Blocks are filled up to one size, so that a curve's product with the sketch
        does not depend, by rounding, on how many curves stand beside it.
        """
        full = y
        if len(y) < self.rows:
            full = np.zeros((self.rows, len(self.s)))
            full[: len(y)] = y
        gain = full @ self.sketch @ self.refine
        phi = np.square(gain, out=gain)
        phi *= self.inverse
        best = phi.argmax(axis=1)
        centre = np.clip(best, STENCIL, len(self.grid) - 1 - STENCIL)
        near = np.take_along_axis(phi, centre[:, None] + self.offsets, axis=1)
        near /= near.max(axis=1, keepdims=True)
        x = _summit(self.stencil @ near.T, (best - centre).astype(np.float64))
        step = self.grid[1] - self.grid[0]
        alpha: Floats = np.clip(self.grid[centre] + x * step, self.low, self.high)
        return alpha[: len(y)]

    def _moments(self, y: Floats, alpha: Floats) -> _Moments:
        """Return sums and Newton step for centred curves `[B, n]` at alphas `[B]`."""
        n, dot = len(self.s), np.linalg.vecdot
        p = np.multiply.outer(-alpha, self.s)
        np.exp(p, out=p)
        mean_p, sp, s2p = p.mean(axis=1), dot(p, self.s), dot(p, self.s2)
        product = y * p
        yp, ysp, ys2p = product.sum(axis=1), dot(product, self.s), dot(product, self.s2)
        np.square(p, out=product)
        pp = product.sum(axis=1) - n * mean_p**2
        psp = dot(product, self.s) - mean_p * sp
        raw = dot(product, self.s2)
        spsp = raw - sp**2 / n
        # F = y.p, D = p.p and their derivatives: phi = F^2 / D peaks where
        # psi = 2 F' D - F D' = 0
        f1, f2 = -ysp, ys2p
        d1, d2 = -2 * psp, 2 * (spsp + raw - mean_p * s2p)
        psi = 2 * f1 * pp - yp * d1
        bend = 2 * f2 * pp + f1 * d1 - yp * d2
        return _Moments(
            p, mean_p, sp / n, yp, ysp, pp, psp, spsp, -psi / bend, yp * bend < 0
        )

    def _results(
        self, y: Floats, level: Floats, total: Floats, alpha: Floats, sums: _Moments
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Return values and standard errors; the curves become residuals."""
        # the last Newton step: p (1 - step s) is p at the new alpha to 1e-14
        alpha = alpha + sums.step
        mean_p = sums.mean_p - sums.step * sums.mean_sp
        scale = (sums.yp - sums.step * sums.ysp) / (sums.pp - 2 * sums.step * sums.psp)
        floor = level - scale * mean_p
        residual = np.multiply.outer(-sums.step, self.s)
        residual += 1
        residual *= sums.p
        residual -= mean_p[:, None]
        residual *= -scale[:, None]
        residual += y
        rss = np.linalg.vecdot(residual, residual)
        lagged = np.linalg.vecdot(residual[:, 1:], residual[:, :-1])
        rho1 = np.divide(lagged, rss, out=np.zeros_like(rss), where=rss > 0)
        raised = np.exp(alpha * self.log_t0)
        values = {
            "E": floor,
            "A": scale * raised,
            "alpha": alpha,
            "rss": rss,
            "r2": 1 - rss / total,
            "rho1": rho1,
        }
        # Gram matrix of the centred columns p and z = dL/dalpha = -scale s p
        zz, pz = scale**2 * sums.spsp, -scale * sums.psp
        variance = rss / (len(self.s) - 3) / (sums.pp * zz - pz**2)
        v_scale, v_alpha, v_both = variance * zz, variance * sums.pp, -variance * pz
        mean_z = -scale * sums.mean_sp
        v_floor = (
            rss / (len(self.s) - 3) / len(self.s)
            + sums.mean_p**2 * v_scale
            + mean_z**2 * v_alpha
            + 2 * sums.mean_p * mean_z * v_both
        )
        lift = scale * self.log_t0
        v_raised = v_scale + lift**2 * v_alpha + 2 * lift * v_both
        errors = {
            "E": np.sqrt(v_floor),
            "A": raised * np.sqrt(v_raised),
            "alpha": np.sqrt(v_alpha),
        }
        return values, errors


def _summit(coefficients: Floats, start: Floats) -> Floats:
    """Climb polynomials, coefficients `[K, B]` from the lowest, by at most 1 `[B]`."""
    order = np.arange(len(coefficients))[:, None]
    slopes = (coefficients * order)[1:]
    bends = (slopes * order[:-1])[1:]
    x = start.copy()
    for _ in range(3):
        slope, bend = slopes[-1], bends[-1]
        for c in slopes[-2::-1]:
            slope = slope * x + c
        for c in bends[-2::-1]:
            bend = bend * x + c
        x = np.clip(x - np.where(bend < 0, slope / bend, 0), start - 1, start + 1)
    return x


def _chebyshev(
    low: float, high: float, span: float, grid: Floats
) -> tuple[Floats, Floats]:
    """Return nodes `[K]` and the matrix `[K, G]` from values there to the grid.

    exp(-alpha s), 0 <= s <= span, has Chebyshev coefficients that decay like the
    modified Bessel functions I_k(z) exp(-z) with z = (high - low) span / 2.
    """
    z = (high - low) * span / 2
    count = math.ceil(math.sqrt(2 * z * -math.log(SKETCH_TOLERANCE))) + 12
    angle = (np.arange(count) + 0.5) * math.pi / count
    nodes = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
    x = np.clip((2 * grid - low - high) / (high - low), -1, 1)
    order = np.arange(count)
    weight = np.where(order == 0, 1, 2) / count
    here = np.cos(np.outer(order, angle)) * weight[:, None]  # [K, K]
    there = np.cos(np.outer(order, np.arccos(x)))  # [K, G]
    return nodes, here.T @ there
