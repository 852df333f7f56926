"""Zero: no run deviates from its replicates, which is all that settings can say."""

from typing import Self

import numpy as np

from baselines.methods.mapping import residual_quantiles
from harness.errors import Declined
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets


@PREDICTORS.register("zero")
class Zero:
    """Answers every example with 0 where a deviation from replicates is asked for.

    Quantiles are those of the training targets. Other targets are declined: 0 is no
    sensible answer to them.
    """

    uses = ()
    reads_curves = False
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn how far runs deviate."""
        asked = observations.asked
        if asked.target.name != "deviation":
            raise Declined("zero answers deviations from replicates only")
        self.spread = residual_quantiles(
            targets.values, np.zeros(len(targets.values)), asked.levels
        )
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the same for every example."""
        n = len(observations)
        return Prediction(mean=np.zeros(n), quantiles=np.tile(self.spread, (n, 1)))
