"""Power law in the sum of the learning rates, less a drop as the rate falls."""

from typing import Final

import numpy as np

from baselines.methods.curve_law import CurveLaw, Forecast
from baselines.methods.scheduled import Runs, forecast, pool, training_runs
from harness.measure import Floats
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Targets

COURSE: Final = (1.0, 0.5, 0.5)
"""c, beta and gamma of the drop: where the law's authors start from."""
EXPONENTS: Final = np.geomspace(0.02, 6.0, 48)
"""Where the search for a run's exponent begins."""
STEPS: Final = 12
"""Gauss-Newton steps from the best of them."""
START: Final = np.zeros(1)
"""ln b."""
BOUNDS: Final = (np.array([-6.0]), np.array([4.0]))


@PREDICTORS.register("two_power_law")
class TwoPowerLaw(CurveLaw):
    """Forecasts L = a (s^-alpha - b D(t)) from the planned learning rates.

    The multi-power law with the course of its drop D frozen (`harness.fits.two_power`),
    as far as a window allows it: s is the sum of the rates over that at the end of the
    window; a and the exponent alpha are each run's own, by least squares on the
    relative errors in the window; b is the same for all runs, the one with which the
    law forecasts best what came after the windows of the training runs, as a window
    before the rate falls says nothing of it; the floor is 0, as most windows would put
    it below. Rates are shares of the run's highest (see `methods.scheduled`). Where a
    number is asked for see `CurveLaw`.

    Declined: the planned rates are not shown or not known; fewer than 5 whole epochs;
    a loss in the window that is not finite.

    Source: the law is that of Luo et al., arXiv 2503.12811.

    Args:
        skip: Share of the window's epochs, the first, that is left out: the warm-up,
            and the time in which the loss hardly falls.
        with_drop: False leaves the drop out: a power law in the sum of rates.

    Cost: 1 s for 350 training runs.
    """

    def __init__(self, *, skip: float = 0.4, with_drop: bool = True) -> None:
        self.skip, self.with_drop = skip, with_drop

    def learn(self, observations: Observations, targets: Targets) -> None:
        """Find the size of the drop."""
        self.theta = np.array([-np.inf])
        if self.with_drop:
            runs = training_runs(observations, targets.curves, self.skip)
            self.theta = pool(_law, START, BOUNDS, runs)

    def forecast(self, observations: Observations) -> Forecast:
        """Fit scale and exponent of each run."""
        return forecast(_law, self.theta, observations, self.skip)


def _law(theta: Floats, runs: Runs) -> Floats:
    """Return the law `[n, P]`, fitted to what is seen of each run."""
    width, drop = runs.loss.shape[1], float(np.exp(theta[0])) * runs.drop(*COURSE)
    a, alpha = _fit(runs.loss, runs.log_sums[:, :width], drop[:, :width])
    shape = np.exp(-alpha[:, None] * runs.log_sums) - drop
    return np.asarray(a[:, None] * shape, np.float64)


def _fit(loss: Floats, x: Floats, drop: Floats) -> tuple[Floats, Floats]:
    """Return a and alpha `[n]` of loss = a (exp(-alpha x) - drop), all `[n, W]`."""
    dot, low, high = np.linalg.vecdot, EXPONENTS[0], EXPONENTS[-1]
    best, alpha = np.full(len(loss), -np.inf), np.empty(len(loss))
    for exponent in EXPONENTS:
        shape = (np.exp(-exponent * x) - drop) / loss
        total = shape.sum(axis=1)
        gain = np.where(total > 0, total, 0) ** 2 / dot(shape, shape)
        alpha[gain > best] = exponent
        best = np.maximum(best, gain)
    for _ in range(STEPS):
        power = np.exp(-alpha[:, None] * x)
        shape, slope = (power - drop) / loss, -power * x / loss
        a = shape.sum(axis=1) / dot(shape, shape)
        # with a at its best for each alpha, the slope less its part along the shape
        along = dot(slope, shape) / dot(shape, shape)
        free = a[:, None] * (slope - along[:, None] * shape)
        residual = 1 - a[:, None] * shape
        step = dot(free, residual) / np.maximum(dot(free, free), 1e-300)
        alpha = np.clip(alpha + np.clip(step, -0.5, 0.5), low, high)
    shape = (np.exp(-alpha[:, None] * x) - drop) / loss
    return shape.sum(axis=1) / dot(shape, shape), alpha
