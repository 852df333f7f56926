"""Accuracy on the line: the accuracy elsewhere that validation accuracy implies."""

from typing import Final, Self

import numpy as np
import numpy.typing as npt

from baselines.methods.mapping import finished, grouped_out_of_fold, strata_quantiles
from harness.errors import Declined
from harness.fits.on_the_line import fit_line, predict_ood
from harness.measure import Floats
from tasks.observations import Asked, Observations
from tasks.prediction import PREDICTORS, Prediction, Targets

SIGNAL: Final = "val_accuracy"
COLUMN: Final = f"last/{SIGNAL}"
FINE: Final = 1_000_000
"""Accuracies are counted in parts of one by this: the fit takes counts."""
DECIMALS: Final = 6
"""Accuracies are recorded in single precision."""


@PREDICTORS.register("accuracy_on_the_line")
class AccuracyOnTheLine:
    """Answers with Phi(a + b Phi^-1(accuracy)), fitted to the training runs.

    The accuracy is the last `val_accuracy` in the window, the target the final
    accuracy on other images, such as an out-of-distribution set: what a signal of
    robustness has to beat. The line is that of `harness.fits.on_the_line`, where
    accuracies of 0 and 1 are moved by half an image; the number of images is read from
    the accuracies (`images_of`).

    Every run gets an answer: one without a `val_accuracy` the median of the training
    runs, as do all runs where the training runs have no line. Quantiles are those of
    the residuals of held-out families; a single family gives none. Declined: targets
    that are no accuracy.

    Source: Miller et al., arXiv 2107.04649; there at the end of training.
    """

    uses = (SIGNAL,)
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Fit the line to the training runs."""
        if not _is_accuracy(observations.asked):
            target = observations.asked.target
            raise Declined(
                "goes from accuracy to accuracy, but the target is "
                f"{target.params.get('name', target.name)}"
            )
        x, y = _accuracy(observations), targets.values
        self.images, self.ood_images = images_of(x), images_of(y)
        self.x, self.y, self.held_out = x, y, None
        if len(set(targets.groups)) > 1:
            self.held_out = grouped_out_of_fold(self._once, x, y, targets.groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return the accuracies on the line."""
        mean = self._once(self.x, self.y, _accuracy(observations))
        spread = None
        if self.held_out is not None:
            levels = observations.asked.levels
            spread = strata_quantiles(self.y, self.held_out, levels, mean)
        return finished(observations.asked, mean, spread)

    def _once(self, x: Floats, y: Floats, at: Floats) -> Floats:
        """Return the answers of the line through some runs for others."""
        known, asked = np.isfinite(x), np.isfinite(at)
        answers = np.full(len(at), np.median(y))
        if known.any() and asked.any():
            right, ood = _counts(x[known], self.images), _counts(y, self.ood_images)
            line = fit_line(right, FINE, ood[None, known], FINE)
            if line.ok[0]:
                counts = _counts(at[asked], self.images)
                answers[asked] = predict_ood(line, counts, FINE)[0]
        return answers


def images_of(accuracies: Floats) -> int:
    """Return the number of images behind accuracies, if they are shares of one.

    Formula: 1 / the smallest difference between two that differ, 1 if none do.
    NaN is left out.

    Example:
        >>> images_of(np.array([0.25, 0.5, 0.625, np.nan]))
        8
    """
    values = np.unique(accuracies[np.isfinite(accuracies)].round(DECIMALS))
    if len(values) < 2:
        return 1
    return max(round(1 / float(np.diff(values).min())), 1)


def _counts(accuracies: Floats, images: int) -> npt.NDArray[np.int64]:
    """Return accuracies in parts of `FINE`, half an image away from 0 and 1."""
    half = 0.5 / images
    return np.asarray(np.rint(accuracies.clip(half, 1 - half) * FINE), np.int64)


def _accuracy(seen: Observations) -> Floats:
    """Return the last validation accuracy seen, `[n]`; NaN where there is none."""
    if COLUMN not in seen.early.columns:
        return np.full(len(seen), np.nan)
    values = seen.early[COLUMN].fill_null(float("nan")).to_numpy()
    return np.asarray(values, np.float64)


def _is_accuracy(asked: Asked) -> bool:
    """Tell whether a share of images is asked for."""
    name = str(asked.target.params.get("name", ""))
    column = asked.target.name == "column" and name.endswith("_accuracy")
    return asked.kind == "value" and column and not asked.target.params.get("log")
