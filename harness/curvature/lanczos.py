"""Lanczos with full reorthogonalisation for S runs at once; extreme eigenvalues.

The number of products is fixed beforehand; what has converged is judged afterwards.
Its basis also deflates traces (`trace.py`), aligns gradients (`alignment.py`) and,
from several starts, makes spectral densities (`spectral_density.py`).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.curvature.vectors import (
    Matvec,
    Products,
    combine,
    coordinates,
    floor,
    host,
    norm,
    project_out,
    unit,
)
from harness.measure import ILL_CONDITIONED, OK, Floats
from harness.reading import Reading, reading


class Lanczos(NamedTuple):
    """A matrix seen from its Krylov space: A Q = Q T + beta_k q e_k^T, for S runs."""

    alphas: Floats
    """`[S, k]`, diagonal of T; 0 beyond `size`."""
    betas: Floats
    """`[S, k]`, off-diagonal of T, last the length of what leaves the space."""
    measured: Floats
    """`[S, k, k]`, <q_i, A q_j> for i <= j; off T it is the error of the products."""
    basis: Tensor
    """`[k, S, P]`, orthonormal rows of each run, zero beyond `size`."""
    size: npt.NDArray[np.int64]
    """`[S]`, steps until the space was invariant (breakdown), at most k."""
    status: npt.NDArray[np.str_]
    """`[S]`, "ok", "diverged", or "ill_conditioned" where the start is zero."""
    products: int
    """Products with the matrix, the cost."""


class Ritz(NamedTuple):
    """Eigenvalues and eigenvectors of T, largest first; NaN beyond a run's size."""

    values: Floats
    """`[S, k]`, approximate eigenvalues theta."""
    residuals: Floats
    """`[S, k]`, ||A v - theta v||; an eigenvalue lies within it of theta."""
    vectors: Floats
    """`[S, k, k]`, column i holds Ritz vector i in coordinates of the basis."""


class Extremes(NamedTuple):
    """Ends of the spectrum; a value that has not converged is "ill_conditioned"."""

    largest: Reading
    """Algebraically largest eigenvalue, lambda_1."""
    smallest: Reading
    """Algebraically smallest eigenvalue."""
    magnitude: Reading
    """Largest absolute value of an eigenvalue."""
    largest_residual: Reading
    """||A v - theta v|| of `largest`, given for every run that is finite."""
    smallest_residual: Reading
    magnitude_residual: Reading


def lanczos(matvec: Matvec, start: Tensor, steps: int = 16) -> Lanczos:
    """Return `steps` steps of Lanczos from `start`.

    Formula: q_1 = start / ||start||; r = A q_j - sum_{i<=j} q_i <q_i, A q_j>,
    orthogonalised twice in float64; alpha_j = <q_j, A q_j>, beta_j = ||r||,
    q_{j+1} = r / beta_j. Where beta_j is rounding (<= 10 eps times the longest
    product), the space is invariant and its eigenvalues are exact. They are then all
    eigenvalues only if the start has a part of every eigenvector, as random ones do
    and a converged eigenvector does not.

    Cost: min(steps, P) products; the basis is steps * S * P numbers of start's dtype.
    Source: Lanczos 1950; Parlett 1998, The Symmetric Eigenvalue Problem, ch. 13.

    Args:
        matvec: A symmetric matrix a run.
        start: `[S, P]`, float32 or float64, on the matrix's device; usually random.
        steps: k; 16 suffices for lambda_1 with a gap, 40-80 for densities.

    Raises:
        ValueError: `steps` < 1, or `start` is not a floating `[S, P]`.

    Example:
        >>> extremes(lanczos(lambda v: 3 * v, torch.ones(1, 5))).largest.value.round(6)
        array([3.])
    """
    if steps < 1 or start.ndim != 2 or not start.is_floating_point():
        raise ValueError(
            f"Lanczos needs steps >= 1 and a floating start [S, P], got steps={steps} "
            f"and {start.dtype} {tuple(start.shape)}"
        )
    steps = min(steps, start.shape[1])
    product = Products(matvec, start)
    basis = start.new_zeros(steps, *start.shape)
    length = norm(start)
    measured = length.new_zeros(len(start), steps, steps)
    betas = length.new_zeros(steps, len(start))
    scale = torch.zeros_like(length)
    product.finite &= torch.isfinite(length)
    vector = unit(start.double(), torch.where(product.finite, length, 0.0))
    for j in range(steps):
        basis[j] = vector
        rest = product(basis[j])
        scale = torch.maximum(scale, norm(rest))
        measured[:, : j + 1, j] = project_out(rest, basis[: j + 1])
        beta = norm(rest)
        betas[j] = torch.where(beta > floor(start.dtype) * scale, beta, 0.0)
        vector = unit(rest, betas[j])
    size = (length > 0) * (1 + (betas[:-1] > 0).sum(0))
    status = np.where(host(length == 0), ILL_CONDITIONED, product.status())
    return Lanczos(
        alphas=host(measured.diagonal(dim1=1, dim2=2)),
        betas=host(betas.T),
        measured=host(measured),
        basis=basis,
        size=np.where(status == OK, host(size), 0).astype(np.int64),
        status=status,
        products=product.count,
    )


def ritz(result: Lanczos) -> Ritz:
    """Return the Ritz values, residuals and vectors of every run.

    Formula: T y = theta y; residual^2 = (beta_k y_k)^2 + ||(M - T) y||^2, where M is
    what the products measured: the second term is zero for exact products and shows
    the noise of inexact ones.
    """
    runs, steps = result.alphas.shape
    values = np.full((runs, steps), np.nan)
    residuals = np.full((runs, steps), np.nan)
    vectors = np.full((runs, steps, steps), np.nan)
    for s, n in enumerate(result.size):
        if n == 0:
            continue
        beta = result.betas[s, :n]
        upper = np.diag(result.alphas[s, :n]) + np.diag(beta[:-1], 1)
        theta, y = np.linalg.eigh(upper, UPLO="U")
        theta, y = theta[::-1], y[:, ::-1]
        noise = np.linalg.norm((result.measured[s, :n, :n] - upper) @ y, axis=0)
        values[s, :n] = theta
        residuals[s, :n] = np.hypot(beta[-1] * y[-1], noise)
        vectors[s, :n, :n] = y
        vectors[s, n:, :n] = 0.0
    return Ritz(values, residuals, vectors)


def extremes(result: Lanczos, tolerance: float = 1e-3) -> Extremes:
    """Return the ends of the spectrum, each only where its Ritz pair converged.

    Converged: ||A v - theta v|| <= tolerance * |theta|, or <= 10 eps times the largest
    |theta|: a zero eigenvalue is known to rounding. Range: real numbers, in the
    matrix's unit. The error of a converged value is at most the residual, and about
    residual^2 / gap.

    Cost: none beyond Lanczos.

    Example:
        Eigenvalues {10, 8, 5, 197 in (0, 1)}: lambda_1 to 1e-8 in 8 products.
        Eigenvalues {-12, 8, ...}: largest 8, magnitude 12.
    """
    pairs = ritz(result)
    absolute = np.abs(pairs.values)
    last = np.maximum(result.size - 1, 0)
    peak = np.where(np.isnan(absolute), -np.inf, absolute).argmax(1)
    picked = [
        _pick(result, pairs.values, pairs.residuals, 0 * last, tolerance),
        _pick(result, pairs.values, pairs.residuals, last, tolerance),
        _pick(result, absolute, pairs.residuals, peak, tolerance),
    ]
    return Extremes(*(p[0] for p in picked), *(p[1] for p in picked))


def ritz_vectors(result: Lanczos, count: int) -> Tensor:
    """Return the Ritz vectors of the `count` largest values, `[count, S, P]`.

    They have the basis's dtype; zero where a run has fewer. Combined in float64.

    Raises:
        ValueError: `count` is not between 1 and the number of steps.
    """
    steps = len(result.basis)
    if not 1 <= count <= steps:
        raise ValueError(f"count must be 1..{steps} (the steps made), got {count}")
    weights = np.nan_to_num(ritz(result).vectors[:, :, :count])
    mix = torch.as_tensor(weights, device=result.basis.device)
    zero = torch.zeros_like(result.basis[0], dtype=torch.float64)
    vectors = [combine(result.basis, m, zero.clone()) for m in mix.unbind(2)]
    return torch.stack(vectors).to(result.basis.dtype)


def overlaps(result: Lanczos, rows: Tensor) -> Floats:
    """Return <v_i, x> of Ritz vectors (largest first) and x `[S, P]`: `[S, k]`.

    Needs no Ritz vector in memory: they are combinations of <q_j, x>.
    """
    inner = host(coordinates(result.basis, rows))
    found: Floats = (inner[:, :, None] * ritz(result).vectors).sum(1)
    return found


def _pick(
    result: Lanczos,
    values: Floats,
    residuals: Floats,
    index: npt.NDArray[np.int64],
    tolerance: float,
) -> tuple[Reading, Reading]:
    """Return one Ritz value a run, if it converged, and its residual."""
    rows = np.arange(len(index))
    value, residual = values[rows, index], residuals[rows, index]
    rounding = floor(result.basis.dtype) * np.nanmax(np.abs(values), axis=1, initial=0)
    converged = residual <= np.maximum(tolerance * np.abs(value), rounding)
    state = np.where(converged | (result.status != OK), result.status, ILL_CONDITIONED)
    return reading(value, state), reading(residual, result.status)
