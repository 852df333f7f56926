import numpy as np
import pytest
import torch

from harness.curvature.covariance import moments
from harness.curvature.lanczos import lanczos
from harness.curvature.vectors import gaussian
from harness.measure import DIVERGED, OK
from tests.harness.curvature.matrices import (
    goe,
    probes,
    products,
    shared,
    with_spectrum,
)


def covariance_like(dim: int, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed).normal(size=(dim, 2 * dim))
    return draws @ (draws.T * np.linspace(0.1, 3, dim)) / dim


def exact(sigma: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    return np.array(
        [
            np.trace(sigma @ hessian),
            (sigma**2).sum(),
            (hessian**2).sum(),
            np.trace(sigma),
            np.trace(hessian),
        ]
    )


def test_every_moment_is_unbiased_and_its_error_honest():
    sigma, hessian = covariance_like(40, 0), goe(40) + np.eye(40)
    sigma = (sigma + sigma.T) / 2
    found = moments(shared(sigma), shared(hessian), probes(1500, 40), 8)
    for estimate, truth in zip(found[:5], exact(sigma, hessian), strict=True):
        values = estimate.value
        spread = values.std()
        assert abs(values.mean() - truth) < 4 * spread / np.sqrt(len(values))
        assert np.sqrt((estimate.se**2).mean()) == pytest.approx(spread, rel=0.08)


def test_a_basis_of_the_large_directions_makes_it_sharp():
    hessian = with_spectrum([300.0, 100.0, *np.linspace(0, 1, 48)])
    sigma = hessian + covariance_like(50, 1)
    sigma = (sigma + sigma.T) / 2
    draw = probes(400, 50)
    start = gaussian(range(400), 50, 0, dtype=torch.float64)
    basis = lanczos(shared(hessian), start, 6).basis
    plain = moments(shared(sigma), shared(hessian), draw, 6)
    sharp = moments(shared(sigma), shared(hessian), draw, 6, basis=basis)
    truths = exact(sigma, hessian)
    for before, after, truth in zip(plain[:5], sharp[:5], truths, strict=True):
        spread = after.value.std()
        assert abs(after.value.mean() - truth) < 4 * spread / 20
        assert spread < before.value.std() / 10


def test_diagonal_matrices_are_exact_from_signs():
    hessian = np.diag([10, 1, 0.1])
    found = moments(products(np.eye(3)), products(hessian), probes(1, 3), 2)
    values = [estimate.value[0] for estimate in found[:5]]
    assert values == pytest.approx([11.1, 3, 101.01, 3, 11.1], rel=1e-12)
    assert found.dim == 3


def test_a_product_that_is_not_finite_marks_its_run_alone():
    broken = np.diag([1.0, np.inf])
    good = np.eye(2)
    found = moments(products(good, good), products(good, broken), probes(2, 2), 2)
    assert found.status.tolist() == [OK, DIVERGED]
    assert found.cross.status.tolist() == [OK, DIVERGED]
    assert found.cross.value[0] == 2


def test_one_probe_is_refused():
    identity = products(np.eye(3))
    with pytest.raises(ValueError, match="at least 2"):
        moments(identity, identity, lambda index: torch.ones(1, 3), 1)
