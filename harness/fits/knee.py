"""Does a loss curve have a knee? A hinge against a line, on epoch means.

The naive test flags 22 to 99 % of curves without a knee, by how their noise is
correlated; this one counts the points that are worth something. `online_knee` repeats
it while a curve grows.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, Window, fit_curves
from harness.fits.ransac import hinge_inliers
from harness.fits.two_segment import Hinge, best_hinge, lag_one, positive_axis
from harness.measure import Estimates, Floats

VERSION: Final = "1"
MIN_BINS: Final = 6
THRESHOLD: Final = 6.0
"""Evidence asked for, as a difference of BIC; 6 to 10 is called strong."""
FLOOR: Final = 1e-3
"""Rms residual of ln L about a line below which there is nothing to explain. The mean
of a power law over an epoch deviates by alpha (alpha + 1) / (24 t^2), 5e-3 at t = 2.5
epochs and alpha = 0.5, which without noise is enough to flag a knee."""
MAX_RHO: Final = 0.99
_SKEW: Final = 1.0
_FAR: Final = 5.0
"""Residuals beyond so many median absolute deviations call for RANSAC."""
_REACH: Final = 3.0
"""Median absolute deviations up to which RANSAC counts a point as agreeing."""
UNITS: Final = {
    "knee": "0 or 1",
    "t_knee": "unit of t",
    "alpha_1": "1",
    "alpha_2": "1",
    "delta_bic": "1",
    "delta_aic": "1",
    "rho": "1",
    "n_eff": "1",
    "r2_line": "1",
    "schedule": "0 or 1",
    "robust": "0 or 1",
}


class Evidence(NamedTuple):
    """The test on B curves, each `[B]`."""

    knee: npt.NDArray[np.bool_]
    delta_bic: Floats
    delta_aic: Floats
    rho: Floats
    n_eff: Floats


def find_knees(
    t: npt.ArrayLike,
    means: npt.ArrayLike,
    *,
    window: Window = None,
    min_bins: int = MIN_BINS,
    threshold: float = THRESHOLD,
    clock: npt.ArrayLike | None = None,
    loss_drop: npt.ArrayLike | None = None,
    jumps: tuple[float, ...] = (),
    changes: tuple[float, ...] = (),
    near: float = 1.0,
    seed: int = 0,
) -> Estimates:
    """Test epoch means for a knee, at the best of the bins with 6 on either side.

    ln L = a + b x, plus c max(x - x_k, 0) with a knee, x = ln t. With RSS1 and RSS2
    the sums of squares without and with it, n bins, and r the lag-1 autocorrelation of
    the residuals with it:

        rho       = r + 3 / n, within [0, 0.99]
        n_eff     = n (1 - rho) / (1 + rho), at least 1
        delta_bic = n_eff ln(RSS1 / RSS2) - 2 ln n_eff
        knee      = delta_bic > 6 and sqrt(RSS1 / n) > 1e-3

    Quantities: `knee`; `t_knee`, the best place whether flagged or not; `alpha_1` and
    `alpha_2`, minus the slopes on either side of it; `delta_bic`; `delta_aic` =
    n ln(RSS1 / RSS2) - 4, the naive test, which cries wolf; `rho`; `n_eff`; `r2_line`,
    R^2 of the line; `schedule`, 1 if the knee lies within `near` of a change;
    `robust`, 1 if outliers were left out: if the residuals have |skew| > 1 or one
    beyond 5 median absolute deviations (MAD), RANSAC keeps the bins within 3 MAD of a
    hinge, and both sums are taken over them.

    A learning rate that changes bends a curve without a change of regime. Three ways
    to tell: `jumps` puts a free bend at each known jump into both hypotheses; `clock`
    replaces t by S1, the sum of the learning rates; `loss_drop` gives back what a
    multi-power law says the changes of the rate took off the loss. Without noise in
    the curve, only the latter two together leave a line.

    Statuses: "too_short" with fewer than 2 min_bins bins, "diverged" when a mean (with
    its loss drop) is not finite and positive.

    Args:
        t: Times of the bins `[E]`, positive and increasing; `windows.epoch_axis`.
        means: Epoch means of the loss `[N, E]`; `windows.epoch_means`. Leave out the
            first two epochs, where a bin is wide in ln t.
        window: Closed interval of t: one pair, `[N, 2]`, or None.
        min_bins: Bins at or before, and at or after, a knee; at least 3.
        threshold: delta_bic above which a knee is flagged.
        clock: S1 at the bins `[E]`, positive and increasing, used instead of t.
        loss_drop: LD at the bins in nats, `[E]` or `[N, E]`; added to the means.
        jumps: Times t at which the learning rate jumps.
        changes: Times t of other changes of the learning rate, for `schedule` only.
        near: How far from a change a knee counts as the schedule's, in the unit of t.
        seed: Names the draws of RANSAC.

    Raises:
        ValueError: Shapes do not match, t or clock does not increase from above 0, a
            jump lies outside t, or min_bins < 3.

    Source: BIC (Schwarz 1978, Ann. Statist. 6, 461-464) with the number of independent
    points of an AR(1) process; two more parameters, so 2 ln n_eff.

    Cost: O(N E), about 20 us a curve of 50 bins, plus 1 ms where RANSAC is called for:
    for a tenth of the curves with white Gaussian noise.

    Example:
        t^-0.9 up to 15 and 15^-0.4 t^-0.5 after it, at t = 3 ... 50 and with noise of
        1 %: knee 1, t_knee 15, alpha_1 0.9, alpha_2 0.5.
    """
    times = positive_axis(t)
    used = times if clock is None else _clock(times, clock)
    if min_bins < 3:
        raise ValueError(f"min_bins is {min_bins}; a free line needs at least 3")
    if jumps and not all(times[0] < j < times[-1] for j in jumps):
        raise ValueError(
            f"jumps {jumps} do not lie within t, {times[0]} to {times[-1]}; give the "
            "jumps in the unit of t and only those that t spans"
        )
    curves = np.asanyarray(means)
    if loss_drop is not None:
        curves = curves + np.asarray(loss_drop, dtype=np.float64)

    def prepare(part: Floats) -> Fit:
        x = np.log(np.interp(part, times, used))
        inner = [j for j in jumps if part[min_bins - 1] < j < part[-min_bins]]
        bends = tuple(np.log(np.interp(inner, times, used)).tolist())

        def fit(loss: Floats) -> Fitted:
            found = _test(x, np.log(loss), bends, min_bins, threshold, seed)
            place = np.interp(np.exp(found["t_knee"]), used, times)
            known = np.array([*jumps, *changes])
            far = np.abs(place[:, None] - known) > near
            tagged = (~far.all(axis=1)).astype(np.float64)
            found |= {"t_knee": place, "schedule": tagged}
            return Fitted(found)

        return fit

    return fit_curves(
        times,
        curves,
        window,
        prepare,
        estimator="knee",
        version=VERSION,
        units=UNITS,
        errors=(),
        min_points=2 * min_bins,
        positive=True,
        params={
            "min_bins": min_bins,
            "threshold": threshold,
            "floor": FLOOR,
            "clock": "t" if clock is None else "S1",
            "loss_drop": loss_drop is not None,
            "jumps": jumps,
            "changes": changes,
            "near": near,
            "seed": seed,
        },
    )


def weigh(best: Hinge, threshold: float = THRESHOLD) -> Evidence:
    """Return the evidence for the knees of B hinges; see `find_knees`."""
    num = best.residual.shape[1]
    rho = np.clip(lag_one(best.residual) + 3 / num, 0, MAX_RHO)
    n_eff = np.maximum(num * (1 - rho) / (1 + rho), 1)
    least = num * (1e-6 * FLOOR) ** 2  # keeps the logarithm of an exact fit finite
    gain = np.log(np.maximum(best.rss_line, least) / np.maximum(best.rss, least))
    delta_bic = n_eff * gain - 2 * np.log(n_eff)
    rough = best.rss_line > num * FLOOR**2
    return Evidence(
        knee=(delta_bic > threshold) & rough,
        delta_bic=delta_bic,
        delta_aic=num * gain - 4,
        rho=rho,
        n_eff=n_eff,
    )


def outlying(residual: Floats) -> npt.NDArray[np.bool_]:
    """Return which rows `[B]` of residuals call for RANSAC."""
    spread = np.sqrt(np.square(residual).mean(axis=1))
    cube = np.power(residual, 3).mean(axis=1)
    far = np.abs(residual).max(axis=1) > _FAR * deviation(residual)
    skewed = np.abs(cube) > _SKEW * spread**3
    odd: npt.NDArray[np.bool_] = (skewed | far) & (spread > FLOOR)
    return odd


def deviation(residual: Floats) -> Floats:
    """Return the median absolute deviation from the median of each row `[B]`."""
    centred = residual - np.median(residual, axis=1, keepdims=True)
    mad: Floats = np.median(np.abs(centred), axis=1)
    return mad


def _test(
    x: Floats,
    y: Floats,
    bends: tuple[float, ...],
    min_bins: int,
    threshold: float,
    seed: int,
) -> dict[str, Floats]:
    """Return the quantities of curves y `[B, n]`, outliers left out."""

    def test(x: Floats, y: Floats) -> tuple[Hinge, dict[str, Floats]]:
        best = best_hinge(x, y, min_points=min_bins, hinges=bends, between=False)
        return best, _quantities(y, best, threshold)

    best, found = test(x, y)
    for row in np.flatnonzero(outlying(best.residual)):
        reach = _REACH * float(deviation(best.residual[row : row + 1])[0])
        keep = hinge_inliers(x, y[row], reach=reach, min_points=min_bins, seed=seed)
        if keep.sum() < max(len(x) / 2, 2 * min_bins):
            continue  # the law misses the curve, rather than points the law
        _, again = test(x[keep], y[row : row + 1, keep])
        for name, column in (again | {"robust": np.ones(1)}).items():
            found[name][row] = column[0]
    return found


def _quantities(y: Floats, best: Hinge, threshold: float) -> dict[str, Floats]:
    evidence = weigh(best, threshold)
    total = np.square(y - y.mean(axis=1, keepdims=True)).sum(axis=1)
    return {
        "knee": evidence.knee.astype(np.float64),
        "t_knee": best.knee,
        "alpha_1": -best.slope_1,
        "alpha_2": -best.slope_2,
        "delta_bic": evidence.delta_bic,
        "delta_aic": evidence.delta_aic,
        "rho": evidence.rho,
        "n_eff": evidence.n_eff,
        "r2_line": 1 - best.rss_line / np.where(total > 0, total, np.inf),
        "robust": np.zeros(len(y)),
    }


def _clock(times: Floats, clock: npt.ArrayLike) -> Floats:
    """Return the clock `[E]` in float64, or raise ValueError."""
    used = positive_axis(clock)
    if used.shape != times.shape or not (np.diff(used) > 0).all():
        raise ValueError(
            f"clock has the shape {used.shape}; expected {times.shape}, increasing: "
            "a clock that stands still cannot tell bins apart"
        )
    return used
