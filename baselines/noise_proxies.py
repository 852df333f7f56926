"""Do the noise of gradients and of the loss tell how a run ends?"""

from typing import Final, Self

import numpy as np

from baselines.methods.mapping import one_number
from baselines.methods.numbers import by_id
from baselines.methods.ridge import Ridge
from harness.errors import Declined
from harness.measure import Floats
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets

PROBED: Final = (
    "gradient_variance",
    "noise_scale",
    "tail_index",
    "dirvar",
    "update_cosine",
    "gradient_cosine",
)
"""Recorded signals: the last value in the window and the mean of all are read."""
OF_LOSS: Final = (
    "psd_slope.slope",
    "psd_slope_steps.slope",
    "band_power.power",
    "band_power.fraction",
    "saw_amplitude",
    "power_law.rss",
    "power_law.rho1",
)
"""Early signals of the per-step training loss: its residuals about a power law."""
NO_NOISE: Final = "none of the noise signals has a value in the window"


@PREDICTORS.register("noise_proxies")
class NoiseProxies:
    """Ridge regression (`baselines.methods.ridge`) on signals of noise.

    A signal that is positive in all training runs enters as its logarithm. A missing
    value becomes the training median, and whether it is missing is a column of its own
    where it tells training runs apart. Values are cut to the range of the training
    runs. An example without any of the signals is declined.
    """

    uses = PROBED
    reads_settings = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn scales, medians and the ridge."""
        one_number(observations.asked, "noise_proxies")
        found = _signals(observations)
        known = np.isfinite(found)
        self.kept = known.any(axis=0)
        if not self.kept.any():
            raise Declined(f"no training run: {NO_NOISE}")
        found, known = found[:, self.kept], known[:, self.kept]
        self.positive = np.where(known, found > 0, True).all(axis=0)
        scaled = self._scaled(found)
        self.low, self.high = np.nanmin(scaled, axis=0), np.nanmax(scaled, axis=0)
        self.middle = np.nanmedian(scaled, axis=0)
        absent, first = np.unique(~known, axis=1, return_index=True)
        self.absent = first[absent.any(axis=0) & ~absent.all(axis=0)]
        self.ridge = Ridge(observations.asked)
        self.ridge.fit(self._rows(scaled), targets.values, targets.groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return what noise says."""
        found = _signals(observations)[:, self.kept]
        lost = np.flatnonzero(~np.isfinite(found).any(axis=1))
        answers = self.ridge.answer(self._rows(self._scaled(found)))
        assert answers.mean is not None
        answers.mean[lost] = np.nan
        if answers.quantiles is not None:
            answers.quantiles[lost] = np.nan
        reasons = {observations.ids[row]: NO_NOISE for row in lost.tolist()}
        return Prediction(
            mean=answers.mean, quantiles=answers.quantiles, reasons=reasons
        )

    def _scaled(self, values: Floats) -> Floats:
        """Return logarithms where the training runs have them; NaN: missing."""
        usable = np.isfinite(values) & ((values > 0) | ~self.positive)
        logs = np.log(np.where(usable & self.positive, values, 1.0))
        return np.where(usable, np.where(self.positive, logs, values), np.nan)

    def _rows(self, scaled: Floats) -> Floats:
        """Return completed columns and indicators of what is missing."""
        missing = np.isnan(scaled)
        whole = np.where(missing, self.middle, np.clip(scaled, self.low, self.high))
        return np.concatenate([whole, missing[:, self.absent]], axis=1)


def _signals(seen: Observations) -> Floats:
    """Return every signal, `[n, C]`, in a fixed order; NaN: no value."""
    table = seen.early
    nothing = np.full(len(seen), np.nan)
    names = [*(f"last/{name}" for name in PROBED), *OF_LOSS]
    columns = [
        table[name].fill_null(float("nan")).to_numpy() if name in table else nothing
        for name in names
    ]
    means = [_means(seen, name) for name in PROBED]
    found = np.stack([*columns, *means], axis=1)
    return np.where(np.isfinite(found), found, np.nan)


def _means(seen: Observations, name: str) -> Floats:
    """Return the mean of a signal's finite values in the window, `[n]`."""
    parts: list[Floats] = []
    for block in seen.blocks:
        found = np.full(len(block), np.nan)
        if curve := block.recorded.get(name):
            rows = np.repeat(np.arange(len(block)), np.diff(curve.offsets))
            finite = np.isfinite(curve.values)
            kept, values = rows[finite], curve.values[finite].astype(np.float64)
            count = np.bincount(kept, minlength=len(block))
            total = np.bincount(kept, values, minlength=len(block))
            found[count > 0] = (total / np.maximum(count, 1))[count > 0]
        parts.append(found)
    return by_id(seen, parts)
