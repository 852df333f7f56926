import numpy as np
import pytest
from scipy import stats

from harness.fits.exponential import fit_exponential
from harness.measure import DIVERGED, ILL_CONDITIONED
from harness.seeds import stream

T41 = np.linspace(5, 15, 41)


def test_an_exact_decay_is_recovered():
    found = fit_exponential(T41, np.stack([np.exp(-T41 / 10), 2 * np.exp(T41 / 50)]))
    np.testing.assert_allclose(found["tau"], [10, -50], rtol=1e-12)
    np.testing.assert_allclose(found["rate"], [0.1, -0.02], rtol=1e-12)
    np.testing.assert_allclose(found["log_c"], [0, np.log(2)], atol=1e-12)
    np.testing.assert_allclose(found["r2"], 1, atol=1e-12)


def test_noisy_curves_agree_with_scipy():
    noise = 0.1 * stream(0, "curves").standard_normal((10, 41))
    loss = np.exp(-T41 / 8 + noise)
    found = fit_exponential(T41, loss, window=(6, 12))
    inside = (T41 >= 6) & (T41 <= 12)
    for i in range(10):
        line = stats.linregress(T41[inside], np.log(loss[i, inside]))
        np.testing.assert_allclose(
            [found["rate"][i], found["log_c"][i], found["r2"][i]],
            [-line.slope, line.intercept, line.rvalue**2],
        )
        np.testing.assert_allclose(
            [found["rate_se_white"][i], found["log_c_se_white"][i]],
            [line.stderr, line.intercept_stderr],
        )
        relative = found.errors["tau"][i] / abs(found["tau"][i])
        assert relative == pytest.approx(found.errors["rate"][i] / found["rate"][i])


def test_a_curve_without_decay_has_no_time_constant():
    loss = np.stack([np.full(41, 0.3), np.full(41, -0.3)])
    assert fit_exponential(T41, loss).status.tolist() == [ILL_CONDITIONED, DIVERGED]


def test_time_may_begin_at_zero():
    t = np.arange(10.0)
    assert fit_exponential(t, np.exp(-t)[None])["tau"][0] == pytest.approx(1)
