"""Epochs of a per-step curve: their means, their times, and where burn-in ends.

The first thing done with a recorded curve; the fits work on what comes out of here.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.measure import DIVERGED, NO_WINDOW, OK, TOO_SHORT, Estimates, Floats

VERSION: Final = "1"
BLOCK_ELEMENTS: Final = 1 << 20
"""Values converted to float64 at a time."""


def epoch_means(values: npt.ArrayLike, steps_per_epoch: int) -> Floats:
    """Return the mean over each whole epoch of steps, `[N, E]`.

    Formula: m_e = mean of values at steps (e - 1) S + 1 ... e S; the steps of an
    unfinished last epoch are left out, so E = T // S (which may be 0). A saw-tooth
    that repeats every epoch becomes a constant, whatever its shape and amplitude; a
    median filter does not do that.

    Args:
        values: `[N, T]`, column i belongs to the optimiser step i + 1.
        steps_per_epoch: S >= 1.

    Raises:
        ValueError: The shape is not `[N, T]` or S < 1.

    Cost: one pass over the values; float64 inside, blocks of rows.

    Example:
        >>> epoch_means([[0.0, 1.0, 0.0, 1.0, 7.0]], 2)
        array([[0.5, 0.5]])
    """
    curves = _curves(values, steps_per_epoch)
    num, epochs = curves.shape[0], curves.shape[1] // steps_per_epoch
    means = np.empty((num, epochs))
    for rows in _row_blocks(curves):
        means[rows] = _by_epoch(curves[rows], steps_per_epoch).mean(axis=2)
    return means


def epoch_axis(num_epochs: int, steps_per_epoch: int) -> Floats:
    """Return the times `[E]` in epochs that `epoch_means` stand for.

    An epoch mean stands for the mean of the times of its steps: with t = steps
    completed, 1-based, that is e - 1/2 + 1/(2 S) epochs for e = 1, 2, ... The closed
    window (5, 15) then holds exactly the epochs 6 to 15, whose steps lie in it.
    The end of the epoch, e, would be half an epoch late, and alpha is sensitive to
    that: 0.500 becomes 0.529 in the window 5-15. What remains of the curvature within
    an epoch moves alpha = 0.5 by less than 0.001 there.

    Raises:
        ValueError: E < 0 or S < 1.

    Example:
        >>> epoch_axis(3, 2)
        array([0.75, 1.75, 2.75])
    """
    if num_epochs < 0 or steps_per_epoch < 1:
        raise ValueError(
            f"an axis of {num_epochs} epochs of {steps_per_epoch} steps cannot be; "
            "expected num_epochs >= 0 and steps_per_epoch >= 1"
        )
    first = 0.5 + 0.5 / steps_per_epoch
    axis: Floats = np.arange(num_epochs, dtype=np.float64) + first
    return axis


def saw_amplitude(values: npt.ArrayLike, steps_per_epoch: int) -> Estimates:
    """Measure the saw-tooth of a per-step curve: `saw_amplitude`, in its unit.

    Formula: mean over whole epochs of (mean of the last quarter of the epoch's steps
    minus mean of the first); a quarter is S // 4 steps, at least one. Negative when
    the curve falls within epochs, so a steady fall of b per epoch counts as
    -b (1 - floor(S / 4) / S). Needs S >= 2 and one whole epoch, else "too_short";
    "diverged" when a value of a whole epoch is not finite.

    Args:
        values: `[N, T]`, column i belongs to the optimiser step i + 1.
        steps_per_epoch: S >= 1.

    Raises:
        ValueError: The shape is not `[N, T]` or S < 1.

    Cost: one pass. Source: the epochal saw-tooth of Liu & Ma, arXiv 2410.10056.

    Example:
        A ramp 0, 1, 2, 3 repeated every 4 steps has amplitude 3.
    """
    curves = _curves(values, steps_per_epoch)
    num, epochs = curves.shape[0], curves.shape[1] // steps_per_epoch
    quarter = max(steps_per_epoch // 4, 1)
    saw = np.full(num, np.nan)
    if steps_per_epoch > 1 and epochs:
        for rows in _row_blocks(curves):
            cut = _by_epoch(curves[rows], steps_per_epoch)
            last, first = cut[:, :, -quarter:], cut[:, :, :quarter]
            rise = last.mean(axis=2) - first.mean(axis=2)
            finite = np.isfinite(cut).all(axis=(1, 2))
            saw[rows] = np.where(finite, rise.mean(axis=1), np.nan)
        status = np.where(np.isfinite(saw), OK, DIVERGED)
    else:
        status = np.full(num, TOO_SHORT)
    ends = [1 / steps_per_epoch, float(epochs)] if epochs else [np.nan, np.nan]
    return Estimates(
        estimator="saw_amplitude",
        estimator_version=VERSION,
        params={"steps_per_epoch": steps_per_epoch},
        units={"saw_amplitude": "nats"},
        values={"saw_amplitude": saw},
        status=status,
        n=np.full(num, epochs * steps_per_epoch, dtype=np.int64),
        window=np.tile(ends, (num, 1)),
    )


def chance_threshold(num_classes: int) -> float:
    """Return the burn-in threshold for K classes in nats: ln K / ln 10.

    It is 0.434 times the cross-entropy ln K of guessing: 1 nat at K = 10.

    Raises:
        ValueError: K < 2.

    Example:
        >>> chance_threshold(100)
        2.0
    """
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; expected at least 2")
    return math.log10(num_classes)


def burn_in(
    means: npt.ArrayLike,
    axis: npt.ArrayLike,
    *,
    threshold: float = 1.0,
    consecutive: int = 3,
) -> Estimates:
    """Find where burn-in ends: `start`, in the unit of `axis`.

    Formula: the time of the first epoch mean that is, with the `consecutive` - 1 after
    it, at most `threshold`. It is known only when the last of these epochs is over, so
    give no epoch mean that a predictor must not see. No such epoch: "no_window";
    "diverged" when besides a mean is not finite; fewer epochs: "too_short".

    Args:
        means: Epoch-mean cross-entropies `[N, E]` in nats.
        axis: Their times `[E]`, as `epoch_axis` gives them.
        threshold: Cross-entropy in nats; `chance_threshold` for other than 10 classes.
        consecutive: How many epochs in a row, >= 1.

    Raises:
        ValueError: Shapes that do not match, or consecutive < 1.

    Example:
        Means 2, 0.9, 1.1, 1.0, 0.8, 0.7 at times 1 ... 6 start at 4.
    """
    curve, times = np.asarray(means, dtype=np.float64), np.asarray(axis, np.float64)
    if curve.ndim != 2 or times.shape != curve.shape[1:]:
        raise ValueError(
            f"means {curve.shape} and axis {times.shape} do not match; "
            "expected [N, E] and [E]"
        )
    if consecutive < 1:
        raise ValueError(f"consecutive is {consecutive}; expected at least 1")
    num, epochs = curve.shape
    starts = np.full(num, np.nan)
    status = np.full(num, TOO_SHORT if epochs < consecutive else NO_WINDOW)
    if epochs >= consecutive:
        below = curve <= threshold
        views = np.lib.stride_tricks.sliding_window_view(below, consecutive, axis=1)
        low: npt.NDArray[np.bool_] = np.asarray(views.all(axis=2))
        found = low.any(axis=1)
        starts[found] = times[low.argmax(axis=1)[found]]
        status[~found & ~np.isfinite(curve).all(axis=1)] = DIVERGED
        status[found] = OK
    return Estimates(
        estimator="burn_in",
        estimator_version=VERSION,
        params={"threshold": threshold, "consecutive": consecutive},
        units={"start": "epochs"},
        values={"start": starts},
        status=status,
        n=np.full(num, epochs, dtype=np.int64),
        window=np.tile(times[[0, -1]] if epochs else [np.nan] * 2, (num, 1)),
    )


def _curves(values: npt.ArrayLike, steps_per_epoch: int) -> npt.NDArray[np.floating]:
    """Return the values as an array `[N, T]` of their own type."""
    curves: npt.NDArray[np.floating] = np.asanyarray(values)
    if curves.ndim != 2:
        raise ValueError(
            f"values have the shape {curves.shape}; expected [N, T], a row a curve"
        )
    if steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch is {steps_per_epoch}; expected at least 1")
    return curves


def _row_blocks(curves: npt.NDArray[np.floating]) -> list[slice]:
    """Return slices of rows that hold about BLOCK_ELEMENTS values each."""
    num, length = curves.shape
    size = max(BLOCK_ELEMENTS // max(length, 1), 1)
    return [slice(i, min(i + size, num)) for i in range(0, num, size)]


def _by_epoch(block: npt.NDArray[np.floating], steps_per_epoch: int) -> Floats:
    """Return whole epochs `[B, E, S]` in float64."""
    epochs = block.shape[1] // steps_per_epoch
    whole = np.asarray(block[:, : epochs * steps_per_epoch], dtype=np.float64)
    return whole.reshape(len(block), epochs, steps_per_epoch)
