"""The learning rate of every update, from the rates that a file gives at some.

The multi-power law needs them all; what was not logged is filled in by fixed rules, and
told.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats

JUMP: Final = 0.05
"""Share of a rate by which it must change between two rows to have jumped there."""
ALONE: Final = 10.0
"""How many times faster than before and after it changes where it jumps."""
BEND: Final = 0.5
"""Share of the faster change by which the changes before and after a bend differ."""
GAP: Final = 1.5
"""Usual distances of rows before the first one that call for a warm-up."""


class Schedule(NamedTuple):
    """The learning rates of a run with what had to be filled in."""

    rates: Floats
    """`[T]`, of the updates 1 .. T."""
    note: str
    """What stands before the first row; empty if that is the first update."""


def fill_rates(
    at: npt.NDArray[np.int64],
    lr: Floats,
    *,
    warmup_steps: int | None = None,
    peak_lr: float | None = None,
) -> Schedule:
    """Return the rate of every update up to the last row.

    Before the first row the rate rises in a straight line from 0 at the first update
    to `peak_lr` at the update `warmup_steps`, and goes from there in a straight line
    to the first row. Between two rows it is a straight line too, but where it jumps
    (by over 5 % and 10 times faster than between the rows before and after) it keeps
    its value until the row that first shows the new one; and where it bends the lines
    before and after are continued until they meet. A constant rate, stages that begin
    on a row, and stages that are straight lines are so restored exactly; a cosine to
    1e-5 of its peak when there are 100 rows.

    Args:
        at: `[n]`, updates completed at each row, >= 1, ascending.
        lr: `[n]`, rate of the last of them.
        warmup_steps: Updates of the warm-up, 0: none; None: all before the first row,
            if that stands later than the rows are apart or the rate still rises
            there, else none.
        peak_lr: Rate at the end of the warm-up; None: that of the first row.

    Raises:
        ValueError: A warm-up that is not >= 0, a peak that is not > 0.

    Example:
        >>> fill_rates(np.array([3, 5, 7]), np.array([1.0, 1.0, 0.5]),
        ...            warmup_steps=3).rates.tolist()
        [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.5]
    """
    if warmup_steps is not None and warmup_steps < 0:
        raise ValueError(f"the warm-up is {warmup_steps} updates, expected >= 0")
    if peak_lr is not None and not (np.isfinite(peak_lr) and peak_lr > 0):
        raise ValueError(f"the peak of the rate is {peak_lr}, expected a number > 0")
    first, start = int(at[0]), float(lr[0])
    guessed = warmup_steps is None
    if warmup_steps is None:
        warmup_steps = _guess(at, lr)
    places, values = [1.0, float(warmup_steps)], [0.0, peak_lr or start]
    if warmup_steps >= first:  # the rows begin within the warm-up
        places, values = [1.0, float(first)], [0.0, start]
    elif warmup_steps < 2:
        places, values = [1.0], [peak_lr or start]
    if first == 1:
        note = ""
    elif len(places) == 1:
        note = f"no warm-up: rate {values[0]:g} at update 1"
    else:
        note = f"warm-up from 0 at update 1 to {values[1]:g} at update {places[1]:g}"
    inside = [place < first for place in places]
    updates = np.arange(1.0, int(at[-1]) + 1)
    rates = np.interp(
        updates,
        np.concatenate([np.array(places)[inside], at]),
        np.concatenate([np.array(values)[inside], lr]),
    )
    _mend_gaps(rates, at, lr)
    return Schedule(rates, f"{note} (guessed)" if note and guessed else note)


def _guess(at: npt.NDArray[np.int64], lr: Floats) -> int:
    """Return how many updates of warm-up there seem to be before the rows."""
    first = int(at[0])
    if len(at) > 1 and lr[1] > lr[0]:
        return first
    return first - 1 if first > GAP * np.median(np.diff(at)) else 0


def _mend_gaps(rates: Floats, at: npt.NDArray[np.int64], lr: Floats) -> None:
    """Replace the straight line between two rows where the rate jumps or bends."""
    if len(at) < 3:
        return
    slope = np.diff(lr) / np.diff(at)
    before = np.concatenate([slope[1:2], slope[:-1]])  # beyond an end as inside it
    after = np.concatenate([slope[1:], slope[-2:-1]])
    steep = np.maximum(np.abs(before), np.abs(after))
    jump = np.abs(np.diff(lr)) > JUMP * np.maximum(lr[1:], lr[:-1])
    jump &= np.abs(slope) > ALONE * steep
    bend = (before - slope) * (slope - after) > 0
    bend &= np.abs(before - after) > BEND * steep
    for i in np.flatnonzero(jump | bend).tolist():
        inside = np.arange(at[i] + 1, at[i + 1])  # updates between the rows
        left = lr[i] + before[i] * (inside - at[i])
        right = lr[i + 1] + after[i] * (inside - at[i + 1])
        if jump[i]:
            line = np.full(len(inside), lr[i])
        else:  # falling faster after the bend: the lower line, else the upper
            falls = before[i] > after[i]
            line = np.minimum(left, right) if falls else np.maximum(left, right)
        rates[inside - 1] = line
