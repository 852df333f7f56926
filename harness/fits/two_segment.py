"""Two power laws joined at a knee: the best continuous hinge of ln L over ln t.

The knee is profiled exactly between samples, so every curve gets its global optimum.
`best_hinge` is the solver that the knee tests share.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, Window, fit_curves
from harness.measure import Estimates, Floats

VERSION: Final = "1"
MIN_POINTS: Final = 6
"""Points on either side of a knee, a point on the knee counting for both."""
ROUNDING: Final = 1e-12
"""Residuals of ln L below this are rounding, not structure."""
UNITS: Final = {
    "alpha_1": "1",
    "alpha_2": "1",
    "t_knee": "unit of t",
    "loss_knee": "nats",
    "rss": "1",
    "rss_line": "1",
    "r2": "1",
    "rho": "1",
}


class Hinge(NamedTuple):
    """Best hinges of B curves; without a bend where the line is exact."""

    knee: Floats
    """Abscissa of the knee `[B]`."""
    slope_1: Floats
    """Slope just before the knee `[B]`."""
    slope_2: Floats
    """Slope just after it `[B]`."""
    height: Floats
    """Ordinate at the knee `[B]`."""
    rss_line: Floats
    """Residual sum of squares without the knee `[B]`."""
    rss: Floats
    """Residual sum of squares with it `[B]`, at most `rss_line`."""
    residual: Floats
    """Residuals with the knee `[B, T]`."""


def fit_two_segment(
    t: npt.ArrayLike,
    loss: npt.ArrayLike,
    *,
    window: Window = None,
    min_points: int = MIN_POINTS,
) -> Estimates:
    """Fit ln L = a + b x + c max(x - x_k, 0), x = ln t, to many curves.

    Quantities: `alpha_1` = -b and `alpha_2` = -(b + c), the exponents before and after
    the knee; `t_knee` = exp(x_k) in the unit of t; `loss_knee`, the fitted loss there;
    `rss` and `rss_line`, the residual sums of squares of ln L with and without the
    knee; `r2` = 1 - rss / (total sum of squares of ln L); `rho`, the lag-1
    autocorrelation of the residuals (mean zero, not corrected for bias).

    Method: between two neighbouring samples the hinge has two free lines, or, if these
    do not cross there, its knee on a sample. Both are sums over the points before and
    after, so prefix sums give the global optimum over all knees with `min_points`
    points at or before and at or after them. Standard errors are those of the two free
    lines and of their crossing (Feder 1975, Ann. Statist. 3, 49-83): right for white
    residuals only, so widen them by sqrt((1 + rho) / (1 - rho)) for autocorrelated
    ones.

    Statuses: "too_short" with fewer than 2 min_points points; "diverged" when a loss
    in the window is not finite and positive; "no_window" for a NaN in the window;
    "ill_conditioned" when ln L is one line to 1e-12, or when the best knee lies on
    the edge of where it was allowed.

    Args:
        t: Abscissa `[T]`, positive and increasing.
        loss: Curves `[N, T]`, any float type; may be a memory map.
        window: Closed interval of t: one pair, `[N, 2]`, or None for all of t.
        min_points: Points on either side, at least 3.

    Raises:
        ValueError: Shapes do not match, t is not increasing and positive, or
            min_points < 3.

    Cost: O(N T); about 20 us a curve of 200 points on one core.

    Example:
        L = t^-0.9 up to t = 15 and 15^-0.4 t^-0.5 after it, at t = 3 ... 50, gives
        alpha_1 = 0.9, alpha_2 = 0.5, t_knee = 15.
    """
    if min_points < 3:
        raise ValueError(f"min_points is {min_points}; a free line needs at least 3")
    return fit_curves(
        positive_axis(t),
        loss,
        window,
        lambda times: _prepare(np.log(times), min_points),
        estimator="two_segment",
        version=VERSION,
        units=UNITS,
        errors=("alpha_1", "alpha_2", "t_knee"),
        min_points=2 * min_points,
        positive=True,
        params={"min_points": min_points},
    )


def best_hinge(
    x: Floats,
    y: Floats,
    *,
    min_points: int = MIN_POINTS,
    hinges: tuple[float, ...] = (),
    between: bool = True,
) -> Hinge:
    """Find the knee with the least squares of each row of y over the shared x.

    Args:
        x: Increasing abscissa `[T]`, T >= 2 min_points.
        y: Curves `[B, T]`.
        min_points: Points at or before, and at or after, the knee.
        hinges: Abscissae of bends that are free with and without the knee.
        between: Whether knees between samples are allowed too.

    Example:
        x = 0 ... 12 and y = max(x - 6.4, 0) give knee 6.4, slopes 0 and 1.
    """
    middle, scale = x.mean(), np.ptp(x)
    z, free = (x - middle) / scale, [(h - middle) / scale for h in hinges]
    columns = [np.ones_like(z), z, *(np.maximum(z - h, 0) for h in free)]
    basis, triangle = np.linalg.qr(np.stack(columns, axis=1))  # [T, P], [P, P]
    line = _project_out(y, basis)
    knee = _locate(z, line, basis, min_points, between)
    bend_shape = np.maximum(z - knee[:, None], 0)  # [B, T]
    direction = _project_out(bend_shape, basis)
    power = np.einsum("bt,bt->b", direction, direction)
    bend = np.einsum("bt,bt->b", direction, line)
    bend = np.divide(bend, power, out=np.zeros_like(bend), where=power > ROUNDING)
    residual = line - bend[:, None] * direction
    coordinates = _dots(y - bend[:, None] * bend_shape, basis)
    weights = _dots(coordinates, np.linalg.inv(triangle).T)  # [B, P]
    before = knee[:, None] > np.array(free)
    slope = weights[:, 1] + (weights[:, 2:] * before).sum(axis=1)
    height = weights[:, 0] + weights[:, 1] * knee
    reach = np.maximum(knee[:, None] - np.array(free), 0)
    height = height + (weights[:, 2:] * reach).sum(axis=1)
    rss_line = np.square(line).sum(axis=1)
    return Hinge(
        knee=middle + scale * knee,
        slope_1=slope / scale,
        slope_2=(slope + bend) / scale,
        height=height,
        rss_line=rss_line,
        rss=np.minimum(np.square(residual).sum(axis=1), rss_line),
        residual=residual,
    )


def lag_one(residual: Floats) -> Floats:
    """Return the lag-1 autocorrelation `[B]` of rows with mean zero; 0 for zeros."""
    power = np.square(residual).sum(axis=1)
    product = (residual[:, 1:] * residual[:, :-1]).sum(axis=1)
    rho: Floats = np.divide(product, power, out=np.zeros_like(power), where=power > 0)
    return rho


def positive_axis(t: npt.ArrayLike) -> Floats:
    """Return t in float64, since its logarithm is wanted.

    Raises:
        ValueError: It is not positive throughout.
    """
    times = np.asarray(t, dtype=np.float64)
    if not (times > 0).all():
        raise ValueError(f"t reaches down to {times.min()}; ln t needs t > 0")
    return times


def _prepare(x: Floats, min_points: int) -> Fit:
    """Return the fit of complete curves on the window x = ln t."""

    def fit(loss: Floats) -> Fitted:
        y = np.log(loss)
        best = best_hinge(x, y, min_points=min_points)
        alpha_1, alpha_2, knee = _errors(x, best)
        total = np.square(y - y.mean(axis=1, keepdims=True)).sum(axis=1)
        found = {
            "alpha_1": -best.slope_1,
            "alpha_2": -best.slope_2,
            "t_knee": np.exp(best.knee),
            "loss_knee": np.exp(best.height),
            "rss": best.rss,
            "rss_line": best.rss_line,
            "r2": 1 - best.rss / total,
            "rho": lag_one(best.residual),
        }
        errors = {"alpha_1": alpha_1, "alpha_2": alpha_2, "t_knee": knee}
        return Fitted(found, errors, _undetermined(x, y, best, min_points))

    return fit


def _locate(
    z: Floats, line: Floats, basis: Floats, min_points: int, between: bool
) -> Floats:
    """Return the best knee `[B]` given the residuals of the model without it.

    The points after sample j enter by A = z 1(i > j) and I = 1(i > j), both made
    orthogonal to the basis. A knee k in the interval after j is A - k I: free weights
    c A + d I are its optimum if -d / c lies in the interval.
    """
    knots = slice(min_points - 1, len(z) - min_points + 1)
    at, after = z[knots], z[min_points : len(z) - min_points + 1]
    one, ramp = _suffix(line)[:, knots], _suffix(line * z)[:, knots]  # I.r, A.r
    basis_one = _suffix(basis.T)[:, knots]
    basis_ramp = _suffix(basis.T * z)[:, knots]
    ones = _suffix(np.ones_like(z))[knots] - np.square(basis_one).sum(axis=0)
    cross = _suffix(z)[knots] - (basis_one * basis_ramp).sum(axis=0)
    ramps = _suffix(z * z)[knots] - np.square(basis_ramp).sum(axis=0)
    power = ramps - 2 * at * cross + at**2 * ones
    weight = np.divide(1, power, out=np.zeros_like(power), where=power > ROUNDING)
    gain = np.square(ramp - at * one) * weight
    pick = gain.argmax(axis=1)
    knee: Floats = at[pick]
    if not between or len(at) < 2:
        return knee
    most = gain[np.arange(len(gain)), pick]
    one, ramp = one[:, :-1], ramp[:, :-1]
    ones, cross, ramps = ones[:-1], cross[:-1], ramps[:-1]
    det = ones * ramps - cross**2
    sharp = np.divide(1, det, out=np.zeros_like(det), where=det > ROUNDING)
    c = (ones * ramp - cross * one) * sharp
    d = (ramps * one - cross * ramp) * sharp
    gain = c * ramp + d * one
    # -d / c within [at, after], without the division
    inside = (np.sign(c) * (d + at[:-1] * c) <= 0) & (np.sign(c) * (d + after * c) >= 0)
    gain = np.where(inside & (sharp > 0), gain, -1.0)
    pick = gain.argmax(axis=1)
    each = np.arange(len(gain))
    better = gain[each, pick] > most
    slope = np.where(better, c[each, pick], 1.0)
    return np.where(better, -d[each, pick] / slope, knee)


def _suffix(values: Floats) -> Floats:
    """Return the sums over the entries after each one, along the last axis."""
    sums: Floats = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1] - values
    return sums


def _dots(rows: Floats, basis: Floats) -> Floats:
    """Return `[B, P]`; einsum, since BLAS rounds a row by the rows beside it."""
    return np.stack([np.einsum("bt,t->b", rows, q) for q in basis.T.copy()], axis=1)


def _project_out(rows: Floats, basis: Floats) -> Floats:
    left = rows
    for q in basis.T.copy():
        left = left - np.einsum("bt,t->b", left, q)[:, None] * q
    return left


def _undetermined(
    x: Floats, y: Floats, best: Hinge, min_points: int
) -> npt.NDArray[np.bool_]:
    """Return where there is no bend, or one on the edge of the allowed range."""
    floor = ROUNDING * np.maximum(np.abs(y).max(axis=1), 1)
    straight = best.rss_line <= len(x) * floor**2
    edge = ROUNDING * np.ptp(x)
    inner = (best.knee > x[min_points - 1] + edge) & (best.knee < x[-min_points] - edge)
    unsure: npt.NDArray[np.bool_] = straight | ~inner
    return unsure


def _errors(x: Floats, best: Hinge) -> tuple[Floats, Floats, Floats]:
    """Return the standard errors of both exponents and of the knee."""
    left = (x <= best.knee[:, None]).astype(np.float64)  # [B, T]
    noise = best.rss / (len(x) - 4)
    spreads, distances = [], []
    for side in (left, 1 - left):
        count = side.sum(axis=1)
        mean = (side * x).sum(axis=1) / count  # no BLAS: rows stay independent
        spread = (side * np.square(x - mean[:, None])).sum(axis=1)
        spreads.append(np.sqrt(noise / spread))
        distances.append(1 / count + np.square(best.knee - mean) / spread)
    gap = np.sqrt(noise * (distances[0] + distances[1]))
    bend = np.abs(best.slope_2 - best.slope_1)
    return spreads[0], spreads[1], np.exp(best.knee) * gap / bend
