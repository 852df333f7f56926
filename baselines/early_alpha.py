"""Early alpha: the exponent of the power law that the loss falls by."""

from collections.abc import Callable
from typing import Final, Self

import numpy as np

from baselines.methods.mapping import Mapping, one_number
from baselines.methods.numbers import Numbers, estimated
from harness.early.curves import EarlyCurves
from harness.early.power_law import burn_in_power_law, power_law
from harness.fits.power_law import fit_power_law
from harness.measure import Estimates
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets


@PREDICTORS.register("early_alpha")
class EarlyAlpha:
    """Answers with what the training runs say of alpha in L = c t^-alpha (`Mapping`).

    Three fits are known: to the means of the epochs 5 to 15 (`power_law`), to those
    from the end of burn-in on (`burn_in_power_law`), and to the losses of all steps
    that are seen. One of them serves all runs, as their exponents do not compare: the
    one that exists for most training runs, the first of equals. So it is the first
    where the window reaches epoch 10, and the last where it ends much before. A run
    without an exponent is declined with the status of the fit.
    """

    uses = ()
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Choose the window of the fit and learn the mapping."""
        one_number(observations.asked, "early_alpha")
        found = [_alpha(observations, law) for law in LAWS]
        counts = [np.isfinite(each.values).sum() for each in found]
        best = int(np.argmax(counts))  # the first of equals
        self.law = LAWS[best]
        self.mapping = Mapping(observations.asked.kind)
        self.mapping.fit(found[best].values, targets.values, targets.groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the targets that the exponents stand for."""
        alpha, reasons = _alpha(observations, self.law)
        return self.mapping.answer(observations.asked, alpha, reasons)


def every_step(block: EarlyCurves) -> Estimates:
    """Fit the power law to the losses of all steps of the window, t in epochs."""
    steps = np.arange(1, block.end + 1) / block.steps_per_epoch
    return fit_power_law(steps, block.loss)


LAWS: Final[tuple[Callable[[EarlyCurves], Estimates], ...]] = (
    power_law,
    burn_in_power_law,
    every_step,
)
"""From the registered signal to what always exists."""


def _alpha(seen: Observations, law: Callable[[EarlyCurves], Estimates]) -> Numbers:
    return estimated(seen, law, "alpha")
