"""Robust nonlinear least squares for many small problems at once.

Serves the fits of the multi-power law; each row is one problem.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import Floats

Rows = npt.NDArray[np.int64]
MAX_STEP: Final = 1.0
"""Longest step in a parameter; logarithms of parameters are meant."""
SINGULAR: Final = 1e-13
"""Smallest eigenvalue of J'J with unit diagonal that still has an inverse."""


class Residuals(NamedTuple):
    """Residuals and their derivatives; not finite where the model has no value."""

    value: Floats
    """`[M, n]`."""
    jacobian: Floats
    """`[M, n, p]`."""


Model = Callable[[Floats, Rows], Residuals]
"""Takes parameters `[M, p]` of the rows `[M]`."""


class Pull(NamedTuple):
    """Quadratic penalty that draws parameters to a value."""

    centre: Floats
    """`[p]`."""
    weight: Floats
    """`[p]`, >= 0: what a distance of 1 costs, in points that are off by delta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HuberFit:
    """Minima of the Huber loss of N rows."""

    theta: Floats
    """`[N, p]`, parameters."""
    cost: Floats
    """`[N]`, summed Huber loss over delta squared, with the penalty."""
    converged: npt.NDArray[np.bool_]
    """`[N]`, whether the last step was as small as asked."""
    covariance: Floats
    """`[N, p, p]`, of the parameters from the data alone; inf where singular."""


def huber(residual: Floats, delta: float) -> Floats:
    """Return the Huber loss of each residual, >= 0.

    Formula: r^2 / 2 for |r| <= delta, else delta (|r| - delta / 2). Huber, Annals of
    Mathematical Statistics 35 (1964), 73.

    Example:
        >>> huber(np.array([0.5, -2.0]), 1.0).tolist()
        [0.125, 1.5]
    """
    size = np.minimum(np.abs(residual), delta)
    loss: Floats = size * (np.abs(residual) - size / 2)
    return loss


def fit_huber(
    model: Model,
    start: Floats,
    used: npt.NDArray[np.bool_],
    *,
    delta: float,
    pull: Pull | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
) -> HuberFit:
    """Minimise the Huber loss of each row by Levenberg-Marquardt.

    The cost sum_i huber(r_i) / delta^2 + sum_j weight_j (theta_j - centre_j)^2 / 2 is
    quadratic with weights min(1, delta / |r|) near any point (Huber and Ronchetti,
    Robust Statistics, 2009, 7.8). A row stops when a step lowers its cost by less than
    `tolerance` of it or of 1, and takes no notice of the others.

    Cost: one evaluation of the model and n p^2 products an iteration and row; about 10
    iterations are usual.

    Args:
        model: Residuals and their derivatives.
        start: `[N, p]`, first parameters; the model must have values there.
        used: `[N, n]`, the points that count.
        delta: Where the loss turns from quadratic to linear, > 0.
        pull: Penalty, the same for all rows.
        tolerance: Smallest relative gain that is worth another step.
        max_iterations: Steps tried before a row counts as not converged.
    """
    num_rows, num_params = start.shape
    pull = pull or Pull(np.zeros(num_params), np.zeros(num_params))
    theta = start.astype(np.float64, copy=True)
    rows = np.arange(num_rows)
    now = _masked(model(theta, rows), used)
    cost = _cost(now, theta, delta, pull)
    value, jacobian = now
    damping = np.full(num_rows, 1e-3)
    active = np.isfinite(cost)
    converged = np.zeros(num_rows, dtype=np.bool_)
    for _ in range(max_iterations):
        rows = np.flatnonzero(active)
        if not len(rows):
            break
        old = Residuals(value[rows], jacobian[rows])
        trial = theta[rows] + _step(old, theta[rows], damping[rows], delta, pull)
        new = _masked(model(trial, rows), used[rows])
        new_cost = _cost(new, trial, delta, pull)
        better = new_cost < cost[rows]
        won = rows[better]
        gain = cost[won] - new_cost[better]
        small = gain <= tolerance * np.maximum(new_cost[better], 1.0)
        theta[won], cost[won] = trial[better], new_cost[better]
        value[won], jacobian[won] = new.value[better], new.jacobian[better]
        damping[rows] *= np.where(better, 0.2, 4.0)
        # Where even a tiny step gains nothing, rounding is all that is left.
        stuck = rows[~better & (damping[rows] > 1e8)]
        converged[won[small]] = converged[stuck] = True
        active[won[small]] = active[stuck] = False
    covariance = _covariance(Residuals(value, jacobian), used, delta)
    return HuberFit(theta=theta, cost=cost, converged=converged, covariance=covariance)


def _masked(residuals: Residuals, used: npt.NDArray[np.bool_]) -> Residuals:
    """Set the points that do not count to 0."""
    return Residuals(
        np.where(used, residuals.value, 0.0),
        np.where(used[:, :, None], residuals.jacobian, 0.0),
    )


def _cost(residuals: Residuals, theta: Floats, delta: float, pull: Pull) -> Floats:
    """Return the cost of each row, inf where the model has no value."""
    penalty = ((theta - pull.centre) ** 2 @ pull.weight) / 2
    cost: Floats = huber(residuals.value, delta).sum(axis=1) / delta**2 + penalty
    finite = np.isfinite(cost) & np.isfinite(residuals.jacobian).all(axis=(1, 2))
    return np.where(finite, cost, np.inf)


def _step(
    residuals: Residuals, theta: Floats, damping: Floats, delta: float, pull: Pull
) -> Floats:
    """Return the damped Newton step of each row, `[M, p]`."""
    value, jacobian = residuals.value / delta, residuals.jacobian / delta
    weight = 1 / np.maximum(np.abs(value), 1.0)
    weighted = (jacobian * weight[:, :, None]).transpose(0, 2, 1)
    slope = (weighted @ value[:, :, None])[:, :, 0]
    slope = slope + pull.weight * (theta - pull.centre)
    curvature = weighted @ jacobian
    own = np.einsum("npp->np", curvature)  # a view: the diagonal can be written
    own += pull.weight
    own += damping[:, None] * own + 1e-12 * own.max(axis=1, keepdims=True) + 1e-300
    step = -np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
    return np.clip(step, -MAX_STEP, MAX_STEP)


def _covariance(
    residuals: Residuals, used: npt.NDArray[np.bool_], delta: float
) -> Floats:
    """Return the covariance of a Huber estimate, `[N, p, p]`.

    s^2 (J'J)^-1 with s^2 = sum psi^2 / (n - p) / (share of |r| <= delta)^2 (Huber and
    Ronchetti, 2009, 7.6). It takes the residuals for independent.
    """
    value, jacobian = residuals
    num_params = jacobian.shape[2]
    num_points = used.sum(axis=1)
    clipped = np.clip(value, -delta, delta)
    inside = ((np.abs(value) <= delta) & used).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (clipped**2).sum(axis=1) / (num_points - num_params)
        variance = variance / (inside / num_points) ** 2
    gram = jacobian.transpose(0, 2, 1) @ jacobian
    scale = np.sqrt(np.einsum("npp->np", gram))
    whole = (scale > 0).all(axis=1) & np.isfinite(variance) & (variance >= 0)
    whole &= np.isfinite(scale).all(axis=1)
    covariance = np.full(gram.shape, np.inf)
    unit = gram[whole] / (scale[whole, :, None] * scale[whole, None, :])
    level, axes = np.linalg.eigh(unit)
    whole[whole] = regular = level[:, 0] > SINGULAR
    level, axes, size = level[regular], axes[regular], scale[whole]
    inverse = (axes / level[:, None, :]) @ axes.transpose(0, 2, 1)
    inverse /= size[:, :, None] * size[:, None, :]
    covariance[whole] = variance[whole, None, None] * inverse
    return covariance
