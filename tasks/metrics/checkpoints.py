"""What a forecast of the best checkpoint is worth to someone who is short of disk."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import Ints, columns, paired, result_shape, within

SLACK: Final = 1e-9
"""Mean regret beyond the tolerance that is rounding."""
CELLS: Final = 2**22
"""Numbers in a table of sums by row."""


def checkpoints_saved(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    evaluations: Sequence[npt.ArrayLike] | Floats,
    regrets: Sequence[npt.ArrayLike] | Floats,
    tolerance: float = 0.001,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the share of checkpoints that could have been deleted in good time.

    A run writes a checkpoint at each evaluation. Early on a predictor names one time a
    run: checkpoints before it are deleted, except the last one of the run. In hindsight
    one shift is added to all times, the largest at which the mean regret (accuracy of
    a run's best checkpoint less that of the best that was kept) is within `tolerance`.
    Formula: weighted mean over runs of deleted / written checkpoints. A constant gets
    what the best fixed time gets, "keep the last" included: being late or early for all
    runs alike costs nothing, this values telling runs apart. Unit: share. Range: 0 to
    below 1. Optimum: about what `truth` itself scores; as regrets are averaged, a
    prediction that loses much of one run and nothing of others may exceed it. Cost: two
    sorts of the K checkpoints and a product `[sqrt(K), N] x [N, B]` a predictor. Always
    defined.

    Args:
        truth: Time of the last checkpoint that is within the tolerance, `[N]`.
        prediction: Times `[..., N]` in the unit of `evaluations`.
        evaluations: Ascending times of each run's checkpoints, N sequences; shorter
            ones may end in NaN, so that `[N, M]` is one.
        regrets: Of each checkpoint, the regret where it is the first that is kept;
            from 0 upwards, shaped as `evaluations`.
        tolerance: Mean regret that is accepted, in the unit of `regrets`.
        weights: How often each row occurs, `[N]` or `[N, B]`; None means once.

    Example:
        Accuracies .90 .95 .93 .93 and .80 .85 .90 .90: the best are the second and the
        third or fourth. Told so, 1 and 3 of 4 are deleted; at a fixed time 1 and 1.

        >>> times = [[0.25, 0.5, 0.75, 1.0]] * 2
        >>> lost = [[0.0, 0.0, 0.02, 0.02], [0.0, 0.0, 0.0, 0.0]]
        >>> told, fixed = checkpoints_saved(
        ...     [0.5, 1.0], [[0.5, 1.0], [1.0, 1.0]], evaluations=times, regrets=lost
        ... )
        >>> float(told), float(fixed)
        (0.5, 0.25)
    """
    y, p = paired(truth, prediction)
    times, written = _rows("evaluations", evaluations, len(y))
    lost, given = _rows("regrets", regrets, len(y))
    _check(times, written, lost, given)
    accepted = SLACK + float(within("tolerance", tolerance, 0.0, np.inf))
    deletable = np.arange(times.shape[1] - 1) < written[:, None] - 1
    growth = np.where(deletable, np.diff(lost), 0.0)
    w = columns(weights, len(y))
    result = []
    for row in p.reshape(-1, len(y)):
        # A checkpoint is deleted by shifts above this.
        bars = np.where(deletable, times[:, :-1] - row[:, None], np.inf)
        result.append(_saved(bars, growth, written, w, accepted))
    return np.array(result).reshape(result_shape(p, weights))


def _saved(
    bars: Floats,
    growth: Floats,
    written: npt.NDArray[np.int64],
    weights: Floats,
    tolerance: float,
) -> Floats:
    """Return the share deleted at the largest shift within the tolerance, `[B]`."""
    total = weights.sum(axis=0)
    run, bar, lost = _ascending(bars, growth)
    kept = _RunningSums(run, lost, weights).count(tolerance * total)
    shift = np.append(bar, np.inf)[kept]
    run, bar, each = _ascending(bars, np.isfinite(bars) / written[:, None])
    deleted = _RunningSums(run, each, weights).at(np.searchsorted(bar, shift))
    return np.asarray(deleted / total)


def _ascending(bars: Floats, values: Floats) -> tuple[Ints, Floats, Floats]:
    """Return run, bar and value where there is a value, by ascending bars, `[K]`."""
    run, at = np.nonzero(values)
    order = np.argsort(bars[run, at], kind="stable")
    run, at = run[order], at[order]
    return run, bars[run, at], values[run, at]


class _RunningSums:
    """Sums of the first k of K weighted values, for all resamples.

    Every resample asks for a k of its own: sums up to the beginnings of some hundred
    cells are one product, and only the cell in which k lies is summed step by step.

    Args:
        run: Which row of the weights each value has, `[K]`.
        values: `[K]`, positive.
        weights: `[N, B]`.
    """

    def __init__(self, run: Ints, values: Floats, weights: Floats) -> None:
        self.run, self.values, self.weights = run, values, weights
        num_rows = len(weights)
        cells = max(1, min(math.isqrt(len(run)), CELLS // num_rows))
        self.size = len(run) // cells + 1
        cell = np.arange(len(run)) // self.size + 1
        table = np.bincount(
            cell * num_rows + run, values, minlength=(cells + 2) * num_rows
        ).reshape(-1, num_rows)
        self.starts = np.cumsum(table, axis=0) @ weights

    def count(self, limit: Floats) -> Ints:
        """Return how many values sum up to `limit` `[B]` at most, `[B]`."""
        cell = (self.starts <= limit).sum(axis=0) - 1
        count = cell * self.size
        for one, some, sums in self._steps(cell):
            below = self.starts[one, some] + sums[1:] <= limit[some]
            count[some] += below.sum(axis=0)
        return np.asarray(np.minimum(count, len(self.run)))

    def at(self, count: Ints) -> Floats:
        """Return the sums of the first `count` `[B]` values, `[B]`."""
        cell = count // self.size
        result: Floats = np.empty(len(count))
        for one, some, sums in self._steps(cell):
            place = count[some] - one * self.size
            result[some] = self.starts[one, some] + sums[place, np.arange(len(place))]
        return result

    def _steps(self, cell: Ints) -> Iterator[tuple[int, Ints, Floats]]:
        """Yield each cell, the resamples that are in it, and its sums, from 0."""
        for one in np.unique(cell).tolist():
            some = np.flatnonzero(cell == one)
            rows = slice(one * self.size, (one + 1) * self.size)
            steps = self.weights[np.ix_(self.run[rows], some)]
            sums = np.zeros((len(steps) + 1, len(some)))
            np.cumsum(steps * self.values[rows, None], axis=0, out=sums[1:])
            yield one, some, sums


def _rows(
    name: str, values: Sequence[npt.ArrayLike] | Floats, num_rows: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return N sequences as `[N, M]`, NaN at their ends, and their lengths."""
    if isinstance(values, np.ndarray) and values.ndim == 2 and len(values) == num_rows:
        whole = values.astype(np.float64)
        return whole, np.isfinite(whole).sum(axis=1)
    rows = [np.asarray(row, dtype=np.float64) for row in values]
    if len(rows) != num_rows or any(row.ndim != 1 for row in rows):
        raise ValueError(
            f"{name} has {len(rows)} rows; expected {num_rows}, each a sequence of "
            "numbers, one a checkpoint"
        )
    sizes = np.array([np.isfinite(row).sum() for row in rows])
    table = np.full((num_rows, max(map(len, rows))), np.nan)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table, sizes


def _check(
    times: Floats,
    written: npt.NDArray[np.int64],
    lost: Floats,
    given: npt.NDArray[np.int64],
) -> None:
    """Raise ValueError at the first run whose checkpoints cannot be."""
    tail = np.arange(times.shape[1]) < written[:, None]
    alike = times.shape == lost.shape and (written == given).all()
    if not alike or not written.all() or not np.isfinite(times[tail]).all():
        raise ValueError(
            "evaluations and regrets do not have the same lengths, one number or more "
            "a run and NaN at the end only"
        )
    rises = (np.diff(times) > 0) & (np.diff(lost) >= 0) | ~tail[:, 1:]
    bad = ~(rises.all(axis=1) & (lost[:, 0] >= 0))
    if bad.any():
        raise ValueError(
            f"row {int(bad.argmax())}: expected evaluations that ascend and regrets "
            "from 0 that do not fall"
        )
