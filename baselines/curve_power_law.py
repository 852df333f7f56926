"""Power law in time: a straight line through the log-log curve, drawn on."""

import numpy as np

from baselines.methods.curve_law import CurveLaw, Forecast, ahead, left_out, mid_epoch
from harness.fits.power_law import MIN_POINTS, fit_power_law
from tasks.observations import Observations
from tasks.prediction import PREDICTORS


@PREDICTORS.register("curve_power_law")
class CurvePowerLaw(CurveLaw):
    """Extrapolates L = c t^-alpha, fitted to each run's epoch means in the window.

    It knows nothing of the schedule: the control that laws of the learning rate have to
    beat. Where a number is asked for see `CurveLaw`. Declined: fewer than 5 whole
    epochs ("too_short"), or a loss in them that is not finite ("diverged").

    Args:
        skip: Share of the window's epochs, the first, that is left out: the warm-up,
            and the time in which the loss hardly falls. On the three digits corpora
            every share from 0.2 to 0.5 forecast better than 0 (errors of 0.23 to 0.40
            in ln L instead of 0.39 to 0.60), and 0.4 was taken, for all laws.
    """

    def __init__(self, *, skip: float = 0.4) -> None:
        self.skip = skip

    def forecast(self, observations: Observations) -> Forecast:
        """Fit each run alone."""
        curves, reasons = [], {}
        for block in observations.blocks:
            first = left_out(block.num_epochs, self.skip, MIN_POINTS)
            losses = block.epoch_means()[:, first:]
            fit = fit_power_law(block.epoch_axis()[first:], losses)
            times = mid_epoch(ahead(observations, block), block)
            fall = np.multiply.outer(-fit["alpha"], np.log(times))
            curves.append(np.exp(fit["log_c"][:, None] + fall))
            for row in np.flatnonzero(~fit.ok).tolist():
                reasons[block.run_ids[row]] = f"power_law: {fit.status[row]}"
        return Forecast(curves, reasons)
