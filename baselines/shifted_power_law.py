"""Shifted power law: each run's own curve with a floor, drawn on."""

import numpy as np

from baselines.methods.curve_law import CurveLaw, Forecast, drawn_on
from harness.fits.shifted_power import MIN_POINTS, fit_shifted_power
from harness.measure import Estimates, Floats
from tasks.observations import Observations
from tasks.prediction import PREDICTORS


@PREDICTORS.register("shifted_power_law")
class ShiftedPowerLaw(CurveLaw):
    """Extrapolates L = E + A t^-alpha, fitted to each run's epoch means in the window.

    The learning curves of the literature (Domhan et al. 2015; Hestness et al.
    1712.00409 in data instead of time). Where a number is asked for see `CurveLaw`.
    Declined, with the status of the fit: fewer than 5 whole epochs ("too_short"), a
    loss that is not finite ("diverged"), or a curve that does not flatten towards a
    floor ("ill_conditioned"): in a short window of a small data set that is every
    second run, since before the floor the log-log curve steepens. Also declined: a
    forecast that falls below 0, its floor being negative.

    Args:
        skip: Share of the window's epochs, the first, that is left out: the warm-up,
            and the time in which the loss hardly falls.
    """

    def __init__(self, *, skip: float = 0.4) -> None:
        self.skip = skip

    def forecast(self, observations: Observations) -> Forecast:
        """Fit each run alone."""
        return drawn_on(
            observations, fit_shifted_power, _law, skip=self.skip, points=MIN_POINTS
        )


def _law(fit: Estimates, times: Floats) -> Floats:
    """Return E + A t^-alpha, `[N, E]`."""
    fall = np.exp(np.multiply.outer(-fit["alpha"], np.log(times)))
    return np.asarray(fit["E"][:, None] + fit["A"][:, None] * fall)
