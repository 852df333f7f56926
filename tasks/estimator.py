"""Any scikit-learn estimator as a predictor: it sees everything visible as numbers."""

import inspect
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from harness.errors import Declined
from tasks.features import Encoder, features
from tasks.observations import Observations
from tasks.prediction import Prediction, Targets


class Estimator:
    """A scikit-learn regressor, classifier or pipeline over the feature table.

    Strings become indicators, missing numbers the median, columns are standardised
    (`tasks.features.Encoder`). A classifier answers with the probability of 1.
    """

    def __init__(self, thing: Any, arguments: Mapping[str, Any]) -> None:
        from sklearn.base import clone

        if isinstance(thing, type):
            self.model = thing(**arguments)
        else:
            self.model = clone(thing).set_params(**arguments)

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Fit the estimator to numbers that are encoded as these examples need."""
        from sklearn.base import is_classifier

        if observations.asked.kind == "curve":
            raise Declined("a scikit-learn estimator forecasts one number, not a curve")
        self.classifies = is_classifier(self.model)
        if self.classifies and observations.asked.kind != "probability":
            raise Declined("a classifier answers tasks that ask for a probability")
        table = features(observations)
        self.encoder = Encoder(complete=True).fit(table)
        self.model.fit(self.encoder.transform(table), targets.values)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return means; probabilities are cut to [0, 1]."""
        numbers = self.encoder.transform(features(observations))
        if self.classifies:
            known = list(self.model.classes_)
            found = self.model.predict_proba(numbers)
            column = known.index(1.0) if 1.0 in known else None
            mean = np.zeros(len(numbers)) if column is None else found[:, column]
        else:
            mean = np.asarray(self.model.predict(numbers), np.float64)
        if observations.asked.kind == "probability":
            mean = np.clip(mean, 0.0, 1.0)
        return Prediction(mean=mean)


def is_estimator(thing: Any) -> bool:
    """Tell whether something is fitted as scikit-learn does it: `fit(X, y)`."""
    from sklearn.base import BaseEstimator

    kind = thing if isinstance(thing, type) else type(thing)
    if not issubclass(kind, BaseEstimator) or not hasattr(kind, "fit"):
        return False
    return list(inspect.signature(kind.fit).parameters)[1:2] == ["X"]
