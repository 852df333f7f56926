import numpy as np
import pytest
from scipy.optimize import least_squares

from harness.fits.huber_lm import Pull, Residuals, fit_huber, huber
from harness.seeds import stream

X = np.linspace(0, 4, 60)
DELTA = 0.05


def curves(num: int) -> np.ndarray:
    """Decays with noise and a few gross errors, [num, 60]."""
    rng = stream(0, "test_huber_lm")
    y = np.exp(rng.normal(0, 0.3, (num, 1)) - np.exp(rng.normal(0, 0.3, (num, 1))) * X)
    y += 0.03 * rng.standard_normal(y.shape)
    y[:, ::11] += 0.5
    return y


def decay(y: np.ndarray):
    """exp(a - exp(b) x) - y as a model of a and b."""

    def model(theta, rows):
        fitted = np.exp(theta[:, :1] - np.exp(theta[:, 1:]) * X)
        by_b = -fitted * np.exp(theta[:, 1:]) * X
        return Residuals(fitted - y[rows], np.stack([fitted, by_b], axis=2))

    return model


def everywhere(y: np.ndarray) -> np.ndarray:
    return np.ones(y.shape, dtype=bool)


def test_minimum_agrees_with_scipy() -> None:
    y = curves(20)
    fit = fit_huber(decay(y), np.zeros((20, 2)), everywhere(y), delta=DELTA)
    assert fit.converged.all()
    for row, cost, theta in zip(y, fit.cost, fit.theta, strict=True):
        oracle = least_squares(
            lambda p, row=row: np.exp(p[0] - np.exp(p[1]) * X) - row,
            [0.0, 0.0],
            loss="huber",
            f_scale=DELTA,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        assert cost <= oracle.cost / DELTA**2 * (1 + 1e-9)
        np.testing.assert_allclose(theta, oracle.x, atol=1e-5)


def test_a_row_is_the_same_alone_and_in_company() -> None:
    y = curves(9)
    together = fit_huber(decay(y), np.zeros((9, 2)), everywhere(y), delta=DELTA)
    for i in range(9):
        one = y[i : i + 1]
        alone = fit_huber(decay(one), np.zeros((1, 2)), everywhere(one), delta=DELTA)
        assert (alone.theta[0] == together.theta[i]).all()
        assert (alone.covariance[0] == together.covariance[i]).all()


def test_unused_points_do_not_matter() -> None:
    y = curves(2)
    used = everywhere(y)
    used[:, 40:] = False
    spoilt = y.copy()
    spoilt[:, 40:] = np.nan
    first = fit_huber(decay(y), np.zeros((2, 2)), used, delta=DELTA)
    second = fit_huber(decay(spoilt), np.zeros((2, 2)), used, delta=DELTA)
    assert (first.theta == second.theta).all()


def test_a_strong_pull_holds_a_parameter() -> None:
    y = curves(1)
    pull = Pull(np.array([0.0, 0.7]), np.array([0.0, 1e12]))
    fit = fit_huber(decay(y), np.zeros((1, 2)), everywhere(y), delta=DELTA, pull=pull)
    assert fit.theta[0, 1] == pytest.approx(0.7, abs=1e-6)


def test_errors_are_as_wide_as_the_scatter() -> None:
    rng = stream(1, "test_huber_lm")
    y = np.exp(-X) + 0.03 * rng.standard_normal((400, 60))
    fit = fit_huber(decay(y), np.zeros((400, 2)), everywhere(y), delta=DELTA)
    error = np.sqrt(np.einsum("npp->np", fit.covariance))
    np.testing.assert_allclose(np.std(fit.theta / error, axis=0), 1.0, atol=0.15)


def test_a_direction_without_effect_has_no_covariance() -> None:
    y = np.ones((1, 60))

    def model(theta, rows):
        ones = np.ones((len(theta), 60))
        return Residuals(theta.sum(axis=1)[:, None] - y[rows], np.stack([ones] * 2, 2))

    fit = fit_huber(model, np.zeros((1, 2)), everywhere(y), delta=DELTA)
    assert fit.theta.sum() == pytest.approx(1.0)
    assert np.isinf(fit.covariance).all()


def test_huber_is_quadratic_then_linear() -> None:
    r = np.array([-3.0, -1.0, 0.0, 0.5, 1.0, 2.0])
    assert huber(r, 1.0).tolist() == [2.5, 0.5, 0.0, 0.125, 0.5, 1.5]
