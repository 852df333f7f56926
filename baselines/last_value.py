"""Nothing changes any more: the last value of what is asked for."""

from typing import Final, Self

import numpy as np
import numpy.typing as npt

from baselines.methods.mapping import Mapping, finished, is_share, strata_quantiles
from baselines.methods.numbers import Numbers, by_id, numbers
from harness.early.curves import EarlyCurves
from harness.errors import Declined
from harness.measure import Floats
from tasks.observations import Asked, Observations
from tasks.prediction import PREDICTORS, Prediction, Targets

NO_LOSS: Final = "no finite training loss in the last epoch of the window"
NO_EVALUATION: Final = "the last evaluation in the window is missing or not finite"


@PREDICTORS.register("last_value")
class LastValue:
    """Answers as if the run stayed as it is at the end of the window.

    An accuracy (also out of distribution): the last `val_accuracy`.
    A loss, or its logarithm: the last `val_loss`; where the task does not show it, the
    last training loss, so that loss2loss has the identity.
    A curve: the last training loss at every remaining epoch.
    A plateau: the end of the window, since everything stands still from there on.
    The last good checkpoint: the end of the run, so that only the last is kept.
    A probability of failure: 1 where there was a training loss but no finite one in
    the last epoch; of the other runs what the training runs say of their last training
    loss (`Mapping`, the only mean that is learned).

    The last training loss is the mean of the finite ones among the last steps of the
    window, an epoch of them or all there are. Quantiles are the errors of the last
    values of the training runs. Other targets have no last value: declined.
    """

    uses = ("val_loss", "val_accuracy")
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn the errors of last values."""
        asked = observations.asked
        if asked.kind == "probability":
            loss = _last_losses(observations)
            self.mapping = Mapping(asked.kind).fit(loss, targets.values, targets.groups)
        elif asked.kind == "value":
            values = last_values(observations).values
            known = np.isfinite(values)
            self.truth, self.values = targets.values[known], values[known]
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the last values."""
        asked = observations.asked
        if asked.kind == "curve":
            return _held(observations)
        if asked.kind == "probability":
            return self._failures(observations)
        values, reasons = last_values(observations)
        spread = None
        if len(self.values):
            spread = strata_quantiles(self.truth, self.values, asked.levels, values)
        return finished(asked, values, spread, reasons)

    def _failures(self, seen: Observations) -> Prediction:
        """Return probabilities; 1 for a run whose loss has stopped."""
        chance = self.mapping.predict(_last_losses(seen))
        began = by_id(seen, [_begun(block) for block in seen.blocks])
        found = numbers(seen, np.where(began & np.isnan(chance), 1, chance), NO_LOSS)
        return finished(seen.asked, found.values, None, found.reasons)


def last_values(seen: Observations) -> Numbers:
    """Return the last value of what is asked for, a number and no curve.

    Raises:
        Declined: It has none, or the task does not show it.
    """
    target = seen.asked.target
    if target.name == "plateau":
        ends = [np.full(len(b), b.end / b.steps_per_epoch) for b in seen.blocks]
        return Numbers(by_id(seen, ends), {})
    if target.name == "last_good_checkpoint":
        return Numbers(np.ones(len(seen)), {})
    if _is_loss(seen.asked):
        return _loss(seen, log=bool(target.params.get("log", False)))
    if target.name == "column" and is_share(seen.asked):
        return _evaluated(seen, "val_accuracy")
    what = f"{target.name} {target.params.get('name', '')}".strip()
    raise Declined(f"there is no last value of {what!r} on the curves")


def _is_loss(asked: Asked) -> bool:
    """Tell whether the mean loss on some images is asked for, or its logarithm."""
    name = str(asked.target.params.get("name", ""))
    column = asked.target.name == "column" and name.endswith("_loss")
    return column or asked.target.name == "ood_loss"


def _loss(seen: Observations, *, log: bool) -> Numbers:
    """Return the last validation loss, or the last training loss, perhaps as ln."""
    if all("val_loss" in block.recorded for block in seen.blocks):
        values, reason = _evaluated(seen, "val_loss").values, NO_EVALUATION
    else:
        values, reason = _last_losses(seen), NO_LOSS
    usable = values > 0
    logs = np.log(np.where(usable, values, 1.0))
    return numbers(seen, np.where(usable, logs, np.nan) if log else values, reason)


def _evaluated(seen: Observations, signal: str) -> Numbers:
    """Return the last finite value of a recorded signal."""
    column = f"last/{signal}"
    if column not in seen.early.columns:
        raise Declined(f"the task or the corpus does not show {signal!r}")
    values = seen.early[column].fill_null(float("nan")).to_numpy()
    return numbers(seen, values, NO_EVALUATION)


def last_losses(block: EarlyCurves) -> Floats:
    """Return the mean of the finite losses of the window's last epoch, `[N]`.

    Example:
        Losses 2, 2, 1, 0.5 and 7 with S = 2: 3.75.
    """
    tail = block.loss[:, max(block.end - block.steps_per_epoch, 0) :].astype(np.float64)
    finite = np.isfinite(tail)
    count = finite.sum(axis=1)
    total = np.where(finite, tail, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _last_losses(seen: Observations) -> Floats:
    """Return them in the order of the ids, `[n]`."""
    return by_id(seen, [last_losses(block) for block in seen.blocks])


def _begun(block: EarlyCurves) -> npt.NDArray[np.bool_]:
    """Return which runs have any training loss, `[N]`."""
    return np.asarray(np.isfinite(block.loss).any(axis=1))


def _held(seen: Observations) -> Prediction:
    """Return the last training loss for every remaining epoch."""
    curves: list[Floats] = []
    reasons: dict[str, str] = {}
    for block in seen.blocks:
        last, epochs = last_losses(block), len(seen.remaining_epochs(block))
        curves.append(np.repeat(last[:, None], epochs, axis=1))
        lost = np.flatnonzero(~np.isfinite(last)).tolist()
        reasons |= {block.run_ids[row]: NO_LOSS for row in lost}
    return Prediction(curves=tuple(curves), reasons=reasons)
