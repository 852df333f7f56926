"""The training runs whose loss curves look most alike: how they ended, so will this."""

from typing import Final, Self

import numpy as np

from baselines.last_value import NO_LOSS
from baselines.methods.continuation import Continuations, continued, shapes
from baselines.methods.mapping import finished, strata_quantiles
from baselines.methods.numbers import by_id, numbers
from baselines.methods.shrinkage import trust
from harness.errors import Declined
from harness.measure import Floats
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets

FLOOR: Final = 0.1
"""Least distance in a weight, in median distances to the nearest run: a twin among the
training runs does not outvote all others."""


@PREDICTORS.register("nearest_curves")
class NearestCurves:
    """Answers with the weighted mean of the k nearest training runs.

    The distance of two runs is the root mean square difference of their ln epoch-mean
    training losses in the window over the share of the run (`continuation.shapes`);
    weights are inverse distances. k has the least error (absolute; squared of
    probabilities) on the training runs, each answered without its own family.
    Quantiles are those of these errors, `mapping.strata_quantiles`; probabilities are
    stretched about the share of ones as they say (`methods.shrinkage`). Curves go on
    as those of the neighbours did, in ln, from the run's own last loss.

    Args:
        neighbours: Values of k that are tried, ascending.

    Cost: 0.1 s for 350 runs: one matrix of distances.
    """

    uses = ()
    reads_settings = False

    def __init__(self, *, neighbours: tuple[int, ...] = (1, 3, 5, 10, 20)) -> None:
        self.neighbours = neighbours

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Keep the training curves and choose k."""
        asked, every = observations.asked, _shapes(observations)
        truth = targets.values
        if asked.kind == "curve":
            self.past = Continuations(observations, targets)
            middle = np.linspace(asked.until, 1.0, 9)[1:]
            truth = self.past.along(observations.ids, middle)
        known = np.isfinite(every).all(axis=1)
        if truth.ndim == 2:
            known &= np.isfinite(truth).all(axis=1)
        family = np.unique(np.asarray(targets.groups), return_inverse=True)[1][known]
        if len(set(family.tolist())) < 2:
            raise Declined("fewer than two training families have a finite loss curve")
        self.shapes, self.truth = every[known], truth[known]
        self.ids = tuple(np.array(observations.ids)[known].tolist())
        apart = _distances(self.shapes, self.shapes)
        apart[family[:, None] == family] = np.inf
        self.floor = max(FLOOR * float(np.median(apart.min(axis=1))), 1e-9)
        power = 2 if asked.kind == "probability" else 1
        best = np.inf
        for k in self.neighbours:
            held_out = self._weights(apart, k) @ self.truth
            error = float(np.mean(np.abs(held_out - self.truth) ** power))
            if error < best:
                best, self.k, self.held_out = error, k, held_out
        if asked.kind == "probability":
            self.trust = trust(self.truth, self.held_out)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return what the nearest runs say."""
        asked, found = observations.asked, _shapes(observations)
        known = np.isfinite(found).all(axis=1)
        weights = np.full((len(found), len(self.shapes)), np.nan)
        weights[known] = self._weights(_distances(found[known], self.shapes), self.k)
        if asked.kind == "curve":
            return continued(observations, weights, self.ids, self.past)
        mean = (weights * self.truth).sum(axis=1)
        reasons = numbers(observations, mean, NO_LOSS).reasons
        if asked.kind == "probability":
            prior = self.truth.mean()
            return finished(asked, prior + self.trust * (mean - prior), None, reasons)
        spread = strata_quantiles(self.truth, self.held_out, asked.levels, mean)
        return finished(asked, mean, spread, reasons)

    def _weights(self, apart: Floats, k: int) -> Floats:
        """Return weights `[n, m]` of sum 1 from distances; not finite: no neighbour."""
        order = np.argsort(apart, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(apart, order, axis=1)
        weights = np.zeros_like(apart)
        np.put_along_axis(weights, order, 1 / np.maximum(near, self.floor), axis=1)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _shapes(seen: Observations) -> Floats:
    """Return the curves in the order of the ids, `[n, POINTS]`."""
    found = by_id(seen, [shapes(block, seen.asked.until) for block in seen.blocks])
    return np.asarray(found, np.float64)


def _distances(these: Floats, those: Floats) -> Floats:
    """Return root mean square differences, `[n, m]`."""
    apart = np.empty((len(these), len(those)))
    for row, one in enumerate(these):
        apart[row] = np.sqrt(np.mean((those - one) ** 2, axis=1))
    return apart
