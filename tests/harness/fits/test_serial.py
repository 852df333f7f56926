import numpy as np
import pytest

from harness.fits.serial import RHO_GRID, SerialErrors


@pytest.mark.parametrize("x", [np.log(np.linspace(5, 15, 41)), np.arange(7.0) ** 2])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8, 0.99])
def test_errors_agree_with_dense_matrices(x, rho):
    n = len(x)
    design = np.stack([np.ones(n), x], axis=1)
    weights = np.linalg.inv(design.T @ design) @ design.T
    maker = np.eye(n) - design @ weights
    noise = rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    shift = (np.eye(n, k=1) + np.eye(n, k=-1)) / 2
    kept = np.trace(maker @ noise)
    seen = np.trace(maker @ shift @ maker @ noise) / kept
    expected = np.sqrt(0.6 / kept * np.diag(weights @ noise @ weights.T))
    found = SerialErrors(x).of(np.array([0.6]), np.array([seen]))
    assert found.rho[0] == pytest.approx(rho, abs=1e-9)
    assert found.intercept[0] == pytest.approx(expected[0], rel=1e-9)
    assert found.slope[0] == pytest.approx(expected[1], rel=1e-9)


def test_negative_and_extreme_correlations_stay_in_the_range():
    found = SerialErrors(np.arange(30.0)).of(np.ones(3), np.array([-0.9, 0.5, 1.0]))
    assert found.rho[0] == 0
    assert found.rho[2] == RHO_GRID[-1]
    assert (np.diff(found.slope) > 0).all()
