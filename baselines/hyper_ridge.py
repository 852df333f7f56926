"""Hyper-parameters only, linear: what can be known before a run begins."""

from typing import Final, Self

import numpy as np
import polars as pl

from baselines.methods.mapping import one_number
from baselines.methods.ridge import Ridge
from harness.errors import Declined
from harness.measure import Floats
from tasks.features import Encoder, features
from tasks.observations import Observations, is_setting
from tasks.prediction import PREDICTORS, Prediction, Targets

OPTIMIZER: Final = "optimizer.name"
RATE: Final = "optimizer.lr"


@PREDICTORS.register("hyper_ridge")
class HyperRidge:
    """Ridge regression (`baselines.methods.ridge`) on the settings alone.

    Columns: an indicator for every name; numbers, those that are positive throughout
    as logarithms; and for each optimizer ln of the learning rate, less its mean over
    the training runs of that optimizer, and the square of that, as optimizers have
    base rates of their own and accuracy has its best between too small and too large.
    An optimizer never seen has none of the latter.
    """

    uses = ()
    reads_curves = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Learn how columns are made, then the weights."""
        one_number(observations.asked, "hyper_ridge")
        table = hyper_parameters(observations)
        numeric = table.select(pl.selectors.numeric())
        least = dict(zip(numeric.columns, numeric.min().row(0), strict=True))
        self.positive = [name for name, low in least.items() if (low or 0) > 0]
        self.encoder = Encoder(complete=True).fit(self._logs(table))
        self.bases = _bases(table)
        self.ridge = Ridge(observations.asked)
        self.ridge.fit(self._rows(table), targets.values, targets.groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return what the settings say."""
        rows = self._rows(hyper_parameters(observations))
        return self.ridge.answer(rows)

    def _logs(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table with positive numbers as logarithms; 0 becomes missing."""
        chosen = (pl.col(name).cast(pl.Float64) for name in self.positive)
        return table.with_columns(pl.when(c > 0).then(c.log()) for c in chosen)

    def _rows(self, table: pl.DataFrame) -> Floats:
        """Return the numbers of each example, `[n, C]`."""
        columns = [self.encoder.transform(self._logs(table))]
        for optimizer, base in self.bases.items():
            log = pl.when(pl.col(OPTIMIZER) == optimizer).then(
                pl.col(RATE).log() - base
            )
            away = table.select(log.fill_null(0.0)).to_numpy().astype(np.float64)
            columns += [away, away**2]
        return np.concatenate(columns, axis=1)


def hyper_parameters(seen: Observations) -> pl.DataFrame:
    """Return id, lengths and hyper-parameters.

    Raises:
        Declined: The task shows no hyper-parameter.
    """
    if not any(is_setting(name) for name in seen.settings.columns):
        raise Declined("the task or the corpus shows no hyper-parameters")
    return features(seen, signals=False)


def _bases(table: pl.DataFrame) -> dict[str, float]:
    """Return the mean ln learning rate of each optimizer."""
    if not {OPTIMIZER, RATE} <= set(table.columns):
        return {}
    usable = (
        table.filter(pl.col(RATE) > 0)
        .group_by(OPTIMIZER)
        .agg(pl.col(RATE).log().mean())
    )
    return {name: base for name, base in sorted(usable.drop_nulls().rows())}
