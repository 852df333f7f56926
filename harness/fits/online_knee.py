"""The knee test while a curve grows: causal, with a stated rate of false alarms.

`OnlineKnee` is fed by a training loop or a stopping rule; `find_knees_online` says for
many recorded curves what it would have said.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import check_curves
from harness.fits.knee import MIN_BINS, find_knees
from harness.fits.two_segment import positive_axis
from harness.fits.windows import epoch_axis
from harness.measure import DIVERGED, NO_WINDOW, OK, TOO_SHORT, Estimates, Floats

VERSION: Final = "1"
THRESHOLD: Final = 10.0
CONFIRM: Final = 4
SKIPPED_EPOCHS: Final = 2
"""Epochs left out at the start, where a bin is wide in ln t."""
UNITS: Final = {
    "t_flag": "unit of t",
    "t_knee": "unit of t",
    "latency": "unit of t",
    "alpha_1": "1",
    "alpha_2": "1",
    "delta_bic": "1",
}


class Flag(NamedTuple):
    """A knee, and when it became known."""

    t_flag: float
    """Time of the last bin that was needed."""
    t_knee: float
    """Where the knee lies, as far as those bins tell."""
    alpha_1: float
    alpha_2: float
    delta_bic: float

    @property
    def latency(self) -> float:
        """Return how long after the knee it was flagged."""
        return self.t_flag - self.t_knee


class OnlineKnee:
    """Watches one curve and flags its first knee.

    After each bin the test of `knee.find_knees` is made on all bins so far. A test on
    48 epochs that is wrong once in a hundred times becomes wrong for one curve in
    five if it is made after each of them, so a knee is flagged when `confirm` tests in
    a row find delta_bic > `threshold`. With the defaults, curves without a knee over
    epochs 3 to 50 at 4 logs an epoch (AR(1) noise, lag-1 correlation rho per log;
    `benchmarks/knee_rates.py`) are flagged, once or more in their whole length, with
    these frequencies: 1 % at rho 0, 2 % at rho 0.5, 12 % at rho 0.9. A knee from
    0.9 to 0.5 at epoch 15 (sigma 0.05) is flagged about 11 epochs later; an
    exact one 7 bins later.

    Cost: one test of one curve a bin, about 1 ms.

    Example:
        >>> watch = OnlineKnee()
        >>> for t in range(3, 51):
        ...     flag = watch.push(t, t**-0.9 if t < 15 else 15**-0.4 * t**-0.5)
        >>> round(watch.flag.t_knee, 2), watch.flag.t_flag
        (15.0, 22.0)
    """

    def __init__(
        self,
        *,
        steps_per_epoch: int | None = None,
        min_bins: int = MIN_BINS,
        threshold: float = THRESHOLD,
        confirm: int = CONFIRM,
        seed: int = 0,
    ) -> None:
        """Start with no bins; `step` needs `steps_per_epoch`."""
        _check(confirm)
        self.flag: Flag | None = None
        """The first knee, once it is flagged; it stays."""
        self._test = {"min_bins": min_bins, "threshold": threshold, "seed": seed}
        self._confirm = confirm
        self._steps_per_epoch = steps_per_epoch
        self._steps: list[float] = []
        self._epochs = 0
        self._times: list[float] = []
        self._means: list[float] = []
        self._streak = np.zeros(1, dtype=np.int64)

    def push(self, t: float, mean: float) -> Flag | None:
        """Take the mean of one bin and return the flag if it is raised now.

        Raises:
            ValueError: t is not positive or not after the bin before.
        """
        if t <= max([0.0, *self._times[-1:]]):
            raise ValueError(f"a bin at t = {t} cannot follow {self._times[-1:]}")
        self._times.append(float(t))
        self._means.append(float(mean))
        if self.flag is not None or len(self._times) < 2 * self._test["min_bins"]:
            return None
        found = find_knees(self._times, [self._means], **self._test)  # type: ignore[arg-type]
        if _confirmed(self._streak, found, self._confirm)[0]:
            self.flag = Flag(
                self._times[-1], *(found[n].item() for n in Flag._fields[1:])
            )
        return self.flag

    def step(self, loss: float) -> Flag | None:
        """Take the loss of one optimiser step, from the first; see `push`.

        Epoch means are formed as by `windows.epoch_means`, and the first two left out.

        Raises:
            ValueError: The constructor was not told `steps_per_epoch`.
        """
        if self._steps_per_epoch is None:
            raise ValueError("steps need OnlineKnee(steps_per_epoch=...)")
        self._steps.append(float(loss))
        if len(self._steps) < self._steps_per_epoch:
            return None
        mean = float(np.mean(self._steps))
        self._steps.clear()
        self._epochs += 1
        if self._epochs <= SKIPPED_EPOCHS:
            return None
        axis = epoch_axis(self._epochs, self._steps_per_epoch)
        return self.push(float(axis[-1]), mean)


def find_knees_online(
    t: npt.ArrayLike,
    means: npt.ArrayLike,
    *,
    min_bins: int = MIN_BINS,
    threshold: float = THRESHOLD,
    confirm: int = CONFIRM,
    seed: int = 0,
) -> Estimates:
    """Return what `OnlineKnee` says of many recorded curves.

    Quantities: `t_flag`, time of the last bin needed; `t_knee`; `latency` = t_flag -
    t_knee; `alpha_1`, `alpha_2` and `delta_bic` at the flag. A curve cut after its
    flag gives the same.

    Statuses: "no_window" for a curve that is not flagged, "diverged" if it stopped
    being finite and positive before, "too_short" for fewer bins than the first flag
    needs.

    Args:
        t: Times of the bins `[E]`, positive and increasing.
        means: Epoch means `[N, E]`.
        min_bins: Bins on either side of a knee.
        threshold: delta_bic that the tests must exceed.
        confirm: How many tests in a row.
        seed: Names the draws of RANSAC.

    Raises:
        ValueError: Shapes do not match, t does not increase from above 0, or confirm
            < 1.

    Cost: E tests a curve, some 5 ms a curve of 48 bins, most of it for RANSAC, which
    a tenth of them call for.
    """
    _check(confirm)
    times, curves = check_curves(positive_axis(t), means)
    num, bins = curves.shape
    values = {name: np.full(num, np.nan) for name in UNITS}
    used = np.full(num, bins, dtype=np.int64)
    streak = np.zeros(num, dtype=np.int64)
    open_rows = np.arange(num)
    for end in range(2 * min_bins, bins + 1):
        found = find_knees(
            times[:end],
            curves[open_rows, :end],
            min_bins=min_bins,
            threshold=threshold,
            seed=seed,
        )
        now = streak[open_rows]
        flagged = _confirmed(now, found, confirm)
        streak[open_rows] = now
        rows = open_rows[flagged]
        used[rows] = end
        values["t_flag"][rows] = times[end - 1]
        values["latency"][rows] = times[end - 1] - found["t_knee"][flagged]
        for name in ("t_knee", "alpha_1", "alpha_2", "delta_bic"):
            values[name][rows] = found[name][flagged]
        open_rows = open_rows[~flagged]
    status = np.full(num, OK, dtype="<U16")
    status[open_rows] = _open_status(curves[open_rows], 2 * min_bins + confirm - 1)
    first = np.full(num, times[0] if bins else np.nan)
    last = times[used - 1] if bins else first
    return Estimates(
        estimator="online_knee",
        estimator_version=VERSION,
        params={
            "min_bins": min_bins,
            "threshold": threshold,
            "confirm": confirm,
            "seed": seed,
        },
        units=UNITS,
        values=values,
        status=status,
        n=used,
        window=np.stack([first, last], axis=1),
    )


def _confirmed(
    streak: npt.NDArray[np.int64], found: Estimates, confirm: int
) -> npt.NDArray[np.bool_]:
    """Lengthen or end the streaks in place; return which are long enough."""
    positive = found.ok & (found["knee"] > 0)
    np.multiply(streak + 1, positive, out=streak)
    long: npt.NDArray[np.bool_] = streak >= confirm
    return long


def _open_status(curves: npt.NDArray[np.floating], need: int) -> npt.NDArray[np.str_]:
    """Return why curves were not flagged."""
    if curves.shape[1] < need:
        return np.full(len(curves), TOO_SHORT)
    block: Floats = np.asarray(curves, dtype=np.float64)
    sound = (np.isfinite(block) & (block > 0)).all(axis=1)
    return np.where(sound, NO_WINDOW, DIVERGED)


def _check(confirm: int) -> None:
    if confirm < 1:
        raise ValueError(f"confirm is {confirm}; expected at least 1")
