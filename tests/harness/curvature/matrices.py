"""Symmetric matrices with known spectra, as products for one or more runs."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.curvature.vectors import Draw, Matvec, rademacher


def with_spectrum(eigenvalues: Sequence[float], seed: int = 0) -> np.ndarray:
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    values = np.asarray(eigenvalues, np.float64)
    draws = np.random.default_rng(seed).normal(size=(len(values), len(values)))
    basis = np.linalg.qr(draws)[0]
    dense = (basis * values) @ basis.T
    return (dense + dense.T) / 2


def gapped(dim: int = 200) -> list[float]:
    """The spectrum {10, 8, 5, U(0, 1)}."""
    return [10.0, 8.0, 5.0, *np.random.default_rng(1).uniform(0, 1, dim - 3)]


def goe(dim: int, seed: int = 0) -> np.ndarray:
    """A Gaussian orthogonal matrix whose eigenvalues fill [-2, 2]."""
    draws = np.random.default_rng(seed).normal(size=(dim, dim))
    return (draws + draws.T) / np.sqrt(2 * dim)


def products(*matrices: np.ndarray, dtype: torch.dtype = torch.float64) -> Matvec:
    """One matrix a run, each multiplied as if it were alone.

    The clone aligns a row in memory, without which it rounds otherwise in a cohort.
    """
    dense = [torch.as_tensor(m, dtype=dtype) for m in matrices]

    def multiply(vectors: Tensor) -> Tensor:
        return torch.stack([m @ v.clone() for m, v in zip(dense, vectors, strict=True)])

    return multiply


def shared(matrix: np.ndarray, dtype: torch.dtype = torch.float64) -> Matvec:
    """The same matrix for every run: repetitions of an experiment."""
    dense = torch.as_tensor(matrix, dtype=dtype)
    return lambda vectors: vectors @ dense


def probes(
    runs: int,
    dim: int,
    *,
    purpose: str = "probe",
    kind: Callable[..., Tensor] = rademacher,
    dtype: torch.dtype = torch.float64,
) -> Draw:
    """Probes of runs with the seeds 0, 1, ..."""
    return lambda index: kind(range(runs), dim, index, purpose=purpose, dtype=dtype)
