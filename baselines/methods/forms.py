"""Curves through points, from simple to rich: the forms that `Mapping` chooses among.

Each is a function (x, y, at, squares) -> answers `[m]` for the numbers `at`, learned
from `x` and `y` `[n]`; `squares` asks for means in place of medians.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.measure import Floats

RUNS_A_KNOT: Final = 9
MOST_KNOTS: Final = 16
RUNS_A_STEP: Final = 6
"""Of monotone curves, which need fewer: 6 and 9 were best on 72 to 432 digits runs."""
STEPS: Final = 15
"""Reweightings of a line of least absolute deviations."""

Form = Callable[[Floats, Floats, Floats, bool], Floats]


def _constant(x: Floats, y: Floats, at: Floats, squares: bool) -> Floats:
    """Return the median, or the mean."""
    return np.full(len(at), np.mean(y) if squares else np.median(y))


def _line(x: Floats, y: Floats, at: Floats, squares: bool) -> Floats:
    """Return the line of least absolute deviations (reweighted), or least squares."""
    spread, height = np.ptp(x), np.ptp(y)
    if spread == 0 or height == 0:
        return _constant(x, y, at, squares)
    weight, places = np.ones(len(x)), (x - x[0]) / spread
    for _ in range(1 if squares else STEPS):
        weight /= weight.sum()
        center, level = weight @ places, weight @ y
        away = places - center
        slope = (weight * away) @ (y - level) / ((weight * away) @ away)
        miss = np.abs(y - level - slope * away)
        weight = 1 / np.maximum(miss, 1e-6 * height)
    return np.asarray(level + slope * ((at - x[0]) / spread - center))


def _power(x: Floats, y: Floats, at: Floats, squares: bool) -> Floats:
    """Return the line over ln x; a constant where a number is not positive."""
    least = x.min()
    if least <= 0:
        return _constant(x, y, at, squares)
    return _line(np.log(x), y, np.log(np.maximum(at, least)), squares)


def _isotonic(x: Floats, y: Floats, at: Floats, squares: bool) -> Floats:
    """Return the monotone curve of least squares."""
    places, which = np.unique(x, return_inverse=True)
    count = np.bincount(which)
    means = np.bincount(which, y) / count
    return np.interp(at, places, _monotone(means, count, _rises(x, y)))


def _stairs(x: Floats, y: Floats, at: Floats, squares: bool) -> Floats:
    """Return the monotone broken line through the middles of bins."""
    places, heights = _bins(x, y, len(x) // RUNS_A_STEP, squares)
    fitted = _monotone(heights, np.ones(len(heights)), _rises(x, y))
    return np.interp(at, places, fitted)


def _knots(x: Floats, y: Floats, at: Floats, squares: bool) -> Floats:
    """Return the broken line through the middles of fewer bins."""
    count = min(len(x) // RUNS_A_KNOT, MOST_KNOTS)
    return np.interp(at, *_bins(x, y, count, squares))


def _bins(x: Floats, y: Floats, count: int, squares: bool) -> tuple[Floats, Floats]:
    """Return places, ascending, and middles of equally filled bins, two at least."""
    count = min(max(count, 2), len(x))
    edges = np.arange(count + 1) * len(x) // count
    low, high = (edges[:-1] + edges[1:] - 1) // 2, (edges[:-1] + edges[1:]) // 2
    order = np.argsort(x, kind="stable")
    ordered, along = x[order], y[order]
    if squares:
        heights = np.add.reduceat(along, edges[:-1]) / np.diff(edges)
    else:
        own = np.repeat(np.arange(count), np.diff(edges))
        along = along[np.lexsort((along, own))]
        heights = (along[low] + along[high]) / 2
    places, first = np.unique((ordered[low] + ordered[high]) / 2, return_index=True)
    return places, heights[first]


def _rises(x: Floats, y: Floats) -> bool:
    """Tell whether the ranks of both go together."""
    rank_x, rank_y = (np.unique(v, return_inverse=True)[1] for v in (x, y))
    return bool((rank_x - rank_x.mean()) @ (rank_y - rank_y.mean()) >= 0)


def _monotone(heights: Floats, weights: npt.NDArray[Any], rises: bool) -> Floats:
    """Return the nearest monotone sequence."""
    from scipy.optimize import isotonic_regression

    found = isotonic_regression(heights, weights=weights, increasing=rises)
    return np.asarray(found.x, np.float64)


FORMS: Final[Mapping[str, Form]] = {
    "constant": _constant,
    "line": _line,
    "power": _power,
    "isotonic": _isotonic,
    "stairs": _stairs,
    "knots": _knots,
}
"""From simple to rich."""
