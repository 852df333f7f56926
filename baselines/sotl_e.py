"""SoTL-E: the sum of the training losses of the last epoch seen."""

from typing import Self

from baselines.methods.mapping import Mapping, one_number
from baselines.methods.numbers import Numbers, estimated
from harness.early import losses
from harness.early.curves import EarlyCurves
from harness.measure import Estimates
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets


@PREDICTORS.register("sotl_e")
class SotlE:
    """Answers with what the training runs say of the running loss (`Mapping`).

    The number is `sotl_e.tse`, the sum over the window's last epoch; before the first
    epoch is over `sotl.tse`, the sum over what is seen.

    Source: Ru et al., arXiv 2006.04492, there as a score to rank by, without a mapping.
    """

    uses = ()
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn the mapping."""
        one_number(observations.asked, "sotl_e")
        sums = _sums(observations).values
        self.mapping = Mapping(observations.asked.kind)
        self.mapping.fit(sums, targets.values, targets.groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the targets that the sums stand for."""
        sums, reasons = _sums(observations)
        return self.mapping.answer(observations.asked, sums, reasons)


def _sums(seen: Observations) -> Numbers:
    return estimated(seen, _sum, "tse")


def _sum(block: EarlyCurves) -> Estimates:
    """Return the sum over the last epoch, or over the window if that is shorter."""
    return losses.sotl_e(block) if block.num_epochs else losses.sotl(block)
