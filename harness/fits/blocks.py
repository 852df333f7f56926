"""Many curves through one fit: windows, statuses, blocks of rows, assembly.

Every fit of curves on a shared abscissa runs through `fit_curves`; it supplies only
what to do with complete curves on one window.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import (
    DIVERGED,
    ILL_CONDITIONED,
    NO_WINDOW,
    OK,
    TOO_SHORT,
    Estimates,
    Floats,
)

Window = tuple[float, float] | npt.ArrayLike | None
"""First and last abscissa, both included: for all curves, or a row a curve `[N, 2]`."""
READ_ELEMENTS = 1 << 20
"""Values whose rows are taken from the input, such as a memmap, at a time."""
BLOCK_ELEMENTS = 1 << 17
"""Values fitted at a time: 1 MiB of float64."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit says of a block of B curves."""

    values: Mapping[str, Floats]
    """`[B]` each quantity."""
    errors: Mapping[str, Floats] = field(default_factory=dict)
    """`[B]` standard errors."""
    undetermined: npt.NDArray[np.bool_] | None = None
    """`[B]`, curves that do not determine the values; None: those not finite."""


Fit = Callable[[Floats], Fitted]
"""Fits complete curves `[B, n]` on the abscissa it was prepared for."""


class Block(NamedTuple):
    """Curves with one window."""

    rows: npt.NDArray[np.int64]
    """`[B]`, which curves."""
    first: int
    """First column."""
    last: int
    """Last column + 1."""


def fit_curves(
    t: npt.ArrayLike,
    loss: npt.ArrayLike,
    window: Window,
    prepare: Callable[[Floats], Fit],
    *,
    estimator: str,
    version: str,
    units: Mapping[str, str],
    errors: tuple[str, ...],
    min_points: int,
    positive: bool,
    params: Mapping[str, Any],
) -> Estimates:
    """Return the estimates of a fit for N curves, in bounded extra memory.

    Args:
        t: Abscissa `[T]`, increasing.
        loss: Curves `[N, T]`, any float type; rows are read in blocks, in order.
        window: Closed window on t; None is all of t. Rows with a NaN or with
            first > last have no window.
        prepare: Takes the abscissa `[n]` of a window, returns the fit of its curves.
        estimator: Name of the estimator.
        version: Its version.
        units: Unit of each quantity.
        errors: Quantities with a standard error.
        min_points: Fewer points in the window: "too_short".
        positive: A value <= 0 in the window means "diverged", as one not finite does.
        params: Arguments to record.

    Raises:
        ValueError: t, loss or window have a wrong shape, or t does not increase.
    """
    times, curves = check_curves(t, loss)
    num = len(curves)
    first, last = _columns(times, window, num)
    status = np.where(first < 0, NO_WINDOW, TOO_SHORT).astype("U16")
    values = {name: np.full(num, np.nan) for name in units}
    deviations = {name: np.full(num, np.nan) for name in errors}
    fits: dict[tuple[int, int], Fit] = {}
    for block in _blocks(curves, first, last, min_points):
        key = (block.first, block.last)
        if key not in fits:
            fits[key] = prepare(times[slice(*key)])
        _fit_block(curves, block, fits[key], positive, status, values, deviations)
    count = np.maximum(last - first, 0)
    ends = np.full((num, 2), np.nan)
    some = count > 0
    ends[some] = np.stack([times[first[some]], times[last[some] - 1]], axis=1)
    return Estimates(
        estimator=estimator,
        estimator_version=version,
        params=params,
        units=units,
        values=values,
        errors=deviations,
        status=status,
        n=count,
        window=ends,
    )


def check_curves(
    t: npt.ArrayLike, loss: npt.ArrayLike
) -> tuple[Floats, npt.NDArray[np.floating]]:
    """Return t `[T]` in float64 and loss `[N, T]` as it is, or raise ValueError."""
    times, curves = np.asarray(t, dtype=np.float64), np.asanyarray(loss)
    if curves.ndim != 2 or times.shape != curves.shape[1:]:
        raise ValueError(
            f"t {times.shape} and loss {curves.shape} do not match; expected [T] and "
            "[N, T], a row a curve (one curve: loss[None])"
        )
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ValueError("t must be finite and increase from column to column")
    return times, curves


def _columns(
    times: Floats, window: Window, num: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return first and last + 1 column of each curve's window; -1, -1 for none."""
    limits = np.asarray((-np.inf, np.inf) if window is None else window, np.float64)
    if limits.shape not in ((2,), (num, 2)):
        raise ValueError(
            f"window has the shape {limits.shape}; expected (first, last) or "
            f"[N, 2] with N = {num}"
        )
    if limits.ndim == 1 and not limits[0] <= limits[1]:
        raise ValueError(f"window {limits.tolist()} is empty; expected first <= last")
    limits = np.broadcast_to(limits, (num, 2))
    none = ~(limits[:, 0] <= limits[:, 1])
    first = np.searchsorted(times, limits[:, 0], side="left")
    last = np.searchsorted(times, limits[:, 1], side="right")
    return np.where(none, -1, first), np.where(none, -1, last)


def _blocks(
    curves: npt.NDArray[np.floating],
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    min_points: int,
) -> Iterator[Block]:
    """Yield the curves with enough points, by window, in blocks of bounded size."""
    num, length = curves.shape
    size = max(READ_ELEMENTS // max(length, 1), 1)
    for start in range(0, num, size):
        part = slice(start, min(start + size, num))
        codes = first[part] * (length + 1) + last[part]
        for code in np.unique(codes[last[part] - first[part] >= min_points]):
            begin, end = divmod(int(code), length + 1)
            rows = start + np.flatnonzero(codes == code)
            few = block_rows(end - begin)
            for i in range(0, len(rows), few):
                yield Block(rows[i : i + few], begin, end)


def block_rows(num_points: int) -> int:
    """Return how many curves of so many points make a block."""
    return min(max(BLOCK_ELEMENTS // num_points, 16), 1024)


def _fit_block(
    curves: npt.NDArray[np.floating],
    block: Block,
    fit: Fit,
    positive: bool,
    status: npt.NDArray[np.str_],
    values: dict[str, Floats],
    deviations: dict[str, Floats],
) -> None:
    """Fit one block and write what came out into the tables of all curves."""
    rows = block.rows
    near = slice(int(rows[0]), int(rows[-1]) + 1)
    part = curves[near, block.first : block.last]
    if len(part) != len(rows):
        part = part[rows - near.start]
    y = np.array(part, dtype=np.float64, order="C")
    low, high = y.min(axis=1), y.max(axis=1)
    good = np.isfinite(low) & np.isfinite(high)
    if positive:
        good &= low > 0
    if not good.all():
        status[rows[~good]] = DIVERGED
        rows, y = rows[good], y[good]
    if not len(rows):
        return
    with np.errstate(all="ignore"):
        fitted = fit(y)
    results = [*fitted.values.values(), *fitted.errors.values()]
    sound = np.isfinite(results).all(axis=0)
    if fitted.undetermined is not None:
        sound &= ~fitted.undetermined
    status[rows] = np.where(sound, OK, ILL_CONDITIONED)
    for table, found in ((values, fitted.values), (deviations, fitted.errors)):
        for name, column in table.items():
            column[rows] = np.where(sound, found[name], np.nan)
