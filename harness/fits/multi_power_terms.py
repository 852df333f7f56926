"""The changes of a schedule gathered into few terms, for fits of the multi-power law.

A fit evaluates `loss_drop` hundreds of times at the same points. Far from a point many
changes of the rate act as one; how many that are does not depend on the parameters.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.fits.multi_power import checked_schedule, floored, sums
from harness.measure import Floats

WIDTH: Final = 1 / 8
"""Largest relative extent of a term, in the rate and in the sum up to the point."""
TAIL_FLOOR: Final = 1e-9
"""Changes closer to the point than this share of all rates form one term."""


class Drop(NamedTuple):
    """Loss drop per unit of b and what it changes by, each `[n]`."""

    value: Floats
    by_log_c: Floats
    by_beta: Floats
    by_gamma: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the law needs to know of a schedule at n points.

    A term stands for consecutive changes of one sign. It has their summed fall and
    mean rate and time, so its error is of second order in the width. Measured on the
    cosine of 24,000 updates with the published parameters, at most 1.1e-5, 3.2e-6 and
    8.0e-7 nat for widths of 1/4, 1/8 and 1/16, with 74, 133 and 240 terms a point
    where the exact sum has 13,000; the drop itself reaches 0.1 nat.
    """

    sums: Floats
    """`[n]`, sum of all rates up to the point."""
    point: npt.NDArray[np.int64]
    """`[m]`, index of the point of each term."""
    fall: Floats
    """`[m]`, summed fall of the rate."""
    log_rate: Floats
    """`[m]`, mean logarithm of the rate after the changes."""
    log_tail: Floats
    """`[m]`, logarithm of the mean sum of rates from the changes to the point."""

    def drop(self, c: float, beta: float, gamma: float) -> Drop:
        """Return the loss drop for b = 1 and its derivatives by log c, beta, gamma.

        Cost: 3 exponentials or logarithms a term.
        """
        log_x = np.log(c) - gamma * self.log_rate + self.log_tail
        x = np.exp(np.minimum(log_x, 700.0))  # the largest that is finite
        done = np.log1p(x)
        left = np.exp(-beta * done)
        rise = self.fall * beta * left * (x / (1 + x))
        return Drop(
            self._gather(self.fall * -np.expm1(-beta * done)),
            self._gather(rise),
            self._gather(self.fall * left * done),
            self._gather(-self.log_rate * rise),
        )

    def _gather(self, terms: Floats) -> Floats:
        """Return the sum of the terms of each point, `[n]`."""
        total = np.bincount(self.point, terms, len(self.sums))
        return total.astype(np.float64)


def gather_terms(
    rates: npt.ArrayLike, at: npt.ArrayLike, *, width: float = WIDTH
) -> Terms:
    """Gather the changes of rates `[T]` before each of the points `at` `[n]`.

    Terms grow geometrically with their distance from the point. A rate that rises and
    falls by turns cannot be gathered: then m grows to n x T.

    Args:
        rates: `[T]`, learning rates of the updates 1 .. T.
        at: `[n]`, updates completed.
        width: Largest relative extent of a term; 0 keeps every change apart.

    Raises:
        ValueError: The rates or points are unusable.
    """
    rates, at = checked_schedule(rates, at)
    changes = _Changes.of(rates)
    every = np.arange(len(changes.fall))
    fences = changes.fences(width) if width else every
    ratios = _ratios(width) if width else np.ones(1)
    cells = [changes.cells(rates, int(t), fences, ratios) for t in at]
    fall, log_rate, tail = (
        np.concatenate([np.zeros(0), *(cell[i] for cell in cells)]) for i in range(3)
    )
    with np.errstate(divide="ignore"):  # a schedule may end at a rate of 0
        log_tail = np.log(tail)
    return Terms(
        sums=sums(rates, at),
        point=np.repeat(np.arange(len(at)), [len(cell[0]) for cell in cells]),
        fall=fall,
        log_rate=log_rate,
        log_tail=log_tail,
    )


def _ratios(width: float) -> Floats:
    """Return a geometric ladder of shares of a sum of rates, 1 downwards."""
    steps = np.arange(np.ceil(np.log(1 / TAIL_FLOOR) / np.log1p(width)))
    return (1 + width) ** -steps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """The K changes of a schedule's rate, with sums of the first j of them."""

    update: npt.NDArray[np.int64]
    """`[K]`, 0-based index of the first rate after the change."""
    fall: Floats
    """`[K]`, rate before minus rate after."""
    log_rate: Floats
    """`[K]`, logarithm of the rate after."""
    before: Floats
    """`[K]`, sum of the rates before the change."""
    running: tuple[Floats, Floats, Floats]
    """`[K + 1]` each, sums of fall, fall x log_rate and fall x before."""

    @classmethod
    def of(cls, rates: Floats) -> "_Changes":
        """Find the changes of rates `[T]`."""
        fall = -np.diff(rates)
        update = np.flatnonzero(fall) + 1
        fall = fall[update - 1]
        log_rate = np.log(floored(rates)[update])
        before = np.cumsum(rates)[update - 1]
        first, second, third = (
            np.r_[0.0, np.cumsum(fall * f)] for f in (1.0, log_rate, before)
        )
        return cls(
            update=update,
            fall=fall,
            log_rate=log_rate,
            before=before,
            running=(first, second, third),
        )

    def fences(self, width: float) -> npt.NDArray[np.int64]:
        """Return the changes that must begin a term, wherever the point lies."""
        new_sign = np.diff(np.sign(self.fall)) != 0
        new_rate = np.diff(np.floor(self.log_rate / width)) != 0
        return np.flatnonzero(new_sign | new_rate) + 1

    def cells(
        self,
        rates: Floats,
        t: int,
        fences: npt.NDArray[np.int64],
        ratios: Floats,
    ) -> tuple[Floats, Floats, Floats]:
        """Return summed fall, mean log rate and mean tail of the terms before t."""
        seen = int(np.searchsorted(self.update, t))
        if not seen:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        last = int(self.update[seen - 1])
        total = self.before[seen - 1] + rates[last:t].sum()
        ladder = np.searchsorted(self.before[:seen], total * (1 - ratios))
        edges = np.unique(np.r_[0, fences[fences < seen], ladder, seen])
        first, stop = edges[:-1], edges[1:]
        fall, rate_sum, before_sum = (r[stop] - r[first] for r in self.running)
        single = stop - first == 1
        fall = np.where(single, self.fall[first], fall)
        log_rate = _mean(self.log_rate, first, stop, rate_sum / fall)
        before = _mean(self.before, first, stop, before_sum / fall)
        return fall, log_rate, total - before


def _mean(
    values: Floats,
    first: npt.NDArray[np.int64],
    stop: npt.NDArray[np.int64],
    mean: Floats,
) -> Floats:
    """Keep rounding from carrying a mean out of its term, where values are monotone."""
    ends = values[first], values[stop - 1]
    return np.clip(mean, np.minimum(*ends), np.maximum(*ends))
