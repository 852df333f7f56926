import numpy as np
import pytest

from harness.curvature.log_determinant import log_determinant
from harness.curvature.spectral_density import spectral_density
from harness.measure import DIVERGED, NOT_APPLICABLE, OK
from tests.harness.curvature.matrices import probes, products, shared, with_spectrum


def hessian_like() -> np.ndarray:
    """Eigenvalues of 200 dimensions: many near 0, ten up to 10."""
    small = np.random.default_rng(0).exponential(0.05, 190)
    return np.array([*small, *np.linspace(1, 10, 10)])


def test_thirty_probes_of_sixty_steps_come_within_a_few_percent():
    values = hessian_like()
    exact = np.log(values + 0.1).sum()
    assert exact == pytest.approx(-345.45, abs=0.01)
    density = spectral_density(
        shared(with_spectrum(values)), probes(2, 200), probes=30, steps=60
    )
    found = log_determinant(density)
    np.testing.assert_allclose(found.total.value, exact, rtol=0.03)
    assert (np.abs(found.total.value - exact) < 4 * found.total.se).all()
    np.testing.assert_allclose(found.per_parameter.value, found.total.value / 200)
    np.testing.assert_allclose(found.per_parameter.se, found.total.se / 200)
    np.testing.assert_allclose(
        found.excess.value, found.total.value - 200 * np.log(0.1)
    )
    np.testing.assert_allclose(
        found.excess.value, np.log1p(values / 0.1).sum(), rtol=0.1
    )


def test_small_negative_eigenvalues_are_clipped_and_larger_ones_undefined():
    matrices = [np.diag([-0.05, 0.9]), np.diag([-0.2, 0.9]), np.full((2, 2), np.nan)]
    density = spectral_density(products(*matrices), probes(3, 2))
    found = log_determinant(density, 0.1)
    assert found.total.status.tolist() == [OK, NOT_APPLICABLE, DIVERGED]
    assert found.excess.status.tolist() == found.total.status.tolist()
    assert found.total.value[0] == pytest.approx(np.log(0.1) + np.log(1.0))


def test_a_multiple_of_the_identity_is_exact():
    density = spectral_density(products(0.9 * np.eye(50)), probes(1, 50))
    found = log_determinant(density, 0.1)
    assert found.total.value[0] == pytest.approx(0, abs=1e-12)
    assert found.excess.value[0] == pytest.approx(50 * np.log(10))
    assert found.total.se[0] == pytest.approx(0, abs=1e-12)
    assert found.epsilon == 0.1


def test_a_ridge_that_is_not_positive_is_refused():
    density = spectral_density(products(np.eye(3)), probes(1, 3))
    with pytest.raises(ValueError, match="epsilon must be positive, got 0"):
        log_determinant(density, 0)
