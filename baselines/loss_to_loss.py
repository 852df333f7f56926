"""Loss to loss: a shifted power law from the training loss to another loss."""

from typing import Final, Self

import numpy as np
import numpy.typing as npt

from baselines.last_value import last_losses
from baselines.methods.mapping import finished, grouped_out_of_fold, strata_quantiles
from baselines.methods.numbers import by_id
from harness.errors import Declined
from harness.fits.loss_to_loss import fit_free_floors, shifted_power_law
from harness.measure import OK, Estimates, Floats
from tasks.observations import Asked, Observations
from tasks.prediction import PREDICTORS, Prediction, Targets

NO_LOSS: Final = "no finite training loss in the last epoch of the window"
BELOW: Final = "the training loss lies below the floor E0 of the training runs"


@PREDICTORS.register("loss_to_loss")
class LossToLoss:
    """Answers with L1 = K (L0 - E0)^kappa + E1, fitted to the training runs.

    L0 is the mean training loss of the last epoch seen, L1 the loss that is asked for,
    or whose logarithm is. All four parameters are fitted where the runs determine
    them, else E0 is 0, which is where the loss on few training images goes. Quantiles
    are those of the residuals of held-out families, in the unit of the target.

    On the reference corpora the mean running loss foretold the losses of the lowest
    runs better than `train_loss_eval`, the loss on training images without
    augmentation, which also has to be paid for; so that is not used.

    Declined: targets that are no loss; training runs that do not determine the law; a
    run without a finite training loss, or with one below E0.

    Source: Brandfonbrener et al., arXiv 2411.12925, language models of many sizes with
    floors from scaling laws; here runs at their ends.
    """

    uses = ()
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Fit the law to the training runs."""
        asked = observations.asked
        if not _is_loss(asked):
            raise Declined(
                "goes from loss to loss, but the target is "
                f"{asked.target.params.get('name', asked.target.name)}"
            )
        self.log = bool(asked.target.params.get("log", False))
        x = _last(observations)
        known = np.isfinite(x) & np.isfinite(targets.values)
        self.x, self.y = x[known], targets.values[known]
        groups = [g for g, used in zip(targets.groups, known, strict=True) if used]
        self.law = self._fit(self.x, self.y)
        if not self.law.ok[0]:
            raise Declined(f"loss_to_loss: {self.law.status[0]}, {len(self.x)} runs")
        self.held_out = grouped_out_of_fold(self._once, self.x, self.y, groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the losses that the law implies."""
        x = _last(observations)
        mean = self._at(self.law, x)
        reasons = dict.fromkeys(_names(observations, np.isnan(x)), NO_LOSS)
        sunk = np.isnan(mean) & np.isfinite(x)
        reasons |= dict.fromkeys(_names(observations, sunk), BELOW)
        fair = np.isfinite(self.held_out)
        levels, spread = observations.asked.levels, None
        if fair.any():
            truth, held_out = self.y[fair], self.held_out[fair]
            spread = strata_quantiles(truth, held_out, levels, mean)
        return finished(observations.asked, mean, spread, reasons)

    def _fit(self, x: Floats, y: Floats) -> Estimates:
        """Return the law of one row."""
        loss = (np.exp(y) if self.log else y)[None]
        law = fit_free_floors(x, loss)
        return law if law.status[0] == OK else fit_free_floors(x, loss, e0=0.0)

    def _at(self, law: Estimates, x: Floats) -> Floats:
        """Return the targets that a law implies, NaN where it has none."""
        parameters = [law[name] for name in ("kappa", "k", "e0", "e1")]
        loss = shifted_power_law(x, *parameters)
        positive = np.where(loss > 0, loss, np.nan)
        return np.log(positive) if self.log else positive

    def _once(self, x: Floats, y: Floats, at: Floats) -> Floats:
        return self._at(self._fit(x, y), at)


def _is_loss(asked: Asked) -> bool:
    """Tell whether a mean loss is asked for, or its logarithm."""
    if asked.kind != "value":
        return False
    name = str(asked.target.params.get("name", ""))
    column = asked.target.name == "column" and name.endswith("_loss")
    return column or asked.target.name == "ood_loss"


def _last(seen: Observations) -> Floats:
    """Return the mean training loss of the last epoch seen, `[n]`."""
    values = by_id(seen, [last_losses(block) for block in seen.blocks])
    return np.where(values > 0, values, np.nan)


def _names(seen: Observations, rows: npt.NDArray[np.bool_]) -> list[str]:
    """Return the ids of some rows."""
    return [seen.ids[row] for row in np.flatnonzero(rows).tolist()]
