import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq

from harness.curvature.spectral_density import (
    average,
    moment,
    quantile,
    smooth,
    spectral_density,
)
from harness.measure import DIVERGED, ILL_CONDITIONED, OK
from tests.harness.curvature.matrices import (
    gapped,
    goe,
    probes,
    products,
    shared,
    with_spectrum,
)

MP_LOW, MP_HIGH = (1 - 0.5**0.5) ** 2, (1 + 0.5**0.5) ** 2  # 0.0858, 2.914


def wishart(dim: int) -> np.ndarray:
    """A sample covariance whose eigenvalues follow Marchenko-Pastur with q = 0.5."""
    draws = np.random.default_rng(0).normal(size=(dim, 2 * dim))
    return draws @ draws.T / (2 * dim)


def marchenko_pastur_quantile(level: float) -> float:
    def below(x: float) -> float:
        def density(u: float) -> float:
            return np.sqrt((MP_HIGH - u) * (u - MP_LOW)) / (np.pi * u)

        return quad(density, MP_LOW, x)[0] - level

    return brentq(below, MP_LOW, MP_HIGH)


def close(reading, exact):
    """Within four standard errors of the exact value, for every run."""
    return (np.abs(reading.value - exact) <= 4 * reading.se + 1e-12).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_of_a_gaussian_orthogonal_matrix(dtype):
    draw = probes(2, 600, dtype=dtype)
    found = spectral_density(shared(goe(600), dtype), draw, steps=40)
    assert found.products == 400
    for order, exact in [(0, 1), (1, 0), (2, 1), (4, 2)]:
        reading = moment(found, order)
        assert close(reading, exact)
        assert (reading.se < 0.1).all()


def test_moments_and_edges_of_marchenko_pastur():
    found = spectral_density(shared(wishart(600)), probes(2, 600), steps=64)
    for order, exact in enumerate([1, 1, 1.5, 2.75]):
        assert close(moment(found, order), exact)
    edges = found.nodes.min((1, 2)), found.nodes.max((1, 2))
    np.testing.assert_allclose(edges[0], MP_LOW, atol=0.01)
    np.testing.assert_allclose(edges[1], MP_HIGH, atol=0.05)
    low, high = map(marchenko_pastur_quantile, (0.005, 0.995))
    assert (round(low, 4), round(high, 4)) == (0.0977, 2.7966)
    np.testing.assert_allclose(quantile(found, 0.005).value, low, atol=0.01)
    np.testing.assert_allclose(quantile(found, 0.995).value, high, atol=0.03)


def test_low_moments_are_those_of_the_probes_themselves():
    # Quadrature of k steps is exact for degree < 2 k: <z, A^p z> / P, no more error.
    matrix, draw = goe(60), probes(1, 60)
    found = spectral_density(products(matrix), draw, probes=3, steps=4)
    z = torch.cat([draw(i) for i in range(3)]).numpy()
    for order in range(8):
        power = np.linalg.matrix_power(matrix, order)
        exact = np.einsum("ni,ij,nj->n", z, power, z).mean() / 60
        assert moment(found, order).value[0] == pytest.approx(exact, abs=1e-12)


def test_standard_errors_are_the_spread_of_repetitions():
    found = spectral_density(shared(goe(60)), probes(80, 60), steps=6)
    reading = average(found, np.exp)
    assert np.sqrt((reading.se**2).mean()) == pytest.approx(
        reading.value.std(), rel=0.3
    )


def test_quantiles_of_few_eigenvalues_are_eigenvalues():
    matrix = np.diag([*50 * [0.0], *45 * [1.0], *5 * [7.0]])
    found = spectral_density(products(matrix), probes(1, 100), steps=8)
    for level, exact in [(0.005, 0), (0.4, 0), (0.6, 1), (0.9, 1), (0.995, 7)]:
        assert quantile(found, level).value[0] == pytest.approx(exact, abs=1e-12)


def test_the_smooth_density_is_the_nodes_seen_through_the_kernel():
    found = spectral_density(shared(goe(300)), probes(1, 300), steps=40)
    curve = smooth(found, width=0.03)
    grid, values = curve.grid[0], curve.values[0]
    assert np.trapezoid(values, grid) == pytest.approx(1, abs=1e-4)
    mean = np.trapezoid(values * grid**2, grid)
    expected = moment(found, 2).value[0] + curve.width.value[0] ** 2
    assert mean == pytest.approx(expected, abs=1e-3)
    inner = np.abs(grid) < 1.5
    circle = np.sqrt(4 - grid[inner] ** 2) / (2 * np.pi)
    np.testing.assert_allclose(values[inner], circle, atol=0.05)
    nodes = found.nodes.max() - found.nodes.min()
    assert curve.width.value[0] == pytest.approx(0.03 * nodes)


def test_a_single_point_mass_has_no_kernel_width():
    found = spectral_density(products(np.eye(9), goe(9)), probes(2, 9), probes=2)
    curve = smooth(found)
    assert curve.width.status.tolist() == [ILL_CONDITIONED, OK]
    assert np.isnan(curve.values[0]).all()
    assert np.isfinite(curve.values[1]).all()
    assert quantile(found, 0.5).value[0] == 1.0


def test_outliers_appear_once_with_the_weight_of_one_eigenvalue():
    matrix = with_spectrum(gapped())
    found = spectral_density(shared(matrix), probes(3, 200), steps=64)
    outlier = np.abs(found.nodes - 10) < 1e-6
    assert (outlier.sum(2) == 1).all()
    share = (found.weights * outlier).sum(2)
    assert share.mean() == pytest.approx(1 / 200, abs=4 * share.std() / 30**0.5)


def test_a_runs_density_ignores_its_neighbours_even_when_they_diverge():
    matrices = [goe(51, seed) for seed in range(3)]
    draw = probes(3, 51, dtype=torch.float32)

    def run(matrices, draw):
        matvec = products(*matrices, dtype=torch.float32)
        return spectral_density(matvec, draw, probes=2, steps=20)

    together = run(matrices, draw)
    alone = run(matrices[2:], lambda i: draw(i)[2:])
    sick = run([matrices[0], np.full((51, 51), np.nan), matrices[2]], draw)
    assert sick.status.tolist() == [OK, DIVERGED, OK]
    assert quantile(sick, 0.5).status.tolist() == [OK, DIVERGED, OK]
    assert smooth(sick).width.status.tolist() == [OK, DIVERGED, OK]
    for field in ("nodes", "weights"):
        expected = getattr(together, field)[2]
        assert np.array_equal(getattr(alone, field)[0], expected)
        assert np.array_equal(getattr(sick, field)[2], expected)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="at least 2 for standard errors, got 1"):
        spectral_density(products(np.eye(3)), probes(1, 3), probes=1)
    found = spectral_density(products(np.eye(3)), probes(1, 3), probes=2)
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 1"):
        quantile(found, 1)
    with pytest.raises(ValueError, match="width > 0, got 1024 and 0"):
        smooth(found, width=0)
