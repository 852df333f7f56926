"""How the covariance of gradients lies to the Hessian, from products with both.

Sigma = E[g g'] - gbar gbar' of single images' gradients is never formed; each probe is
multiplied once by Sigma and once by H and gives one sample of every moment.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.curvature.vectors import Draw, Matvec, Products, dot, host, project_out
from harness.measure import OK, Floats
from harness.reading import Reading, reading


class Moments(NamedTuple):
    """Unbiased estimates of two matrices' moments, `[S]`, and their samples."""

    cross: Reading
    """tr(Sigma H)."""
    covariance_sq: Reading
    """||Sigma||_F^2."""
    hessian_sq: Reading
    """||H||_F^2."""
    covariance_trace: Reading
    """tr Sigma."""
    hessian_trace: Reading
    """tr H."""
    samples: Floats
    """`[5, m, S]`, what each probe says of the five, in this order."""
    status: npt.NDArray[np.str_]
    """`[S]`, "ok" or "diverged"."""
    dim: int
    """P."""


def moments(
    covariance: Matvec,
    hessian: Matvec,
    draw: Draw,
    count: int,
    *,
    basis: Tensor | None = None,
) -> Moments:
    """Return tr(Sigma H), both Frobenius norms and both traces from the same probes.

    Formula: for E z z' = I, tr(Sigma H) = E <Sigma z, H z>, ||A||_F^2 = E ||A z||^2,
    tr A = E <z, A z>; with a basis Q, exactly on Q plus the same for (I - Q Q') z.
    Standard errors from the spread of the probes. Networks have few directions that
    carry most of both matrices: without them in a basis, a dozen probes scatter by a
    quarter and their errors are themselves uncertain.

    Cost: `count` products with each matrix, and one more for each basis vector.
    Source: Hutchinson 1990, Comm. Stat. Sim. 19(2).

    Args:
        covariance: Sigma, such as `Landscape.covariance_product`.
        hessian: H, symmetric, of the same images.
        draw: Independent probes with mean 0 and identity covariance.
        count: m, at least 2.
        basis: Orthonormal `[k, S, P]` (or zero), independent of the probes, such as
            the first rows of `lanczos(hessian, ...).basis`.

    Raises:
        ValueError: `count` < 2.

    Example:
        Sigma = I, H = diag(10, 1, .1) with signs as probes: 11.1, 3, 101.01, 3, 11.1.
    """
    if count < 2:
        raise ValueError(f"count must be at least 2 for a standard error, got {count}")
    first = draw(0)
    sigma, curved = Products(covariance, first), Products(hessian, first)

    def forms(probe: Tensor) -> Tensor:
        a, b = sigma(probe), curved(probe)
        pairs = ((a, b), (a, a), (b, b), (probe, a), (probe, b))
        return torch.stack([dot(left, right) for left, right in pairs])

    if basis is None:
        basis = first.new_zeros(0, *first.shape)
    known = torch.zeros(5, len(first), dtype=torch.float64, device=first.device)
    for vector in basis:
        known += forms(vector)
    samples = []
    for index in range(count):
        probe = draw(index).double()
        project_out(probe, basis)
        samples.append(known + forms(probe.to(first.dtype)))
    drawn = host(torch.stack(samples, 1))
    status = np.where(sigma.status() == OK, curved.status(), sigma.status())
    spread = drawn.std(1, ddof=1) / np.sqrt(count)
    mean = drawn.mean(1)
    cross, covariance_sq, hessian_sq, covariance_trace, hessian_trace = (
        reading(value, status, se) for value, se in zip(mean, spread, strict=True)
    )
    return Moments(
        cross,
        covariance_sq,
        hessian_sq,
        covariance_trace,
        hessian_trace,
        samples=drawn,
        status=status,
        dim=first.shape[1],
    )
