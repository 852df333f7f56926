"""Fits the multi-power law to the curves of several schedules at once.

The least training loss is not what predicts best, so the fit leans on a prior; see
`Prior` for the rule. For one run, or many runs of one schedule, see `two_power`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from harness.fits.huber_lm import HuberFit, Model, Pull, Residuals, Rows, fit_huber
from harness.fits.multi_power import DELTA, MultiPower
from harness.fits.multi_power_terms import WIDTH, Terms, gather_terms
from harness.fits.two_power import MAX_LOG_ERROR, solve_frozen
from harness.measure import DIVERGED, ILL_CONDITIONED, OK, TOO_SHORT, Estimates, Floats

VERSION: Final = "1"
MIN_POINTS: Final = 8
SHIFTS: Final = np.array([(0, 0, 0), *itertools.product((-2, 2), (-1, 1), (-0.3, 0.3))])
"""Where the search begins in ln c, ln beta and gamma, from the centres of the prior;
the other parameters are fitted to each."""
NUM_STARTS: Final = 3
"""How many of these, the best, are followed to a minimum."""
JUDGED: Final = (1, 2, 3, 5, 6)
"""ln a, ln alpha, ln b, ln beta and gamma: what the data must fix to less than 1. Not
ln c, which is the speed of the drop at a rate of 1, far from any that was used."""
UNITS: Final = {
    "l0": "nat",
    "a": "nat * rate^alpha",
    "alpha": "1",
    "b": "nat / rate",
    "c": "rate^(gamma - 1)",
    "beta": "1",
    "gamma": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScheduledCurve:
    """A loss curve with the schedule that made it."""

    rates: Floats
    """`[T]`, learning rates of the updates 1 .. T."""
    at: Floats
    """`[n]`, updates completed at each point, 1 .. T, ascending."""
    loss: Floats
    """`[n]`, loss in nat."""

    def __post_init__(self) -> None:
        """Check that there is a loss for each point."""
        if np.shape(self.loss) != np.shape(self.at) or np.ndim(self.at) != 1:
            raise ValueError(
                f"a curve needs a loss for each point, [n] and [n], got "
                f"{np.shape(self.loss)} and {np.shape(self.at)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Where the drop's parameters are drawn to, and how strongly.

    Centres: c, beta and gamma are the authors' start values. b is drawn to its value
    in the fit of l0 + a S^-alpha - b (eta_1 - eta_t), where a fall of the rate acts at
    once; from there the authors' optimiser starts too, and stops early.

    Weights: the penalty is n weight (distance)^2 / 2 in the logarithm (gamma: as it
    is), in points that are off by `DELTA`. The defaults had the least Huber loss a
    point when one of the training curves {cosine_24000, constant_24000, wsdcon_9} was
    left out and predicted, averaged over the three curves and the 25M and 100M models
    of arXiv 2503.12811, on a grid of weights of b from 0 to 1000 and of c = beta =
    gamma / 4 from 0 to 100: 0.51e-6, against 0.90e-6 for the best with b at 0 and
    2.2e-6 without a prior. The weights are from training curves alone; that b should
    be drawn at all was thought of after the held-out errors without it were known.
    """

    c: float = 1.0
    """Centre of c."""
    beta: float = 0.5
    """Centre of beta."""
    gamma: float = 0.5
    """Centre of gamma."""
    weight_b: float = 30.0
    """Weight of ln b."""
    weight_c: float = 3.0
    """Weight of ln c."""
    weight_beta: float = 3.0
    """Weight of ln beta."""
    weight_gamma: float = 12.0
    """Weight of gamma."""


NO_PRIOR: Final = Prior(weight_b=0.0, weight_c=0.0, weight_beta=0.0, weight_gamma=0.0)
"""The plain least Huber loss; its centres are only where the search begins."""


def fit_multi_power(
    curves: Sequence[ScheduledCurve], *, prior: Prior | None = None
) -> Estimates:
    """Fit one set of parameters of the multi-power law to all curves.

    Minimises the Huber loss (delta 1e-3) of ln L over all points plus `prior`, by
    Levenberg-Marquardt with exact derivatives from the best 3 of 9 starts; a, alpha, b,
    c and beta are > 0. The changes of the rate are gathered into terms, see `Terms` for
    the error of that. Luo et al., arXiv 2503.12811.

    Standard errors are those of the data alone at the point found, as if there were
    no prior: their squares are s^2 (J'J)^-1 times (1 + rho) / (1 - rho), for the lag-1
    correlation rho of the residuals. That of c may exceed c.

    Status: "too_short" with fewer than 8 points; "diverged" if a loss is not finite
    and positive; "ill_conditioned" if the fit did not converge or if by these errors
    a, alpha, b or beta is known no better than to a factor of e, or gamma to 1. So it
    is with one run cut off early and with one cosine, and so it is called if the rate
    is constant at the points of every curve; `fit_two_power` is for these. The three
    training curves of the paper pass (25M model: ln beta +- 0.56, gamma +- 0.44).

    Cost: 0.2 s for 437 points of three schedules of up to 24,000 updates.

    Args:
        curves: At least one; two or more with different falls of the rate are needed
            to tell b, c, beta and gamma apart.
        prior: What the drop's parameters are drawn to; None: the default `Prior`.

    Returns:
        One row with l0, a, alpha, b, c, beta, gamma; `law_of` makes it a law.

    Raises:
        ValueError: There is no curve, or a schedule is unusable.

    Example:
        >>> from harness.fits.multi_power import multi_power_law
        >>> law, at = MultiPower(1.0, 2.0, 0.5, 0.8, 2.0, 0.6, 0.5), np.arange(5, 251)
        >>> stages = [np.repeat([1.0, 0.5, 0.1], 100), np.repeat([1.0, 0.1], 150)]
        >>> losses = [multi_power_law(law, rates, at) for rates in stages]
        >>> curves = [
        ...     ScheduledCurve(rates=rates, at=at, loss=loss)
        ...     for rates, loss in zip(stages, losses)
        ... ]
        >>> [round(p, 6) for p in law_of(fit_multi_power(curves, prior=NO_PRIOR))]
        [1.0, 2.0, 0.5, 0.8, 2.0, 0.6, 0.5]
    """
    if not curves:
        raise ValueError("no curves given; the fit needs at least one ScheduledCurve")
    prior = prior or Prior()
    terms = join_terms([gather_terms(curve.rates, curve.at) for curve in curves])
    loss = np.concatenate([np.asarray(c.loss, np.float64) for c in curves])
    points = np.concatenate([np.asarray(c.at, np.float64) for c in curves])
    if not (np.isfinite(loss).all() and (loss > 0).all()):
        status = DIVERGED
    elif len(loss) < MIN_POINTS:
        status = TOO_SHORT
    elif not any(np.ptp(_rates_at(curve)) for curve in curves if len(curve.loss)):
        status = ILL_CONDITIONED
    else:
        status = OK
    value, error = np.full(7, np.nan), np.full(7, np.nan)
    if status == OK:
        given_up = [np.asarray(c.rates)[0] - _rates_at(c) for c in curves]
        fit = _solve(terms, loss, np.concatenate(given_up), prior)
        residual = _model(terms, loss)(fit.theta, np.zeros(1, np.int64)).value[0]
        ends = np.cumsum([len(c.loss) for c in curves])[:-1]
        spread = np.sqrt(np.diag(fit.covariance[0]) * _widening(residual, ends))
        if fit.converged[0] and (spread[[*JUDGED]] < MAX_LOG_ERROR).all():
            value = np.r_[fit.theta[0, 0], np.exp(fit.theta[0, 1:6]), fit.theta[0, 6]]
            error = spread * np.r_[1.0, value[1:6], 1.0]
        else:
            status = ILL_CONDITIONED
    window = [points.min(), points.max()] if len(points) else [np.nan, np.nan]
    return Estimates(
        estimator="multi_power",
        estimator_version=VERSION,
        params={**asdict(prior), "delta": DELTA, "width": WIDTH},
        units=UNITS,
        values={name: value[i : i + 1] for i, name in enumerate(UNITS)},
        errors={name: error[i : i + 1] for i, name in enumerate(UNITS)},
        status=np.array([status]),
        n=np.array([len(loss)]),
        window=np.array([window]),
    )


def law_of(estimates: Estimates, row: int = 0) -> MultiPower:
    """Return the law of a row of estimates.

    Raises:
        ValueError: The row has no values.
    """
    if not estimates.ok[row]:
        raise ValueError(
            f"row {row} has no law, its status is {str(estimates.status[row])!r}; "
            "select rows with `ok`"
        )
    return MultiPower(*(float(estimates[name][row]) for name in UNITS))


def join_terms(parts: Sequence[Terms]) -> Terms:
    """Return the terms of several curves as if they were one."""
    first = np.cumsum([0, *(len(part.sums) for part in parts)])
    points = [part.point + first[i] for i, part in enumerate(parts)]
    return Terms(
        sums=np.concatenate([part.sums for part in parts]),
        point=np.concatenate(points),
        fall=np.concatenate([part.fall for part in parts]),
        log_rate=np.concatenate([part.log_rate for part in parts]),
        log_tail=np.concatenate([part.log_tail for part in parts]),
    )


def _rates_at(curve: ScheduledCurve) -> Floats:
    """Return the rate of the last update before each point, `[n]`."""
    rates: Floats = np.asarray(curve.rates)[np.asarray(curve.at, np.int64) - 1]
    return rates


def _solve(terms: Terms, loss: Floats, given_up: Floats, prior: Prior) -> HuberFit:
    """Return the best fit of l0, ln a, ln alpha, ln b, ln c, ln beta, gamma."""
    num = len(loss)
    used = np.ones((1, num), dtype=np.bool_)
    at_once = float(solve_frozen(loss[None], used, terms.sums, given_up).theta[0, 3])
    centre = np.array([0.0] * 4 + [np.log(prior.c), np.log(prior.beta), prior.gamma])
    weight = np.array(
        [0.0] * 3
        + [prior.weight_b, prior.weight_c, prior.weight_beta, prior.weight_gamma]
    )
    if at_once > 0:
        centre[3] = np.log(at_once)
    else:  # the loss rose with the fall of the rate, which says nothing of b
        weight[3] = 0.0
    starts, costs = [], []
    for shift in SHIFTS:
        shape = centre[4:] + shift
        drop = terms.drop(np.exp(shape[0]), np.exp(shape[1]), shape[2]).value
        frozen = solve_frozen(loss[None], used, terms.sums, drop)
        b = frozen.theta[0, 3]
        b = b if b > 0 else abs(at_once) + 1e-12
        starts.append(np.r_[frozen.theta[0, :3], np.log(b), shape])
        costs.append(frozen.cost[0] + (starts[-1] - centre) ** 2 @ weight * num / 2)
    first = np.array(starts)[np.argsort(costs)[:NUM_STARTS]]
    fit = fit_huber(
        _model(terms, loss),
        first,
        np.broadcast_to(used, (len(first), num)),
        delta=DELTA,
        pull=Pull(centre, num * weight),
    )
    best = [int(np.argmin(fit.cost))]
    return HuberFit(
        theta=fit.theta[best],
        cost=fit.cost[best],
        converged=fit.converged[best],
        covariance=fit.covariance[best],
    )


def _model(terms: Terms, loss: Floats) -> Model:
    """Return ln L(model) - ln L(data) as a function of the seven parameters."""
    log_loss, log_sums = np.log(loss), np.log(terms.sums)

    def residuals(theta: Floats, rows: Rows) -> Residuals:
        parts = [_point(terms, log_sums, row) for row in theta]
        values = np.array([value for value, _ in parts])
        values = np.where(values > 0, values, np.nan)
        jacobian = np.array([slope for _, slope in parts]) / values[:, :, None]
        return Residuals(np.log(values) - log_loss, jacobian)

    return residuals


def _point(terms: Terms, log_sums: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Return the loss `[n]` and its derivatives `[n, 7]`."""
    l0, log_a, log_alpha, log_b, log_c, log_beta, gamma = theta
    alpha, b, beta = np.exp(log_alpha), np.exp(log_b), np.exp(log_beta)
    power = np.exp(log_a - alpha * log_sums)
    drop = terms.drop(np.exp(log_c), beta, gamma)
    slope = np.stack(
        [
            np.ones_like(power),
            power,
            -power * alpha * log_sums,
            -b * drop.value,
            -b * drop.by_log_c,
            -b * beta * drop.by_beta,
            -b * drop.by_gamma,
        ],
        axis=1,
    )
    return l0 + power - b * drop.value, slope


def _widening(residual: Floats, ends: Floats) -> float:
    """Return (1 + rho) / (1 - rho), at least 1, for residuals `[n]` of joined curves.

    rho is the lag-1 correlation within curves plus 3 / n, which is about its bias.
    """
    parts = np.split(residual, ends)
    pairs = sum(float(part[1:] @ part[:-1]) for part in parts)
    size = float(residual @ residual)
    rho = pairs / size + 3 / len(residual) if size > 0 else 0.0
    rho = min(max(rho, 0.0), 0.99)
    return (1 + rho) / (1 - rho)
