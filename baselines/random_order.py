"""A negative control: answers drawn blindly from the training targets."""

from typing import Self

import numpy as np

from baselines.methods.mapping import one_number
from harness.seeds import stream
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets


@PREDICTORS.register("random_order")
class RandomOrder:
    """Answers each example with the target of a training run drawn at random.

    It orders runs as a coin would and is spread as the targets are; a score that it
    does well on measures nothing. The draw depends on the seed and the example's name,
    which says nothing about the run, and on no other example.

    Args:
        seed: Of the draws.
    """

    uses = ()
    reads_curves = False
    reads_settings = False

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Keep the targets."""
        one_number(observations.asked, "random_order")
        self.values = targets.values
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the draws."""
        drawn = [
            stream(self.seed, f"random_order/{name}").integers(len(self.values))
            for name in observations.ids
        ]
        return Prediction(mean=self.values[np.array(drawn, np.int64)])
