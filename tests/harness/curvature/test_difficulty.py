import numpy as np
import pytest

from harness.curvature.covariance import moments
from harness.curvature.difficulty import difficulty, kappa_cos, kappa_ratio
from harness.measure import ILL_CONDITIONED, NOT_APPLICABLE, OK
from harness.reading import reading
from tests.harness.curvature.matrices import gapped, probes, shared, with_spectrum

HESSIAN = np.diag([10, 1, 0.1])


def of(sigma: np.ndarray, hessian: np.ndarray, runs: int = 1, count: int = 4):
    dim = len(hessian)
    return moments(shared(sigma), shared(hessian), probes(runs, dim), count)


def test_a_covariance_equal_to_the_hessian_has_cosine_one():
    matrix = with_spectrum(gapped(50))
    found = kappa_cos(of(matrix, matrix))
    assert found.value == pytest.approx(1.0, abs=1e-12)
    assert found.se == pytest.approx(0.0, abs=1e-6)


def test_isotropic_noise_has_the_known_cosine_and_ratio_one():
    found = of(np.eye(3), HESSIAN)
    assert kappa_cos(found).value == pytest.approx(0.6376, abs=5e-5)
    assert kappa_ratio(found).value == pytest.approx(1.0, rel=1e-12)


@pytest.mark.slow
def test_the_jackknife_error_is_the_spread_over_draws():
    hessian = with_spectrum(gapped(60))
    sigma = hessian @ hessian + with_spectrum(np.linspace(0, 9, 60), seed=3)
    found = of(sigma, hessian, runs=500, count=40)
    for kappa in (kappa_cos(found), kappa_ratio(found)):
        assert np.sqrt((kappa.se**2).mean()) == pytest.approx(
            kappa.value.std(), rel=0.15
        )
    cosine = np.trace(sigma @ hessian) / (
        np.linalg.norm(sigma) * np.linalg.norm(hessian)
    )
    assert kappa_cos(found).value.mean() == pytest.approx(cosine, abs=0.01)


def test_ten_times_the_loss_is_ten_times_the_difficulty():
    found = []
    for scale in (1, 10):
        hessian = scale * HESSIAN
        parts = of(scale**2 * HESSIAN, hessian)
        top = reading([10.0 * scale])
        found.append(difficulty(top, parts.hessian_trace, kappa_cos(parts)).value[0])
    assert found == pytest.approx([9.009, 90.09], abs=0.001)


def test_there_is_no_difficulty_without_a_positive_trace():
    top = reading([1.0, 1.0, 1.0, np.nan], [OK, OK, OK, ILL_CONDITIONED])
    trace = reading([2.0, 0.0, -1.0, 2.0])
    found = difficulty(top, trace, reading([0.5] * 4))
    assert found.status.tolist() == [
        OK,
        NOT_APPLICABLE,
        NOT_APPLICABLE,
        ILL_CONDITIONED,
    ]
    assert found.value[0] == 0.25


def test_errors_of_trace_and_alignment_add_up():
    numbers = np.random.default_rng(0)
    trace, kappa = numbers.normal([[11.0], [0.5]], [[0.2], [0.01]], (2, 20_000))
    spread = (100 / trace * kappa).std()
    found = difficulty(
        reading([10.0]), reading([11.0], se=[0.2]), reading([0.5], se=[0.01])
    )
    assert found.se == pytest.approx(spread, rel=0.03)


def test_zero_noise_has_no_alignment():
    found = of(np.zeros((3, 3)), HESSIAN)
    assert kappa_cos(found).status.tolist() == [NOT_APPLICABLE]
    assert kappa_ratio(found).status.tolist() == [NOT_APPLICABLE]
    uphill = of(np.eye(3), -HESSIAN)
    assert kappa_cos(uphill).value == pytest.approx(-0.6376, abs=5e-5)
    assert kappa_ratio(uphill).status.tolist() == [NOT_APPLICABLE]
