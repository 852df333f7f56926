"""Ridge regression whose penalty is chosen by held-out families: shared by baselines.

For more than one number a run; for one there is `baselines.methods.mapping.Mapping`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from baselines.methods.mapping import (
    finished,
    grouped_out_of_fold,
    squeezed,
    strata_quantiles,
    stretched,
)
from harness.measure import Floats
from tasks.observations import Asked
from tasks.prediction import Prediction

PENALTIES: Final = np.logspace(-4, 2, 13)
"""Shares of the number of runs, for columns of variance 1."""


class Ridge:
    """Learns a target from several numbers a run, all of them finite.

    Formula: minimises |y - m - Z b|^2 + n p |b|^2, where Z are the columns with mean 0
    and variance 1 over the training runs; p has the least error (absolute, or squared
    for probabilities) in grouped folds. Accuracies are learned as logits
    (`mapping.stretched`). Answers stay in the range of the training targets; quantiles
    are `mapping.strata_quantiles`.

    Args:
        asked: Of the observations; a number is asked for, no curve.

    Cost: 6 small singular value decompositions, 10 ms for 350 runs and 30 columns.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def fit(
        self, rows: npt.NDArray[Any], y: npt.NDArray[Any], groups: Sequence[str]
    ) -> Self:
        """Learn.

        Args:
            rows: Numbers `[n, C]`.
            y: Targets `[n]`.
            groups: `[n]`, labels; equal ones are kept in one fold.

        Raises:
            Declined: All runs are of one family.
        """
        self.rows, self.y = rows, y
        held_out = grouped_out_of_fold(self._answers, rows, y, groups)
        power = 2 if self.asked.kind == "probability" else 1
        errors = np.mean(np.abs(held_out - y[:, None]) ** power, axis=0)
        self.best = int(np.argmin(errors))
        self.held_out = held_out[:, self.best]
        return self

    def predict(self, rows: npt.NDArray[Any]) -> Floats:
        """Return the means `[m]`."""
        found: Floats = self._answers(self.rows, self.y, rows)[:, self.best]
        return found

    def answer(
        self, rows: npt.NDArray[Any], reasons: Mapping[str, str] | None = None
    ) -> Prediction:
        """Return means and quantiles in the form that a predictor returns.

        Args:
            rows: Numbers `[m, C]`.
            reasons: Why an example is declined, by id.
        """
        mean = self.predict(rows)
        spread = strata_quantiles(self.y, self.held_out, self.asked.levels, mean)
        return finished(self.asked, mean, spread, reasons)

    def _answers(self, rows: Floats, y: Floats, at: Floats) -> Floats:
        """Return the answers `[m, P]` with each penalty."""
        found = _every_penalty(rows, stretched(self.asked, y), at)
        return np.clip(squeezed(self.asked, found), y.min(), y.max())


def _every_penalty(rows: Floats, y: Floats, at: Floats) -> Floats:
    """Return the least squares `[m, P]` under each penalty, in the range of `y`."""
    center, spread = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(spread > 1e-12 * (1 + np.abs(center)), spread, 1.0)
    u, size, vt = np.linalg.svd((rows - center) / spread, full_matrices=False)
    shrunk = size[:, None] / (size[:, None] ** 2 + len(y) * PENALTIES)  # [R, P]
    weights = vt.T @ (shrunk * (u.T @ (y - y.mean()))[:, None])  # [C, P]
    found = y.mean() + (at - center) / spread @ weights
    return np.asarray(np.clip(found, y.min(), y.max()))
