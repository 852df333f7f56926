"""When the largest curvature stops rising: the plateau of lambda_1.

Works on what the curvature probes recorded; the plateau is one of the early signals.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import check_curves
from harness.measure import DIVERGED, NO_WINDOW, OK, TOO_SHORT, Estimates, Floats

VERSION: Final = "1"
POINTS: Final = 11
"""Measurements in a window; 5 is quicker and much less sure."""
SLOPE: Final = 0.02
"""Largest |d ln lambda_1 / dt| of a plateau, per epoch."""
STAY: Final = 3
BLOCK_ELEMENTS: Final = 1 << 18
UNITS: Final = {
    "t_plateau": "unit of t",
    "t_known": "unit of t",
    "slope": "1 / unit of t",
    "lambda": "unit of lambda",
}


def find_plateau(
    t: npt.ArrayLike,
    curvature: npt.ArrayLike,
    *,
    points: int = POINTS,
    slope: float = SLOPE,
    stay: int = STAY,
) -> Estimates:
    """Find the first time at which lambda_1 no longer changes.

    A window holds `points` successive measurements; its slope is that of the
    least-squares line of ln lambda_1 over t. The plateau begins with the first of
    `stay` successive windows (each one measurement later) with |slope| < `slope`.

    Quantities: `t_plateau`, mean time of the first window; `t_known`, time of the last
    measurement needed, before which nobody can know; `slope` of the first window;
    `lambda`, geometric mean of lambda_1 in it.

    A slope is uncertain by sd(ln lambda) / sqrt(sum of (t - mean t)^2): at 10 % noise
    and one measurement an epoch 0.0095 with 11 points, but 0.032 with 5, more than the
    default `slope`, so that short windows miss plateaus for many epochs.

    Statuses: "no_window" if there is no plateau; "too_short" with fewer than points +
    stay - 1 measurements; "diverged" if lambda_1 is not finite and positive up to
    where it was needed (a negative one has no logarithm).

    Args:
        t: Times of the measurements `[M]`, increasing; epochs, for the default slope.
        curvature: lambda_1 `[N, M]`, positive.
        points: Measurements in a window, at least 3.
        slope: Largest |slope|, per unit of t.
        stay: Windows in a row, at least 1.

    Raises:
        ValueError: Shapes do not match, t does not increase, points < 3, slope <= 0 or
            stay < 1.

    Source: none found; our definition.

    Cost: points x M multiplications a curve; no passes.

    Example:
        lambda_1 = 1 - exp(-t / 5) has slope 0.02 at t = 5 ln(1 + 1 / 0.1) = 11.989.
        Measured at t = 0.5, 1.5, ...: t_plateau = 12.5 with points = 5, and 13.5 with
        points = 11, whose longer windows average over a slope that falls.
    """
    if points < 3 or stay < 1 or not slope > 0:
        raise ValueError(
            f"points {points}, stay {stay}, slope {slope}; expected points >= 3, "
            "stay >= 1 and slope > 0"
        )
    times, curves = check_curves(t, curvature)
    num, length = curves.shape
    need = points + stay - 1
    values = {name: np.full(num, np.nan) for name in UNITS}
    status = np.full(num, TOO_SHORT, dtype="<U16")
    used = np.full(num, length, dtype=np.int64)
    if length >= need:
        size = max(BLOCK_ELEMENTS // (length * points), 1)
        for start in range(0, num, size):
            rows = slice(start, min(start + size, num))
            block = np.asarray(curves[rows], dtype=np.float64)
            first, slopes, levels = _first_windows(times, block, points, slope, stay)
            found = first >= 0
            bad = ~(np.isfinite(block) & (block > 0)).all(axis=1)
            status[rows] = np.where(found, OK, np.where(bad, DIVERGED, NO_WINDOW))
            each = np.flatnonzero(found) + start
            at = first[found]
            centres = np.lib.stride_tricks.sliding_window_view(times, points)
            values["t_plateau"][each] = centres.mean(axis=1)[at]
            values["t_known"][each] = times[at + need - 1]
            values["slope"][each] = slopes[found]
            values["lambda"][each] = levels[found]
            used[each] = at + need
    ends = np.full((num, 2), np.nan)
    if length:
        ends = np.stack([np.full(num, times[0]), times[used - 1]], axis=1)
    return Estimates(
        estimator="plateau",
        estimator_version=VERSION,
        params={"points": points, "slope": slope, "stay": stay},
        units=UNITS,
        values=values,
        status=status,
        n=used,
        window=ends,
    )


def _first_windows(
    times: Floats, curves: Floats, points: int, limit: float, stay: int
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Return the first window of each plateau (-1: none), its slope and its level."""
    usable = np.isfinite(curves) & (curves > 0)
    logs = np.full_like(curves, np.nan)
    np.log(curves, out=logs, where=usable)
    windows = np.lib.stride_tricks.sliding_window_view
    x = windows(times, points)  # [M', points]
    x = x - x.mean(axis=1, keepdims=True)
    y = windows(logs, points, axis=1)  # [B, M', points]
    slopes = np.einsum("bmp,mp->bm", y, x) / np.square(x).sum(axis=1)
    flat = np.abs(slopes) < limit  # False where a logarithm is missing
    stays = windows(flat, stay, axis=1).all(axis=2)
    first = np.where(np.any(stays, axis=1), np.argmax(stays, axis=1), -1)
    each = np.arange(len(curves))
    return first, slopes[each, first], np.exp(y[each, first].mean(axis=1))
