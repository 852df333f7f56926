"""Multi-power law: exponents pooled over the training runs, scales a run."""

from typing import Final

import numpy as np

from baselines.methods.curve_law import CurveLaw, Forecast
from baselines.methods.scheduled import Runs, forecast, pool, training_runs
from harness.measure import Floats
from tasks.observations import Observations
from tasks.prediction import PREDICTORS, Targets

START: Final = np.array([np.log(0.5), np.log(0.5), 0.0, np.log(0.5), 0.5])
"""ln alpha, ln b, ln c, ln beta, gamma; the last three as the authors start."""
LOWEST: Final = np.array([-4.0, -5.0, -4.0, -3.0, -0.5])
HIGHEST: Final = np.array([1.5, 3.0, 4.0, 3.0, 2.0])
PULL: Final = np.array([0.0, 0.0, 0.01, 0.01, 0.02])
"""Towards the start, see `pool`: few schedules leave c, beta and gamma undetermined."""


@PREDICTORS.register("multi_power_law")
class MultiPowerLaw(CurveLaw):
    """Forecasts L = l0 + a (s^-alpha - b D(t)) from the planned learning rates.

    s is the sum of the rates, over that at the end of the window; D what the falls of
    the rate have taken off, `harness.fits.multi_power.loss_drop` for b = 1. alpha, b
    and the c, beta and gamma of D are the same for all runs: those with which the law,
    scaled to the windows of the training runs, forecasts best what came after them.
    Where nothing after the windows is known they are those that fit the windows. c,
    beta and gamma are drawn to where the authors start, but weakly (`PULL`). l0
    and a are each run's own, by linear least squares on the relative errors in the
    window, with l0 and a >= 0. Rates are shares of the run's highest (see
    `methods.scheduled`), and b is in units of a, so that nothing depends on the
    optimizer. Where a number is asked for see `CurveLaw`.

    Declined: the planned rates are not shown or not known; fewer than 5 whole epochs;
    a loss in the window that is not finite.

    Source: the law is that of Luo et al., arXiv 2503.12811, who fit all seven
    parameters to whole curves of one model.

    Args:
        skip: Share of the window's epochs, the first, that is left out: the warm-up,
            and the time in which the loss hardly falls.

    Cost: 2 s for 350 training runs.
    """

    def __init__(self, *, skip: float = 0.4) -> None:
        self.skip = skip

    def learn(self, observations: Observations, targets: Targets) -> None:
        """Pool the exponents."""
        runs = training_runs(observations, targets.curves, self.skip)
        self.theta = pool(_law, START, (LOWEST, HIGHEST), runs, PULL)

    def forecast(self, observations: Observations) -> Forecast:
        """Scale the law to each run."""
        return forecast(_law, self.theta, observations, self.skip)


def _law(theta: Floats, runs: Runs) -> Floats:
    """Return the law `[n, P]`, scaled to what is seen of each run."""
    alpha, b, c, beta = np.exp(theta[:4])
    shape = np.exp(-alpha * runs.log_sums) - b * runs.drop(c, beta, float(theta[4]))
    l0, a = scales(shape[:, : runs.loss.shape[1]], runs.loss)
    return np.asarray(l0[:, None] + a[:, None] * shape, np.float64)


def scales(shape: Floats, loss: Floats) -> tuple[Floats, Floats]:
    """Return l0 and a >= 0, `[n]`, with the least sum of (l0 / loss + a x - 1)^2.

    x is shape / loss; of l0 + a shape the errors count relative to the loss.

    Args:
        shape: `[n, W]`.
        loss: `[n, W]`, positive.

    Example:
        >>> x = np.array([[1.0, 2.0, 3.0]])
        >>> [float(s[0].round(9)) for s in scales(x, 0.5 + 2 * x)]
        [0.5, 2.0]
    """
    one, x, dot = 1 / loss, shape / loss, np.linalg.vecdot
    oo, ox, xx = dot(one, one), dot(one, x), dot(x, x)
    o, m = one.sum(axis=1), x.sum(axis=1)
    det = oo * xx - ox**2
    with np.errstate(divide="ignore", invalid="ignore"):
        l0, a = (xx * o - ox * m) / det, (oo * m - ox * o) / det
        inside = (l0 >= 0) & (a >= 0)  # NaN, of a flat shape, is not
        # on the border, the side that leaves less: the larger gain
        left = np.where(m > 0, m**2 / xx, 0) >= o**2 / oo
        l0 = np.where(inside, l0, np.where(left, 0.0, o / oo))
        a = np.where(inside, a, np.where(left, m / xx, 0.0))
    return l0, a
