"""A power law over a floor whose exponent changes once: E + A t^-a, then t^-b.

Least squares of the loss itself. Floor, scale and break are solved exactly for given
exponents, the break between samples too, so the search is over two numbers.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, Window, fit_curves
from harness.fits.broken_varpro import (
    EXPONENTS,
    Broken,
    dots,
    search,
    starts,
    tangents,
)
from harness.fits.two_segment import lag_one, positive_axis
from harness.measure import Estimates, Floats

VERSION: Final = "1"
MIN_POINTS: Final = 3
UNITS: Final = {
    "floor": "unit of loss",
    "scale": "unit of loss",
    "alpha_1": "1",
    "alpha_2": "1",
    "t_break": "unit of t",
    "rss": "unit of loss^2",
    "r2": "1",
    "rho": "1",
}


def fit_broken_power(
    t: npt.ArrayLike,
    loss: npt.ArrayLike,
    *,
    window: Window = None,
    min_points: int = MIN_POINTS,
) -> Estimates:
    """Fit L = E + A t^-a up to t_b and E + A t_b^(b-a) t^-b after it, by least squares.

    Quantities: `floor` E, `scale` A, `alpha_1` a, `alpha_2` b, `t_break` t_b, `rss`,
    `r2`, and `rho`, the lag-1 autocorrelation of the residuals.

    Method: between two neighbouring samples the two powers have free scales, and are
    joined where they cross; if they do not cross there, the break is on a sample.
    Either is linear for given exponents, so prefix sums give the best break over all
    places. Levenberg-Marquardt over (a, b) goes on from there (variable projection:
    Golub & Pereyra 1973, SIAM J. Numer. Anal. 10, 413-432). It starts from the best
    two of a grid of exponents and breaks, and from the best two small bends of a
    single power, whose valleys are too narrow for a grid. Standard errors by the
    Gauss-Newton covariance, for white residuals.

    Statuses: "too_short" below max(6, 2 min_points) points; "diverged" when a value
    in the window is not finite; "no_window" for a NaN in the window; "ill_conditioned"
    when the search does not settle, the curve is constant, an exponent is at -1 or 8,
    the break is on the edge of where it was allowed, or there is no break.

    Args:
        t: Abscissa `[T]`, positive and increasing.
        loss: Curves `[N, T]`, any float type; may be a memory map.
        window: Closed interval of t: one pair, `[N, 2]`, or None for all of t.
        min_points: Points at or before, and at or after, the break; at least 2.

    Raises:
        ValueError: Shapes do not match, t is not increasing and positive, or
            min_points < 2.

    Cost: O(N T); see `benchmarks/bench_fit_broken.py`.

    Example:
        0.3 + 2 t^-0.8 up to t = 15 and 0.3 + 2 15^-0.5 t^-0.3 after it: those numbers.
    """
    if min_points < 2:
        raise ValueError(f"min_points is {min_points}; expected at least 2")
    return fit_curves(
        positive_axis(t),
        loss,
        window,
        lambda times: _prepare(np.log(times), min_points),
        estimator="broken_power",
        version=VERSION,
        units=UNITS,
        errors=("floor", "alpha_1", "alpha_2", "t_break"),
        min_points=max(6, 2 * min_points),
        positive=False,
        params={"min_points": min_points},
    )


def _prepare(log_t: Floats, min_points: int) -> Fit:
    """Return the fit of complete curves on a window."""
    x = log_t - log_t.mean()

    def fit(loss: Floats) -> Fitted:
        mean = loss.mean(axis=1)
        y = np.ascontiguousarray((loss - mean[:, None]).T)  # [n, B]
        best, settled = search(x, y, *starts(x, y, min_points), min_points)
        return _report(x, log_t.mean(), y, mean, best, settled, min_points)

    return fit


def _report(
    x: Floats,
    middle: float,
    y: Floats,
    mean: Floats,
    best: Broken,
    settled: npt.NDArray[np.bool_],
    min_points: int,
) -> Fitted:
    """Return the quantities, their standard errors and where there are none."""
    residual = tangents(x, y, best)[0]
    before = np.arange(len(x))[:, None] <= best.split
    shape = np.exp(-np.where(before, best.a, best.b) * x[:, None])
    left, right = shape * before, shape * ~before
    fitted = best.left * left + best.right * right
    rss, total = dots(residual, residual), dots(y, y)
    values = {
        "floor": mean - fitted.mean(axis=0),
        "scale": best.left * np.exp(best.a * middle),
        "alpha_1": best.a,
        "alpha_2": best.b,
        "t_break": np.exp(best.at + middle),
        "rss": rss,
        "r2": 1 - rss / total,
        "rho": lag_one(residual.T),
    }
    low, high = EXPONENTS
    edge = 1e-12 * np.ptp(x)
    inside = (best.at > x[min_points - 1] + edge) & (best.at < x[-min_points] - edge)
    for exponent in (best.a, best.b):
        inside &= (exponent > low) & (exponent < high)
    errors = _errors(x, middle, best, left, right, rss)
    broken = np.abs(best.a - best.b) > 1e-9
    return Fitted(values, errors, ~(inside & settled & broken & (total > 0)))


def _errors(
    x: Floats, middle: float, best: Broken, left: Floats, right: Floats, rss: Floats
) -> dict[str, Floats]:
    """Return standard errors; the free parameters are floor, left, right, a, b."""
    far = x[:, None]
    columns = [
        np.ones_like(left),
        left,
        right,
        -best.left * far * left,
        -best.right * far * right,
    ]
    jacobian = np.stack(columns, axis=2).transpose(1, 0, 2)  # [B, n, 5]
    scale = np.sqrt(np.square(jacobian).sum(axis=1))[:, None]
    scale = np.where(scale > 0, scale, 1)
    _, singular, rotation = np.linalg.svd(jacobian / scale, full_matrices=False)
    inverse = rotation / (scale * np.maximum(singular, 1e-300)[:, :, None])
    gap = best.b - best.a
    zero = np.zeros_like(gap)
    place = [
        zero,
        -1 / (best.left * gap),
        1 / (best.right * gap),
        best.at / gap,
        -best.at / gap,
    ]
    noise = rss / max(len(x) - 5, 1)
    along = np.einsum("bkp,pb->bk", inverse, np.stack(place))
    spread = np.sqrt(noise[:, None] * np.square(inverse).sum(axis=1))
    return {
        "floor": spread[:, 0],
        "alpha_1": spread[:, 3],
        "alpha_2": spread[:, 4],
        "t_break": np.exp(best.at + middle)
        * np.sqrt(noise * np.square(along).sum(axis=1)),
    }
