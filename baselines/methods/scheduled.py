"""Runs with their planned learning rates, for laws of the sum of rates.

Rates are shares of each run's highest and sums are counted in epochs at that rate, so
that one set of exponents can serve optimizers and batch sizes whose rates differ by
orders of magnitude. A schedule is reduced to its means over half epochs.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from baselines.methods.curve_law import Forecast, ahead, left_out
from harness.early.curves import Curves32, EarlyCurves
from harness.errors import Declined
from harness.fits.multi_power_fit import join_terms
from harness.fits.multi_power_terms import Terms, gather_terms
from harness.measure import Floats
from tasks.observations import Observations

MIN_POINTS: Final = 5
"""Whole epochs of the window that a law is scaled to, at least."""
POOLED_RUNS: Final = 96
"""Training runs that a law is learned from, at most: more change little."""
JUDGED_EPOCHS: Final = 24
"""Epochs of each that a forecast is judged by, at most."""
PARTS: Final = 2
"""An epoch's mean loss stands for its middle, so the schedule is cut there."""
NO_RATES: Final = "its planned learning rates are not known, or 0 throughout"
TOO_SHORT: Final = f"fewer than {MIN_POINTS} whole epochs in the window"
NOT_FINITE: Final = "a loss in the window is not finite and positive"
LOWEST: Final = 1e-3
"""Forecasts below this share of the last loss seen count as this share in a fit."""
SCATTER: Final = 0.1
"""Miss in ln L from which a point pulls no harder the farther it is off."""


class Runs(NamedTuple):
    """Usable runs of a block; points P = W seen epochs, then E forecast ones."""

    rows: npt.NDArray[np.int64]
    """`[n]`, rows of the block."""
    loss: Floats
    """`[n, W]`, mean loss of the epochs seen."""
    truth: Floats
    """`[n, E]`, mean loss of the epochs forecast; without columns if not known."""
    log_sums: Floats
    """`[n, P]`, ln of the sum of rates, less that at the last epoch seen."""
    terms: Terms
    """Of the J schedules, P points each."""
    schedule: npt.NDArray[np.int64]
    """`[n]`, which schedule a run has."""

    def drop(self, c: float, beta: float, gamma: float) -> Floats:
        """Return the loss drop of `loss_drop` for b = 1 at the points, `[n, P]`."""
        value = self.terms.drop(c, beta, gamma).value
        table: Floats = value.reshape(-1, self.log_sums.shape[1])
        return np.asarray(table[self.schedule])


Law = Callable[[Floats, Runs], Floats]
"""Scales the law with given pooled parameters to what is seen of each run; returns its
losses `[n, P]`."""


def training_runs(
    seen: Observations, curves: Sequence[Floats], skip: float
) -> list[Runs]:
    """Return the runs to learn from: some, evenly spaced in the order of the ids.

    Args:
        seen: Training runs.
        curves: `[N, E]` a block, what came after the window; none if not known.
        skip: Share of the window's epochs, the first, that is left out.

    Raises:
        Declined: The task does not show the planned rates, or no run is usable.
    """
    chosen = seen.ids[:: -(-len(seen) // POOLED_RUNS)]
    found = [each for each in gather(seen, skip, curves, set(chosen))[0] if each]
    if not found:
        raise Declined("no training run has a whole curve and planned learning rates")
    return found


def gather(
    seen: Observations,
    skip: float,
    curves: Sequence[Floats] = (),
    only: Collection[str] | None = None,
) -> tuple[list[Runs | None], dict[str, str]]:
    """Return the usable runs of each block, if any, and why others are not, by id.

    Args:
        seen: Observations.
        skip: Share of the window's epochs, the first, that is left out.
        curves: `[N, E]` a block, what came after the window; none if not known.
        only: Ids to look at; None for all.

    Raises:
        Declined: The task does not show the planned rates.
    """
    found: list[Runs | None] = []
    reasons: dict[str, str] = {}
    for number, block in enumerate(seen.blocks):
        planned = seen.planned[number]
        if planned is None:
            raise Declined("needs the planned learning rates, which are not shown")
        first = left_out(block.num_epochs, skip, MIN_POINTS)
        loss = block.epoch_means()[:, first:]
        shares = _shares(planned, block.steps_per_epoch)
        # a sum of 0 at the first epoch that counts has no logarithm
        dark = ~(shares[:, : first * _cuts(block) + 1].sum(axis=1) > 0)
        lost = ~(np.isfinite(loss) & (loss > 0)).all(axis=1)
        short = np.full(len(block), block.num_epochs < MIN_POINTS)
        cases = {TOO_SHORT: short, NO_RATES: dark, NOT_FINITE: lost}
        for reason, rows in reversed(cases.items()):
            reasons |= {block.run_ids[row]: reason for row in np.flatnonzero(rows)}
        asked = [only is None or name in only for name in block.run_ids]
        rows = np.flatnonzero(~(short | dark | lost) & asked)
        if not len(rows):
            found.append(None)
            continue
        seen_epochs = np.arange(first, block.num_epochs) + 1
        later = ahead(seen, block)
        truth = np.empty((len(rows), 0))
        if len(curves):
            thin = np.unique(np.linspace(0, len(later) - 1, JUDGED_EPOCHS).astype(int))
            later, truth = later[thin], curves[number][rows][:, thin]
        epochs = np.concatenate([seen_epochs, later])
        found.append(_runs(block, rows, loss[rows], truth, shares[rows], epochs))
    return found, reasons


def pool(
    law: Law,
    start: Floats,
    bounds: tuple[Floats, Floats],
    runs: list[Runs],
    pull: Floats | float = 0.0,
) -> Floats:
    """Return the parameters with which the law, scaled to the window, forecasts best.

    Minimises the sum over runs and epochs of a loss of ln(forecast / truth) that is
    quadratic within `SCATTER` and linear beyond, by a trust region with numerical
    derivatives (scipy). Where nothing after the window is known, the window is judged.

    Args:
        law: Scales itself to each run.
        start: `[K]`, where the search begins.
        bounds: Lowest and highest values, `[K]` each.
        runs: Of `training_runs`.
        pull: Towards the start: what a distance of 1 from it costs, as a miss in ln L
            at every point; a number or `[K]`.
    """
    from scipy.optimize import least_squares

    def misses(theta: Floats) -> Floats:
        parts = [_misses(law(theta, each), each) for each in runs]
        weight = math.sqrt(sum(map(len, parts)))
        return np.concatenate([*parts, weight * pull * (theta - start)])

    found = least_squares(
        misses, start, bounds=bounds, loss="soft_l1", f_scale=SCATTER, max_nfev=40
    )
    return np.asarray(found.x, np.float64)


def forecast(law: Law, theta: Floats, seen: Observations, skip: float) -> Forecast:
    """Return what the law says of the epochs ahead of each run.

    Raises:
        Declined: The task does not show the planned rates.
    """
    found, reasons = gather(seen, skip)
    curves = []
    for block, runs in zip(seen.blocks, found, strict=True):
        curve = np.full((len(block), len(ahead(seen, block))), np.nan)
        if runs:
            curve[runs.rows] = law(theta, runs)[:, runs.loss.shape[1] :]
        curves.append(curve)
    return Forecast(curves, reasons)


def _misses(law: Floats, runs: Runs) -> Floats:
    """Return ln(forecast / truth) of every judged point of some runs."""
    width = runs.loss.shape[1]
    judged, truth = law[:, :width], runs.loss
    if runs.truth.shape[1]:
        judged, truth = law[:, width:], runs.truth
    lowest = LOWEST * runs.loss[:, -1:]
    return np.asarray(np.log(np.maximum(judged, lowest) / truth).ravel())


def _cuts(block: EarlyCurves) -> int:
    """Return into how many parts an epoch is cut."""
    return min(PARTS, block.steps_per_epoch)


def _shares(planned: Curves32, steps_per_epoch: int) -> Floats:
    """Return rates `[N, parts]` as shares of each run's highest, means over parts.

    NaN where a run's rates are not known; a rest that is no whole epoch is left out.
    """
    cuts = min(PARTS, steps_per_epoch)
    epochs = planned.shape[1] // steps_per_epoch
    edges = np.rint(np.linspace(0, steps_per_epoch, cuts + 1)).astype(np.int64)
    starts = (np.arange(epochs)[:, None] * steps_per_epoch + edges[:-1]).ravel()
    rates = planned[:, : epochs * steps_per_epoch].astype(np.float64)
    sizes = np.tile(np.diff(edges), epochs)
    means = np.add.reduceat(rates, starts, axis=1) / sizes
    highest = planned.max(axis=1, keepdims=True).astype(np.float64)
    shares: Floats = np.full_like(means, np.nan)
    return np.asarray(np.divide(means, highest, out=shares, where=highest > 0))


def _runs(
    block: EarlyCurves,
    rows: npt.NDArray[np.int64],
    loss: Floats,
    truth: Floats,
    shares: Floats,
    epochs: npt.NDArray[np.int64],
) -> Runs:
    """Return runs with the terms of their schedules at the given epochs."""
    cuts = _cuts(block)
    # the end of an epoch's first part is its middle
    at = (epochs - 1) * cuts + 1
    plans, schedule = np.unique(shares, axis=0, return_inverse=True)
    parts = [gather_terms(plan, at) for plan in plans]
    terms = _in_epochs(join_terms(parts), cuts)
    sums = terms.sums.reshape(len(plans), len(at))[schedule]
    last = loss.shape[1] - 1
    log_sums = np.log(sums / sums[:, last : last + 1])
    return Runs(rows, loss, truth, log_sums, terms, schedule.ravel())


def _in_epochs(terms: Terms, cuts: int) -> Terms:
    """Return terms whose sums count epochs instead of parts of them."""
    return dataclasses.replace(
        terms, sums=terms.sums / cuts, log_tail=terms.log_tail - np.log(cuts)
    )
