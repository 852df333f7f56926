"""Going on as other runs did: what the baselines share that learn from whole curves.

Runs of different length compare by the share of the run: half of 10 epochs is half of
50.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from baselines.last_value import NO_LOSS, last_losses
from harness.early.curves import EarlyCurves
from harness.measure import Floats
from tasks.observations import Observations
from tasks.prediction import Prediction, Targets

POINTS: Final = 16
"""Of a curve in the window, at equal distances."""


def shapes(block: EarlyCurves, until: float) -> Floats:
    """Return ln of the epoch-mean loss over the window, `[N, POINTS]`.

    The means of the whole epochs, at the shares of their middles, are joined by
    straight lines; before the first and after the last they go on level. Where the
    window has no whole epoch, everything is one mean. NaN without a positive mean.

    Args:
        block: Curves up to the window.
        until: Share of the run that is seen.

    Example:
        Losses that stay at 1 nat: zeros.
    """
    size = block.steps_per_epoch
    losses = block.loss[:, : block.num_epochs * size].astype(np.float64)
    if block.num_epochs:
        parts = losses.reshape(len(block), block.num_epochs, size)
        finite = np.isfinite(parts)
        total = np.where(finite, parts, 0.0).sum(axis=2)
        with np.errstate(invalid="ignore"):  # 0 / 0: an epoch without a finite loss
            means = total / finite.sum(axis=2)
        shares = (block.epoch_axis() * size) / block.num_steps
    else:
        means, shares = last_losses(block)[:, None], np.array([until])
    at = (np.arange(POINTS) + 0.5) / POINTS * until
    found = np.full((len(block), POINTS), np.nan)
    for row, each in enumerate(means):
        known = np.isfinite(each) & (each > 0)
        if known.any():
            found[row] = np.interp(at, shares[known], np.log(each[known]))
    return found


def last_logs(block: EarlyCurves) -> Floats:
    """Return ln of the mean loss at the end of the window, `[N]`; NaN: none."""
    last = last_losses(block)
    usable = last > 0
    return np.where(usable, np.log(np.where(usable, last, 1.0)), np.nan)


def shares(seen: Observations, block: EarlyCurves) -> Floats:
    """Return where the remaining epochs end, as shares of the run, `[E]`."""
    epochs = seen.remaining_epochs(block)
    return epochs * block.steps_per_epoch / block.num_steps


class Continuations:
    """How the training runs went on, as ln of the loss over the last one in the window.

    Args:
        seen: Training runs.
        targets: Their remaining curves.
    """

    def __init__(self, seen: Observations, targets: Targets) -> None:
        self.until = seen.asked.until
        self.ways: dict[str, tuple[Floats, Floats]] = {}
        for block, curves in zip(seen.blocks, targets.curves, strict=True):
            ways = np.log(curves) - last_logs(block)[:, None]
            at = shares(seen, block)
            self.ways |= {
                name: (at, way) for name, way in zip(block.run_ids, ways, strict=True)
            }

    def along(self, ids: Sequence[str], at: Floats) -> Floats:
        """Return how some runs went on, `[n, E]`, at the shares `at`; NaN: unknown.

        Straight lines between the epochs, from 0 at the end of the window.
        """
        found = np.full((len(ids), len(at)), np.nan)
        for row, name in enumerate(ids):
            own, way = self.ways[name]
            if np.isfinite(way).all() and len(way):
                places = np.concatenate([[self.until], own])
                found[row] = np.interp(at, places, np.concatenate([[0.0], way]))
        return found


def continued(
    seen: Observations, weights: Floats, ids: Sequence[str], past: Continuations
) -> Prediction:
    """Return curves that go on as a weighted mean of training runs did, in ln.

    Args:
        seen: Examples to answer for.
        weights: `[n, m]` of the m training runs, of sum 1; a row a example, in the
            order of the ids. NaN: declined.
        ids: `[m]`, the training runs.
        past: How they went on.
    """
    row_of = {name: row for row, name in enumerate(seen.ids)}
    curves: list[Floats] = []
    reasons: dict[str, str] = {}
    for block in seen.blocks:
        rows = [row_of[name] for name in block.run_ids]
        ways = past.along(ids, shares(seen, block))
        logs = last_logs(block)
        curves.append(np.exp(logs[:, None] + weights[rows] @ ways))
        lost = ~np.isfinite(logs + weights[rows].sum(axis=1))
        reasons |= {block.run_ids[i]: NO_LOSS for i in np.flatnonzero(lost).tolist()}
    return Prediction(curves=tuple(curves), reasons=reasons)
