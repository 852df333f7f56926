"""What laws of the loss curve share: they forecast it, and a mapping does the rest.

Where a curve is asked for the forecast is the answer; where a number is asked for the
forecast of the last epoch is mapped to it as the training runs teach.
"""

import abc
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baselines.methods.mapping import Mapping
from baselines.methods.numbers import by_id
from harness.early.curves import EarlyCurves
from harness.errors import Declined
from harness.measure import Estimates, Floats
from tasks.observations import Observations
from tasks.prediction import Prediction, Targets

NOT_POSITIVE = "the law's forecast of the loss is not above 0"


class Forecast(NamedTuple):
    """Losses that a law forecasts for the epochs of `ahead`."""

    curves: Sequence[Floats]
    """`[N, E]` a block, in nats; NaN where there is none."""
    reasons: dict[str, str]
    """Why, by id."""


class CurveLaw(abc.ABC):
    """A predictor that answers everything by a forecast of the training loss.

    A subclass has `forecast`, and `learn` if there is something to learn. A forecast
    that is not above 0 somewhere is declined.
    """

    uses = ()
    reads_settings = False

    def learn(self, observations: Observations, targets: Targets) -> None:
        """Learn the law from the training runs; nothing, unless there is something."""
        del observations, targets

    @abc.abstractmethod
    def forecast(self, observations: Observations) -> Forecast:
        """Forecast the mean training loss of the epochs of `ahead`."""

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn the law, and unless curves are asked for the mapping."""
        self.learn(observations, targets)
        if observations.asked.kind != "curve":
            last, reasons = self._last(observations)
            if reasons and not np.isfinite(last).any():
                commonest = Counter(reasons.values()).most_common(1)[0][0]
                raise Declined(f"of no training run there is a forecast: {commonest}")
            self.mapping = Mapping(observations.asked.kind)
            self.mapping.fit(last, targets.values, targets.groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the forecast, or what it stands for."""
        if observations.asked.kind == "curve":
            curves, reasons = _positive(observations, self.forecast(observations))
            return Prediction(curves=tuple(curves), reasons=reasons)
        last, reasons = self._last(observations)
        return self.mapping.answer(observations.asked, last, reasons)

    def _last(self, seen: Observations) -> tuple[Floats, dict[str, str]]:
        """Return ln of the forecast for the last epoch, `[n]`, and reasons."""
        curves, reasons = _positive(seen, self.forecast(seen))
        values = by_id(seen, [curve[:, -1] for curve in curves])
        return np.log(values), reasons


def drawn_on(
    seen: Observations,
    fit: Callable[[Floats, Floats], Estimates],
    law: Callable[[Estimates, Floats], Floats],
    *,
    skip: float,
    points: int,
) -> Forecast:
    """Return a law of time that is fitted to each run alone and drawn on.

    A run whose fit is not ok has its status as the reason.

    Args:
        seen: Observations.
        fit: From times `[T]`, in epochs, and mean losses `[N, T]` of whole epochs.
        law: From a fit and times `[E]` to losses `[N, E]`.
        skip: Share of the window's epochs, the first, that is left out.
        points: Epochs that stay if they can, see `left_out`.
    """
    curves, reasons = [], {}
    for block in seen.blocks:
        first = left_out(block.num_epochs, skip, points)
        found = fit(block.epoch_axis()[first:], block.epoch_means()[:, first:])
        curves.append(law(found, mid_epoch(ahead(seen, block), block)))
        for row in np.flatnonzero(~found.ok).tolist():
            reasons[block.run_ids[row]] = f"{found.estimator}: {found.status[row]}"
    return Forecast(curves, reasons)


def ahead(seen: Observations, block: EarlyCurves) -> npt.NDArray[np.int64]:
    """Return the epochs, from 1, to be forecast, `[E]`: the remaining or the last."""
    if seen.asked.kind == "curve":
        return seen.remaining_epochs(block)
    return np.array([max(block.num_steps // block.steps_per_epoch, 1)])


def mid_epoch(epochs: npt.NDArray[Any], block: EarlyCurves) -> Floats:
    """Return the times in epochs that means of whole epochs stand for.

    As `harness.fits.windows.epoch_axis`, for any epochs.
    """
    return np.asarray(epochs - 0.5 + 0.5 / block.steps_per_epoch, np.float64)


def left_out(num_epochs: int, share: float, points: int) -> int:
    """Return how many of the first epochs a fit leaves out.

    A share of those seen, rounded down, but so that `points` epochs stay if they can.

    Raises:
        ValueError: The share is not in [0, 1).

    Example:
        >>> left_out(10, 0.4, 5), left_out(6, 0.4, 5), left_out(3, 0.4, 5)
        (4, 1, 0)
    """
    if not 0 <= share < 1:
        raise ValueError(f"skip is {share}, expected a share in [0, 1)")
    # such shares as 0.29 of 100 epochs fall short of a whole number by rounding
    skipped = math.floor(round(share * num_epochs, 9))
    return max(min(skipped, num_epochs - points), 0)


def _positive(seen: Observations, found: Forecast) -> Forecast:
    """Return a forecast without the curves that fall to 0, which have a reason."""
    curves, reasons = [], dict(found.reasons)
    for block, curve in zip(seen.blocks, found.curves, strict=True):
        sunk = np.asarray(np.isfinite(curve).all(axis=1) & ~(curve > 0).all(axis=1))
        curves.append(np.where(sunk[:, None], np.nan, curve))
        for row in np.flatnonzero(sunk).tolist():
            reasons[block.run_ids[row]] = NOT_POSITIVE
    return Forecast(curves, reasons)
