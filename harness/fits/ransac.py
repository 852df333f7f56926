"""Robust choice of points for a hinge: RANSAC, then one refit.

`knee` calls it for the few curves whose residuals are skewed or have outliers.
"""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.fits.two_segment import best_hinge
from harness.measure import Floats
from harness.seeds import stream

TRIALS: Final = 200
"""Random hinges tried."""


def hinge_inliers(
    x: Floats, y: Floats, *, reach: float, min_points: int, seed: int = 0
) -> npt.NDArray[np.bool_]:
    """Return which points of one curve agree with a hinge that most agree with.

    Each trial draws a knee among the inner samples and three points, and counts the
    points within `reach` of the hinge through them; draws with all three on one side,
    which fix no hinge, are dropped (Fischler & Bolles 1981, Commun. ACM 24, 381-395).
    The best hinge of all points that the best trial counts is then computed, and the
    points within `reach` of that are returned. The draws depend on the seed and the
    number of points alone.

    Args:
        x: Increasing abscissa `[n]`, n >= 2 min_points.
        y: One curve `[n]`.
        reach: Largest residual of an inlier, in the unit of y.
        min_points: Points on either side of a knee.
        seed: Names the draws.

    Returns:
        `[n]`; nothing but False if no trial leaves enough points for a hinge.

    Cost: 200 x n residuals and one hinge, about 0.5 ms for 50 points.

    Example:
        A hinge of 40 points with one moved by 100 reaches: all points but that one.
    """
    picks, hinges = _trials(x.tobytes(), min_points, seed)
    if not len(picks):
        return np.zeros(len(x), dtype=np.bool_)
    fitted = np.einsum("knp,kp->kn", hinges, y[picks])
    close = np.abs(y - fitted) <= reach
    agreed: npt.NDArray[np.bool_] = close[close.sum(axis=1).argmax()]
    if agreed.sum() < 2 * min_points:
        return np.zeros(len(x), dtype=np.bool_)
    best = best_hinge(x[agreed], y[None, agreed], min_points=min_points)
    bent = np.where(x < best.knee, best.slope_1, best.slope_2) * (x - best.knee)
    inliers: npt.NDArray[np.bool_] = np.abs(y - best.height - bent) <= reach
    return inliers


@lru_cache(maxsize=16)
def _trials(
    abscissa: bytes, min_points: int, seed: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the points drawn `[K, 3]`, and what makes hinges `[K, n, 3]` of them."""
    x = np.frombuffer(abscissa)
    rng = stream(seed, "ransac")
    knots = x[min_points - 1 : len(x) - min_points + 1]
    knees = knots[rng.integers(len(knots), size=TRIALS)]
    picks = rng.random((TRIALS, len(x))).argsort(axis=1)[:, :3]
    bends = np.maximum(x - knees[:, None], 0)
    lines = [np.ones_like(bends), np.broadcast_to(x - x.mean(), bends.shape)]
    shapes = np.stack([*lines, bends], axis=2)  # [K, n, 3]
    through = shapes[np.arange(TRIALS)[:, None], picks]  # [K, 3, 3]
    sound = np.abs(np.linalg.det(through)) > 1e-6 * np.ptp(x) ** 2
    return picks[sound], shapes[sound] @ np.linalg.inv(through[sound])
