"""Spectral density of S matrices by stochastic Lanczos quadrature (SLQ).

A few Lanczos runs from random probes give nodes and weights; everything that is an
average over the spectrum (moments, quantiles, a smooth density, log determinants,
participation) is a weighted sum over them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.curvature.lanczos import lanczos, ritz
from harness.curvature.vectors import Draw, Matvec
from harness.measure import ILL_CONDITIONED, OK, Floats
from harness.reading import Reading, reading


class Density(NamedTuple):
    """The spectrum of each run as point masses, a rule of Gauss a probe."""

    nodes: Floats
    """`[S, m, k]`, Ritz values; 0 where the weight is 0."""
    weights: Floats
    """`[S, m, k]`, share of the spectrum, summing to 1 a probe; 0 beyond breakdown."""
    dim: int
    """P, the number of eigenvalues."""
    status: npt.NDArray[np.str_]
    """`[S]`, "ok" or why a run has no density."""
    products: int
    """Products with the matrix, the cost."""


class Smooth(NamedTuple):
    """A density on a grid, the point masses widened by a Gaussian kernel."""

    grid: Floats
    """`[S, n]`, eigenvalues."""
    values: Floats
    """`[S, n]`, share of the spectrum per unit of eigenvalue; NaN where not "ok"."""
    width: Reading
    """`[S]`, standard deviation of the kernel, in the unit of the eigenvalues."""


def spectral_density(
    matvec: Matvec, draw: Draw, *, probes: int = 10, steps: int = 64
) -> Density:
    """Return the spectral density of every run by stochastic Lanczos quadrature.

    Formula: for each probe z, T = Lanczos from z / ||z||, T = Y diag(theta) Y^T;
    nodes theta_i with weights (first component of y_i)^2. Averages over probes
    estimate (1/P) sum_i f(lambda_i); a probe's rule is exact for polynomials of
    degree < 2 k. Full reorthogonalisation: no ghost copies of converged values.

    Cost: probes * min(steps, P) products; a basis of steps * S * P numbers.
    Source: Ubaru, Chen, Saad 2017 (SIAM J. Matrix Anal. 38); Ghorbani,
    Krishnan, Xiao 2019, arXiv 1901.10159.

    Args:
        matvec: A symmetric matrix a run.
        draw: Independent probes, Rademacher by convention.
        probes: m, at least 2.
        steps: k, 40-80.

    Raises:
        ValueError: `probes` < 2.

    Example:
        Gaussian orthogonal matrix, n = 600: moments 1, 0, 1, 2 of order 0, 1, 2, 4.
    """
    if probes < 2:
        raise ValueError(f"probes must be at least 2 for standard errors, got {probes}")
    nodes, weights, status, products, dim = [], [], None, 0, 0
    for index in range(probes):
        result = lanczos(matvec, draw(index), steps)
        pairs = ritz(result)
        nodes.append(np.nan_to_num(pairs.values))
        weights.append(np.nan_to_num(pairs.vectors[:, 0]) ** 2)
        status = (
            result.status
            if status is None
            else np.where(status == OK, result.status, status)
        )
        products += result.products
        dim = result.basis.shape[2]
    assert status is not None
    return Density(np.stack(nodes, 1), np.stack(weights, 1), dim, status, products)


def average(density: Density, function: Callable[[Floats], Floats]) -> Reading:
    """Return (1/P) sum_i f(lambda_i) with its standard error over the probes.

    Args:
        density: Nodes and weights.
        function: Elementwise, finite where the spectrum lies and at 0.
    """
    each = (function(density.nodes) * density.weights).sum(2)  # [S, m]
    error = each.std(1, ddof=1) / np.sqrt(each.shape[1])
    return reading(each.mean(1), density.status, error)


def moment(density: Density, order: int) -> Reading:
    """Return (1/P) tr A^order; order 0 gives 1, order 1 the mean eigenvalue."""
    return average(density, lambda x: x**order)


def quantile(density: Density, level: float) -> Reading:
    """Return the smallest node below or at which a share `level` of the mass lies.

    A step rule: the answer is always a Ritz value, so it does not fall into a gap.
    Its resolution is the weight of one node, ~1 / (probes * steps).

    Raises:
        ValueError: `level` is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    runs = len(density.nodes)
    nodes = density.nodes.reshape(runs, -1)
    order = nodes.argsort(1, kind="stable")
    nodes = np.take_along_axis(nodes, order, 1)
    mass = np.take_along_axis(density.weights.reshape(runs, -1), order, 1).cumsum(1)
    # Relative to the last sum: rounding must not push a level beyond the end.
    index = (mass < level * mass[:, -1:]).sum(1)
    value = nodes[np.arange(runs), np.minimum(index, nodes.shape[1] - 1)]
    return reading(value, density.status)


def smooth(density: Density, *, points: int = 1024, width: float = 0.01) -> Smooth:
    """Return the density on a grid: sum_i w_i N(x; theta_i, sigma^2).

    sigma = width * (largest - smallest node); the grid reaches 4 sigma beyond both.
    Undefined ("ill_conditioned") where all nodes are equal: a single point mass.

    Args:
        density: Nodes and weights.
        points: Grid points.
        width: Kernel width as a share of the range of the spectrum.

    Raises:
        ValueError: `points` < 2 or `width` is not positive.
    """
    if points < 2 or not width > 0:
        raise ValueError(f"need points >= 2 and width > 0, got {points} and {width}")
    low, high = _support(density)
    sigma = width * (high - low)
    state = np.where((density.status == OK) & ~(sigma > 0), ILL_CONDITIONED, OK)
    state = np.where(density.status == OK, state, density.status)
    sigma = np.where(state == OK, sigma, np.nan)
    grid = np.linspace(low - 4 * sigma, high + 4 * sigma, points, axis=1)
    values = np.zeros_like(grid)
    for i in range(density.nodes.shape[1]):
        for j in range(density.nodes.shape[2]):
            z = (grid - density.nodes[:, i, j, None]) / sigma[:, None]
            values += density.weights[:, i, j, None] * np.exp(-0.5 * z * z)
    values /= np.sqrt(2 * np.pi) * sigma[:, None] * density.nodes.shape[1]
    return Smooth(grid, values, reading(sigma, state))


def _support(density: Density) -> tuple[Floats, Floats]:
    """Return the smallest and the largest node with weight, `[S]` each."""
    used = density.weights > 0
    low = np.where(used, density.nodes, np.inf).min((1, 2))
    high = np.where(used, density.nodes, -np.inf).max((1, 2))
    return low, high
