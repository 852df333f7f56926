"""Size and compute only: how large the model is and how many images it sees."""

from typing import Final, Self

import numpy as np
import polars as pl

from baselines.hyper_ridge import hyper_parameters
from baselines.methods.mapping import one_number
from baselines.methods.ridge import Ridge
from harness.errors import Declined
from harness.measure import Floats
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Prediction, Targets

SIZES: Final = ("model.", "dataset.resolution")
"""Beginnings of the columns that tell the size, where they hold numbers."""
NO_SIZE: Final = ("model.dropout",)
SAME: Final = 0.01
"""Sizes within 1 % are one, as the last batch of an epoch may be left out."""


@PREDICTORS.register("size_only")
class SizeOnly:
    """Ridge regression (`baselines.methods.ridge`) on logarithms of size and compute.

    The columns are those that differ between training runs of: images seen (steps times
    batch size), the resolution, and the model's numbers such as width and depth, which
    parameters and operations follow from; a corpus records neither. Each also squared.
    Where none differs, as in a grid of one model trained for one length, there is
    nothing to go by, which is the reason of the decline.
    """

    uses = ()
    reads_curves = False

    def fit(self, observations: Observations, targets: Targets) -> Self:
        """Find what differs and learn the weights."""
        one_number(observations.asked, "size_only")
        sizes = _sizes(observations)
        self.names = [name for name in sizes.columns if _differs(sizes[name])]
        if not self.names:
            raise Declined(
                "every training run has a model of one size and sees as many images"
            )
        logs = sizes.select(self.names).to_numpy()
        self.center = np.nanmean(logs, axis=0)
        self.ridge = Ridge(observations.asked)
        self.ridge.fit(self._rows(sizes), targets.values, targets.groups)
        return self

    def predict(self, observations: Observations) -> Prediction:
        """Return what the sizes say."""
        return self.ridge.answer(self._rows(_sizes(observations)))

    def _rows(self, sizes: pl.DataFrame) -> Floats:
        """Return what differs and its squares, `[n, 2 C]`; missing is average."""
        away = np.nan_to_num(sizes.select(self.names).to_numpy() - self.center)
        return np.concatenate([away, away**2], axis=1)


def _sizes(seen: Observations) -> pl.DataFrame:
    """Return logarithms of sizes, NaN where one is missing or not positive."""
    table = hyper_parameters(seen)
    numbers = [
        name
        for name in table.select(pl.selectors.numeric()).columns
        if name.startswith(SIZES) and name not in NO_SIZE
    ]
    chosen = {name: pl.col(name).cast(pl.Float64) for name in numbers}
    if "batch_size" in table.columns:
        chosen["images seen"] = (pl.col("num_steps") * pl.col("batch_size")).cast(
            pl.Float64
        )
    logs = {name: pl.when(c > 0).then(c.log()) for name, c in chosen.items()}
    return table.select(**logs).fill_null(float("nan"))


def _differs(logs: pl.Series) -> bool:
    """Tell whether sizes differ by more than 1 %."""
    known = logs.drop_nans()
    return len(known) > 0 and float(np.ptp(known.to_numpy())) > SAME
