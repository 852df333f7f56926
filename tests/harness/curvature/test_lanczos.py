import numpy as np
import pytest
import torch

from harness.curvature.lanczos import (
    extremes,
    lanczos,
    overlaps,
    ritz,
    ritz_vectors,
)
from harness.curvature.vectors import gaussian, rademacher
from harness.measure import DIVERGED, ILL_CONDITIONED, OK
from tests.harness.curvature.matrices import (
    gapped,
    goe,
    probes,
    products,
    shared,
    with_spectrum,
)


@pytest.mark.parametrize(
    ("dtype", "typical", "worst"),
    [(torch.float64, 1.5e-9, 1e-7), (torch.float32, 3e-8, 1e-7)],
)
def test_eight_products_find_an_eigenvalue_above_a_gap(dtype, typical, worst):
    matrix = with_spectrum(gapped())
    start = probes(100, 200, dtype=dtype)(0)
    found = extremes(lanczos(shared(matrix, dtype), start, 8)).largest
    error = np.abs(found.value / 10 - 1)
    assert found.ok.all()
    assert np.median(error) < typical
    assert error.max() < worst


def test_the_largest_eigenvalue_is_not_the_one_of_largest_magnitude():
    inner = np.random.default_rng(0).uniform(0, 1, 198)
    matrix = with_spectrum([-12, 8, *inner])
    found = extremes(lanczos(products(matrix), probes(1, 200)(0), 16))
    for reading, exact in [
        (found.largest, 8),
        (found.smallest, -12),
        (found.magnitude, 12),
    ]:
        np.testing.assert_allclose(reading.value, [exact], rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_invariant_space_ends_lanczos_with_exact_eigenvalues(dtype):
    direction = np.ones((30, 1)) / 30**0.5
    matrices = [np.zeros((30, 30)), np.eye(30), 3 * direction @ direction.T]
    start = rademacher(range(3), 30, 0, dtype=dtype)
    result = lanczos(products(*matrices, dtype=dtype), start, 10)
    assert result.size.tolist() == [1, 1, 2]
    found = extremes(result)
    rounding = 30 * torch.finfo(dtype).eps
    np.testing.assert_allclose(found.largest.value, [0, 1, 3], atol=rounding)
    np.testing.assert_allclose(found.smallest.value, [0, 1, 0], atol=rounding)
    assert found.magnitude.ok.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_steps_than_dimensions_give_the_whole_spectrum(dtype):
    matrix = goe(5)
    result = lanczos(products(matrix, dtype=dtype), probes(1, 5, dtype=dtype)(0), 16)
    assert result.products == 5
    exact = np.linalg.eigvalsh(matrix)[::-1]
    np.testing.assert_allclose(ritz(result).values[0], exact, atol=1e-6)
    assert extremes(result).smallest.ok.all()


def test_an_eigenvalue_that_has_not_converged_is_no_value_but_has_a_residual():
    matrix = with_spectrum(np.linspace(0, 1, 200))
    found = extremes(lanczos(products(matrix), probes(1, 200)(0), 6))
    assert found.largest.status.tolist() == [ILL_CONDITIONED]
    assert np.isnan(found.largest.value).all()
    assert found.largest_residual.value[0] > 1e-3


@pytest.mark.parametrize("noise", [0.0, 1e-2])
def test_residuals_are_those_of_the_ritz_vectors_even_for_inexact_products(noise):
    matrix = with_spectrum(gapped())
    spoiled = matrix + noise * np.random.default_rng(0).normal(size=matrix.shape) / 15
    result = lanczos(products(spoiled), probes(1, 200)(0), 12)
    vectors, pairs = ritz_vectors(result, 12), ritz(result)
    for i, vector in enumerate(vectors[:, 0].numpy()):
        assert np.linalg.norm(vector) == pytest.approx(1, rel=1e-12)
        rest = spoiled @ vector - pairs.values[0, i] * vector
        expected = np.linalg.norm(rest)
        assert pairs.residuals[0, i] == pytest.approx(expected, rel=1e-6, abs=1e-13)
    assert (pairs.residuals[0, 0] > 1e-4) == (noise > 0)


def test_the_tridiagonal_is_the_matrix_seen_from_the_basis():
    matrix = goe(80)
    result = lanczos(products(matrix), probes(1, 80)(0), 20)
    basis = result.basis[:, 0].numpy()
    np.testing.assert_allclose(basis @ basis.T, np.eye(20), atol=1e-14)
    beta = result.betas[0, :-1]
    tridiagonal = np.diag(result.alphas[0]) + np.diag(beta, 1) + np.diag(beta, -1)
    np.testing.assert_allclose(basis @ matrix @ basis.T, tridiagonal, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_converged_eigenvalues_leave_no_ghost_copies(dtype):
    matrix = with_spectrum(gapped())
    start = probes(1, 200, dtype=dtype)(0)
    values = ritz(lanczos(shared(matrix, dtype), start, 80)).values[0]
    assert ((values > 2).sum(), len(values)) == (3, 80)


def test_ritz_vectors_are_eigenvectors_and_overlaps_need_only_the_basis():
    matrix = with_spectrum(gapped())
    result = lanczos(
        products(matrix, dtype=torch.float32), probes(1, 200, dtype=torch.float32)(0)
    )
    exact = np.linalg.eigh(matrix)[1][:, ::-1][:, :3]
    vectors = ritz_vectors(result, 3)
    assert vectors.dtype == torch.float32
    cosine = np.abs((vectors[:, 0].numpy() * exact.T).sum(1))
    np.testing.assert_allclose(cosine, 1, atol=1e-6)
    rows = gaussian([1], 200, 0)
    inner = (vectors[:, 0] @ rows[0]).numpy()
    np.testing.assert_allclose(overlaps(result, rows)[0, :3], inner, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_runs_numbers_do_not_depend_on_its_neighbours(dtype):
    matrices = [goe(201, seed) for seed in range(3)]
    start = rademacher(range(3), 201, 0, dtype=dtype)
    together = lanczos(products(*matrices, dtype=dtype), start, 12)
    for s, matrix in enumerate(matrices):
        alone = lanczos(products(matrix, dtype=dtype), start[s : s + 1], 12)
        assert torch.equal(alone.basis[:, 0], together.basis[:, s])
        for name in ("alphas", "betas", "measured"):
            assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[s])
        assert np.array_equal(
            ritz_vectors(alone, 2)[:, 0], ritz_vectors(together, 2)[:, s]
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_run_that_diverges_disturbs_no_other(bad):
    matrices = [goe(50, seed) for seed in range(3)]
    start = probes(3, 50)(0)
    healthy = lanczos(products(*matrices), start, 50)
    matrices[1] = np.full((50, 50), bad)
    sick = lanczos(products(*matrices), start, 50)
    assert sick.status.tolist() == [OK, DIVERGED, OK]
    for s in (0, 2):
        assert np.array_equal(sick.alphas[s], healthy.alphas[s])
    found = extremes(sick)
    assert found.largest.status.tolist() == [OK, DIVERGED, OK]
    assert found.largest_residual.status.tolist() == [OK, DIVERGED, OK]
    assert torch.isfinite(sick.basis).all()


def test_a_start_without_direction_has_no_eigenvalues():
    start = torch.ones(3, 20)
    start[0] = 0
    start[1] = float("nan")
    result = lanczos(products(*3 * [np.eye(20)], dtype=torch.float32), start, 4)
    assert result.status.tolist() == [ILL_CONDITIONED, DIVERGED, OK]
    assert extremes(result).largest.status.tolist() == result.status.tolist()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="got steps=0"):
        lanczos(products(np.eye(3)), torch.ones(1, 3), 0)
    with pytest.raises(ValueError, match=r"got steps=4 and torch.int64 \(3,\)"):
        lanczos(products(np.eye(3)), torch.ones(3, dtype=torch.int64), 4)
    result = lanczos(products(np.eye(3)), torch.ones(1, 3).double(), 2)
    with pytest.raises(ValueError, match=r"must be 1\.\.2"):
        ritz_vectors(result, 3)


@pytest.mark.gpu
def test_cuda_gives_the_numbers_of_the_cpu():
    matrix = torch.as_tensor(with_spectrum(gapped()))
    start = probes(4, 200)(0)
    here = extremes(lanczos(lambda v: v @ matrix, start, 12))
    there = matrix.cuda()
    found = extremes(lanczos(lambda v: v @ there, start.cuda(), 12))
    np.testing.assert_allclose(found.largest.value, here.largest.value, rtol=1e-12)
