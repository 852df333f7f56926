"""The median of the training runs: what knowing nothing about a run is worth."""

from typing import Self

import numpy as np

from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets


@PREDICTORS.register("median")
class Median:
    """Answers every example with the median and the quantiles of the training targets.

    Where a probability is asked for, with the share of ones, which has the smallest
    Brier score of all constants. Of curves, each remaining epoch has the median over
    the training runs of the same length, or over all of them by share of the run where
    there is none.
    """

    uses = ()
    reads_curves = False
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn the quantiles of the targets."""
        if observations.asked.kind == "curve":
            self.curves = {
                (block.num_steps, block.steps_per_epoch): np.median(curves, axis=0)
                for block, curves in zip(
                    observations.blocks, targets.curves, strict=True
                )
            }
        else:
            probability = observations.asked.kind == "probability"
            middle = np.mean if probability else np.median
            self.mean = float(middle(targets.values))
            self.quantiles = np.quantile(targets.values, observations.asked.levels)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the same for every example."""
        if observations.asked.kind == "curve":
            return self._curves(observations)
        n = len(observations)
        return Prediction(
            mean=np.full(n, self.mean), quantiles=np.tile(self.quantiles, (n, 1))
        )

    def _curves(self, observations: Observations) -> Prediction:
        """Return the training medians; another length is stretched from the first."""
        some = next(iter(self.curves.values()))
        curves = []
        for block in observations.blocks:
            length = (block.num_steps, block.steps_per_epoch)
            size = len(observations.remaining_epochs(block))
            known = self.curves.get(length, some)
            at = np.linspace(0, len(known) - 1, size)
            middle = np.interp(at, np.arange(len(known)), known)
            curves.append(np.tile(middle, (len(block), 1)))
        return Prediction(curves=tuple(curves))
