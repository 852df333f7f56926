"""What every metric does first: check its inputs and average over rows.

Rows are runs. `prediction` may carry leading axes (predictors); `weights` `[N]` or
`[N, B]` count how often a row occurs, a column a resample. A metric of predictions
`[P, N]` under weights `[N, B]` is `[P, B]`; missing axes are missing in the result.
"""

import numpy as np
import numpy.typing as npt

from harness.measure import Floats

Ints = npt.NDArray[np.intp]
SHOWN = 5
"""Rows that a message names."""
CHUNK = 2**16
"""Cells of an `[N, b]` array that are worked on at once."""
NARROW = 32
"""Fewest columns that are worked on at once."""
TILE = 16
TRIANGLE = np.tril(np.ones((TILE, TILE)))


def finite(name: str, values: npt.ArrayLike, row_axis: int = -1) -> Floats:
    """Return `values` in float64.

    Args:
        name: What the values are, for the message.
        values: Numbers.
        row_axis: Which axis counts the runs.

    Raises:
        ValueError: A value is NaN or infinite; the message names the rows.
    """
    array = np.asarray(values, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        _reject(name, array, bad, row_axis, "a finite number")
    return array


def within(name: str, values: npt.ArrayLike, low: float, high: float) -> Floats:
    """Return finite `values` `[..., N]` in float64 that lie in `[low, high]`.

    Raises:
        ValueError: A value is not finite or outside; the message names the rows.
    """
    array = finite(name, values)
    bad = np.argwhere((array < low) | (array > high))
    if len(bad):
        _reject(name, array, bad, -1, f"a number from {low:g} to {high:g}")
    return array


def positive(name: str, values: npt.ArrayLike, row_axis: int = -1) -> Floats:
    """Return finite, positive `values` in float64.

    Raises:
        ValueError: A value is not finite or not positive; the message names the rows.
    """
    array = finite(name, values, row_axis)
    bad = np.argwhere(array <= 0)
    if len(bad):
        _reject(name, array, bad, row_axis, "a positive number")
    return array


def paired(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return truth `[N]` and prediction `[..., N]`, checked.

    Raises:
        ValueError: The shapes do not fit, or a value is not finite.
    """
    y, p = finite("truth", truth), finite("prediction", prediction)
    if y.ndim != 1 or not y.size or p.shape[-1:] != y.shape:
        raise ValueError(
            f"truth has shape {list(y.shape)} and prediction {list(p.shape)}; "
            "expected [N] and [..., N] with the same N > 0 rows in the same order"
        )
    return y, p


def checked_weights(weights: npt.ArrayLike, num_rows: int) -> Floats:
    """Return weights `[N]` or `[N, B]` in float64.

    Raises:
        ValueError: The shape does not fit, a weight is negative or NaN, or a resample
            is empty.
    """
    w = np.asarray(weights, dtype=np.float64)
    if w.ndim not in (1, 2) or len(w) != num_rows:
        raise ValueError(
            f"weights have shape {list(w.shape)}; expected [{num_rows}] or "
            f"[{num_rows}, B], a column a resample"
        )
    if w.size and (not w.min() >= 0 or not w.sum(axis=0).min() > 0):
        raise ValueError(
            "weights count how often a row occurs: none may be negative or NaN, and "
            "every resample needs a row"
        )
    return w


def columns(weights: npt.ArrayLike | None, num_rows: int) -> Floats:
    """Return weights as `[N, B]`; None is one column of ones."""
    if weights is None:
        return np.ones((num_rows, 1))
    w = checked_weights(weights, num_rows)
    return w.reshape(num_rows, -1)


def result_shape(
    prediction: Floats, weights: npt.ArrayLike | None, trailing: int = 1
) -> tuple[int, ...]:
    """Return the shape of a metric: leading axes of prediction, then resamples."""
    lead = prediction.shape[: prediction.ndim - trailing]
    return lead if weights is None else lead + np.shape(weights)[1:]


def blocks(weights: Floats) -> list[slice]:
    """Return slices of the columns of `weights` `[N, B]`, of one width but the last."""
    rows, count = weights.shape
    width = min(count, max(NARROW, CHUNK // rows))
    return [slice(first, first + width) for first in range(0, count, width)]


def weighted_mean(losses: Floats, weights: npt.ArrayLike | None) -> Floats:
    """Return the mean of losses `[..., N]` over the rows, `[...]` or `[..., B]`.

    One matrix product for all resamples.
    """
    if weights is None:
        return np.asarray(losses.mean(axis=-1))
    w = checked_weights(weights, losses.shape[-1])
    return np.asarray(losses @ w / w.sum(axis=0))


def scratch_for(weights: Floats, count: int) -> Floats:
    """Return flat memory for `count` arrays of a block of `weights` and one row more.

    Memory is asked for once: fresh pages cost more than the arithmetic on them.
    """
    return np.empty(count * (len(weights) + 1) * blocks(weights)[0].stop)


def cut(scratch: Floats, count: int, rows: int, width: int) -> Floats:
    """Return contiguous `[count, rows, width]` from flat memory."""
    return scratch[: count * rows * width].reshape(count, rows, width)


def take_rows(values: Floats, rows: Ints, out: Floats | None = None) -> Floats:
    """Return `values[rows]`, written to `out` if given; the rows must exist."""
    return np.take(values, rows, axis=0, out=out, mode="clip")


def running_sum(
    values: Floats, out: Floats | None = None, *, own: float = 1.0
) -> Floats:
    """Return the sums of all rows above, and a share of the own, of `values` `[N, b]`.

    Sixteen rows at a time are summed by a product with a triangle of ones, which takes
    half as long as `np.cumsum(axis=0)` and is as exact for counts.

    Args:
        values: `[N, b]`, contiguous.
        out: Contiguous memory of the same shape for the result.
        own: Share of a row that its sum contains; 1 is the cumulative sum.
    """
    rows, width = values.shape
    out = np.empty_like(values, order="C") if out is None else out
    triangle = TRIANGLE - (1 - own) * np.eye(TILE)
    whole = rows // TILE * TILE
    given, sums = (a[:whole].reshape(-1, TILE, width) for a in (values, out))
    np.matmul(triangle, given, out=sums)
    rest = rows - whole
    np.matmul(triangle[:rest, :rest], values[whole:], out=out[whole:])
    if whole:
        carried = np.cumsum(sums[:, -1] + (1 - own) * given[:, -1], axis=0)
        sums[1:] += carried[:-1, None]
        out[whole:] += carried[-1]
    return out


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the ratio, NaN where the denominator is zero: undefined."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    out: Floats = np.full(shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def _reject(name: str, array: Floats, bad: Ints, row_axis: int, expected: str) -> None:
    """Raise the error that names the rows of the `bad` cells."""
    rows = np.unique(bad[:, row_axis]) if array.ndim else np.array([0])
    first = array[tuple(bad[0])]
    more = ", ..." if len(rows) > SHOWN else ""
    raise ValueError(
        f"{name} is {first} in row {bad[0][row_axis] if array.ndim else 0}; expected "
        f"{expected} in every row ({len(rows)} bad: "
        f"{', '.join(map(str, rows[:SHOWN]))}{more}); "
        "leave such rows out of truth and prediction and count them apart"
    )
