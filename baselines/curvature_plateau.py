"""The largest curvature stops rising: does its plateau tell how a run ends?"""

from collections.abc import Mapping as Dict
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from baselines.methods.mapping import Mapping, finished, one_number
from harness.errors import Declined
from harness.measure import Floats
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets

CURVATURE: Final = "lambda_1"
FEWEST: Final = 20
"""Training runs with a plateau (or without) from which a mapping of their own is
learned."""
NO_CURVATURE: Final = "lambda_1 has no positive value in the window"


@PREDICTORS.register("curvature_plateau")
class CurvaturePlateau:
    """Answers from the level at which ln lambda_1 stands still, or from its last value.

    A run whose lambda_1 reaches a plateau in the window (`harness.fits.plateau`, with
    its defaults) is answered from the plateau's ln lambda_1, any other from the last
    ln lambda_1, each by a `Mapping` learned from runs of its kind, from all of them
    where fewer than 20 are of its kind. Where the time of the plateau is asked for,
    a plateau in the window is the answer; without one, the mapping says it.
    """

    uses = (CURVATURE,)
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn a mapping for runs with a plateau, and one for those without."""
        asked = observations.asked
        one_number(asked, "curvature_plateau")
        level, last, _ = _curvature(observations)
        if not np.isfinite(last).any():
            raise Declined(f"no training run: {NO_CURVATURE}")
        at = np.where(np.isfinite(level), level, last)
        self.mappings: Dict[bool, Mapping] = {
            own: Mapping(asked.kind).fit(
                *_of_kind(np.isfinite(level) == own, at, targets)
            )
            for own in (False, True)
        }
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return what the curvature says."""
        asked = observations.asked
        level, last, time = _curvature(observations)
        settled = np.isfinite(level)
        mean = np.full(len(observations), np.nan)
        spread = np.full((len(observations), len(asked.levels)), np.nan)
        for own, mapping in self.mappings.items():
            rows = settled == own
            at = (level if own else last)[rows]
            mean[rows] = mapping.predict(at)
            spread[rows] = mapping.quantiles(at, asked.levels)
        if asked.target.name == "plateau":
            mean[settled] = time[settled]
            spread[settled] = time[settled, None]
        lost = np.flatnonzero(~np.isfinite(mean)).tolist()
        reasons = {observations.ids[row]: NO_CURVATURE for row in lost}
        return finished(asked, mean, spread, reasons)


def _curvature(seen: Observations) -> tuple[Floats, Floats, Floats]:
    """Return ln lambda_1 on the plateau, the last one, and the plateau's epoch."""
    level, time, last = (
        _column(seen, name)
        for name in ("plateau.lambda", "plateau.t_plateau", f"last/{CURVATURE}")
    )
    return _logs(level), _logs(last), time


def _column(seen: Observations, name: str) -> Floats:
    """Return an early signal `[n]`; NaN where there is none."""
    if name not in seen.early.columns:
        return np.full(len(seen), np.nan)
    return seen.early[name].fill_null(float("nan")).to_numpy()


def _logs(values: Floats) -> Floats:
    """Return logarithms; NaN of what has none."""
    usable = values > 0
    return np.where(usable, np.log(np.where(usable, values, 1.0)), np.nan)


def _of_kind(
    kind: npt.NDArray[np.bool_], at: Floats, targets: Targets
) -> tuple[Floats, Floats, list[str]]:
    """Return numbers, targets and labels of the runs of a kind, or of all of them."""
    rows = np.flatnonzero(kind & np.isfinite(at))
    groups = [targets.groups[row] for row in rows.tolist()]
    if len(rows) < FEWEST or len(set(groups)) < 2:
        return at, targets.values, list(targets.groups)
    return at[rows], targets.values[rows], groups
