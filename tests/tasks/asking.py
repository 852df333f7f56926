"""A task of the tests, and predictors that behave as told."""

import numpy as np

from harness.errors import Declined
from harness.spec import Part
from tasks.base import Task, Visibility
from tasks.prediction import Prediction


def task(kind="value", name="final.test_accuracy", **changes):
    targets = {
        "value": Part("column", {"name": name}),
        "probability": Part("failed_to_learn", {"below": 0.9}),
        "curve": Part("remaining_curve", {"after": 0.4}),
    }
    until = changes.pop("until", 0.4)
    visibility = Visibility(until=until, **changes.pop("visibility", {}))
    return Task(
        **{
            "name": "test/w40",
            "version": "1",
            "question": "How does it end?",
            "kind": kind,
            "target": targets[kind],
            "visibility": visibility,
            "split": Part("grouped_folds", {"folds": 3}),
            "metrics": ("mae",),
        }
        | changes
    )


class Recorder:
    """Answers zero and keeps what it was given, for a test to look at."""

    seen: list = []  # noqa: RUF012

    def fit(self, observations, targets):
        Recorder.seen.append((observations, targets))
        return self

    def predict(self, observations):
        return np.zeros(len(observations))


class Narrow(Recorder):
    uses = ("val_loss",)
    reads_settings = False


class Unwilling:
    def fit(self, observations, targets):
        raise Declined("no curvature is recorded")

    def predict(self, observations):
        return np.zeros(len(observations))


class Choosy:
    """Declines every other example, for a reason of its own or none."""

    def fit(self, observations, targets):
        return self

    def predict(self, observations):
        mean = np.where(np.arange(len(observations)) % 2, np.nan, 0.5)
        return Prediction(mean=mean, reasons={observations.ids[1]: "too short"})


class Answering:
    """Answers with what it was made of."""

    def __init__(self, *, mean=0.5, quantiles=None, shape=None):
        self.mean, self.quantiles, self.shape = mean, quantiles, shape

    def fit(self, observations, targets):
        return self

    def predict(self, observations):
        n = len(observations)
        quantiles = self.quantiles
        if quantiles is not None:
            quantiles = np.tile(quantiles, (n, 1))
        return Prediction(mean=np.full(self.shape or n, self.mean), quantiles=quantiles)


class Crashing:
    def fit(self, observations, targets):
        raise ZeroDivisionError("one over nothing")

    def predict(self, observations):
        return np.zeros(len(observations))


class Flat:
    """Continues curves with a constant."""

    def fit(self, observations, targets):
        return self

    def predict(self, observations):
        return Prediction(
            curves=tuple(
                np.full((len(block), len(observations.remaining_epochs(block))), 0.7)
                for block in observations.blocks
            )
        )


class Picky(Answering):
    """Crashes at windows of 20 %, declines curves."""

    def fit(self, observations, targets):
        if observations.asked.kind == "curve":
            raise Declined("no curve")
        if observations.asked.until == 0.2:
            raise ZeroDivisionError("one over nothing")
        return self
