"""Hyper-parameters only, boosted trees: the control that clever signals must beat."""

from typing import Any, Self

import numpy as np

from baselines.hyper_ridge import hyper_parameters
from baselines.methods.mapping import (
    finished,
    grouped_out_of_fold,
    one_number,
    squeezed,
    strata_quantiles,
    stretched,
)
from harness.measure import Floats
from harness.seeds import derive
from tasks.features import Encoder
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets


@PREDICTORS.register("hyper_boosting")
class HyperBoosting:
    """Gradient boosting of small trees (scikit-learn) on the settings alone.

    Accuracies are learned as logits (`mapping.stretched`), which on 72 to 432 digits
    runs was as good as absolute errors in half the time. Quantiles come from three
    grouped folds, `mapping.strata_quantiles`.

    Args:
        iterations: Trees.
        folds: Fits for the quantiles.
        seed: Of scikit-learn; no part of the fit is random.
    """

    uses = ()
    reads_curves = False

    def __init__(self, *, iterations: int = 100, folds: int = 3, seed: int = 0) -> None:
        self.iterations = iterations
        self.folds = folds
        self.seed = seed

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Grow the trees, and those of the folds."""
        one_number(observations.asked, "hyper_boosting")
        table = hyper_parameters(observations)
        self.encoder = Encoder().fit(table)
        rows, self.y = self.encoder.transform(table), targets.values
        self.model = self._grown(rows, stretched(observations.asked, self.y))

        def once(rows: Floats, y: Floats, at: Floats) -> Floats:
            found = self._grown(rows, stretched(observations.asked, y)).predict(at)
            return squeezed(observations.asked, found)

        self.held_out = grouped_out_of_fold(
            once, rows, self.y, targets.groups, self.folds
        )
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return what the settings say."""
        asked = observations.asked
        rows = self.encoder.transform(hyper_parameters(observations))
        found = squeezed(asked, self.model.predict(rows))
        mean = np.clip(found, self.y.min(), self.y.max())
        spread = strata_quantiles(self.y, self.held_out, asked.levels, mean)
        return finished(asked, mean, spread)

    def _grown(self, rows: Floats, y: Floats) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        model = HistGradientBoostingRegressor(
            learning_rate=0.1,
            max_iter=self.iterations,
            max_leaf_nodes=8,
            min_samples_leaf=5,
            early_stopping=False,
            random_state=derive(self.seed, "hyper_boosting") % 2**32,
        )
        known = np.isfinite(rows).any(axis=0)
        model.fit(np.where(known, rows, 0.0), y)  # scikit-learn fails on empty columns
        return model
