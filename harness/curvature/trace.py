"""Trace and Frobenius norm of a matrix from random probes, with standard errors.

Three estimators with fixed cost: plain (`hutchinson`), with a sketch of the range
(`hutch_plus_plus`), and with the Krylov space that Lanczos left behind
(`deflated_hutchinson`), which serves lambda_1 and the trace from one budget.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.curvature.lanczos import Lanczos
from harness.curvature.vectors import (
    Draw,
    Matvec,
    Products,
    dot,
    floor,
    host,
    norm,
    project_out,
    unit,
)
from harness.measure import OK, Floats
from harness.reading import Reading, reading


class Traces(NamedTuple):
    """tr A and ||A||_F^2 = tr A^2, unbiased, estimated from the same products."""

    trace: Reading
    frobenius_sq: Reading
    covariance: Floats
    """`[S]`, covariance of the two estimates; NaN where a run is not "ok"."""
    products: int
    """Products with the matrix made here, the cost."""


def hutchinson(matvec: Matvec, draw: Draw, count: int) -> Traces:
    """Return the trace as a mean over random probes.

    Formula: tr A = E <z, A z>, ||A||_F^2 = E ||A z||^2 for E z z^T = I.
    Variance of the trace: 2 (||A||_F^2 - sum a_ii^2) / m for Rademacher probes,
    2 ||A||_F^2 / m for Gaussian ones. Range: real; se from the spread of the probes.
    `count` is fixed: stopping once the running mean stands still is biased towards
    lucky stops and several times as noisy.

    Cost: `count` products.
    Source: Hutchinson 1990, Comm. Stat. Sim. 19(2).

    Args:
        matvec: A symmetric matrix a run.
        draw: Independent probes with mean 0 and identity covariance.
        count: m, at least 2.

    Raises:
        ValueError: `count` < 2.

    Example:
        For A = diag(1, 2, 3), every Rademacher probe gives 6, so the se is 0.
    """
    _need_two(count, "count")
    first = draw(0)
    product = Products(matvec, first)
    zero = torch.zeros(len(first), dtype=torch.float64, device=first.device)
    return _traces(product, zero, zero, _samples(product, draw, range(count), None))


def hutch_plus_plus(matvec: Matvec, draw: Draw, budget: int) -> Traces:
    """Return the trace exactly on a sketch of the range, by probes outside of it.

    Formula: Q = orth(A S), tr A = tr(Q^T A Q) + E <z', A z'>, z' = (I - Q Q^T) z;
    ||A||_F^2 = ||A Q||_F^2 + E ||A z'||^2; budget / 3 vectors each in S, Q and z.
    Exact for matrices of rank <= budget / 3. Range: real; se from the last third.

    Cost: `budget` products; the basis is budget / 3 * S * P numbers.
    Source: Meyer, Musco, Musco, Woodruff 2021, arXiv 2010.09649, algorithm 1.

    Args:
        matvec: A symmetric matrix a run.
        draw: Independent probes with mean 0 and identity covariance.
        budget: Products, a multiple of 3 and at least 6.

    Raises:
        ValueError: `budget` is not a multiple of 3 or below 6.

    Example:
        A matrix of rank 5 with budget 18: error at rounding (4e-16 relative).
    """
    third, remainder = divmod(budget, 3)
    if remainder or third < 2:
        raise ValueError(
            f"budget must be a multiple of 3 and at least 6 (a third each for sketch, "
            f"basis and probes), got {budget}"
        )
    first = draw(0)
    product = Products(matvec, first)
    basis = first.new_zeros(third, *first.shape)
    for i in range(third):
        rest = product(draw(i))
        before = norm(rest)
        project_out(rest, basis[:i])
        after = norm(rest)
        new = after > floor(first.dtype) * before
        basis[i] = unit(rest, torch.where(new, after, 0.0))
    trace = torch.zeros(len(first), dtype=torch.float64, device=first.device)
    square = torch.zeros_like(trace)
    for vector in basis:
        image = product(vector)
        trace += dot(vector, image)
        square += dot(image, image)
    samples = _samples(product, draw, range(third, 2 * third), basis)
    return _traces(product, trace, square, samples)


def deflated_hutchinson(
    matvec: Matvec, result: Lanczos, draw: Draw, count: int
) -> Traces:
    """Return the trace exactly on Lanczos' space, by probes outside of it.

    Formula: tr A = tr T + E <z', A z'>, z' = (I - Q Q^T) z, as Q^T A Q = T;
    ||A||_F^2 = ||T||_F^2 + beta_k^2 + E ||A z'||^2, as A Q = Q T + beta_k q e_k^T.
    Unbiased, as Q does not depend on the probes. Range: real; se from the probes.

    Cost: `count` products beside those of Lanczos.
    Source: deflation as in Gambhir, Stathopoulos, Orginos 2017 (SIAM J. Sci. Comput.
    39), with the Krylov basis in place of singular vectors.

    Args:
        matvec: The symmetric matrix of each run that `result` was made from.
        result: What `lanczos` returned.
        draw: Probes that are independent of Lanczos' start.
        count: Probes, at least 2.

    Raises:
        ValueError: `count` < 2.

    Example:
        A matrix of rank 5 after 16 steps of Lanczos: exact to rounding, se ~ 0.
    """
    _need_two(count, "count")
    basis = result.basis
    product = Products(matvec, basis[0])
    beta = result.betas
    inside = result.alphas.sum(1)
    square = (result.alphas**2).sum(1) + 2 * (beta**2).sum(1) - beta[:, -1] ** 2
    traces = _traces(
        product,
        torch.as_tensor(inside, device=basis.device),
        torch.as_tensor(square, device=basis.device),
        _samples(product, draw, range(count), basis),
    )
    state = np.where(result.status == OK, traces.trace.status, result.status)
    return Traces(
        reading(traces.trace.value, state, traces.trace.se),
        reading(traces.frobenius_sq.value, state, traces.frobenius_sq.se),
        np.where(state == OK, traces.covariance, np.nan),
        traces.products,
    )


def _samples(
    product: Products, draw: Draw, indices: range, basis: Tensor | None
) -> Tensor:
    """Return <z, A z> and ||A z||^2 of every probe, float64 `[2, m, S]`."""
    forms, squares = [], []
    for index in indices:
        probe = draw(index)
        if basis is not None:
            wide = probe.double()
            project_out(wide, basis)
            probe = wide.to(probe.dtype)
        image = product(probe)
        forms.append(dot(probe, image))
        squares.append(dot(image, image))
    return torch.stack([torch.stack(forms), torch.stack(squares)])


def _traces(
    product: Products, trace: Tensor, square: Tensor, samples: Tensor
) -> Traces:
    """Return known parts plus sample means, with errors from the samples' spread."""
    known = host(torch.stack([trace, square]))
    drawn = host(samples)
    mean = drawn.mean(1)
    centred = drawn - mean[:, None]
    m = drawn.shape[1]
    spread = (centred[:, None] * centred[None]).sum(2) / (m * (m - 1))  # [2, 2, S]
    state = product.status()
    value = known + mean
    return Traces(
        reading(value[0], state, np.sqrt(spread[0, 0])),
        reading(value[1], state, np.sqrt(spread[1, 1])),
        np.where(state == OK, spread[0, 1], np.nan),
        product.count,
    )


def _need_two(count: int, name: str) -> None:
    if count < 2:
        raise ValueError(f"{name} must be at least 2 for a standard error, got {count}")
