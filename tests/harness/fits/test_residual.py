"""Residuals: closed forms, windows, statuses and block means by hand."""

import dataclasses

import numpy as np
import pytest

from harness.fits.power_law import fit_power_law
from harness.fits.residual import resample, residual
from harness.measure import DIVERGED, NO_WINDOW, NOT_APPLICABLE, TOO_SHORT
from harness.seeds import stream

T = np.arange(1, 201) / 20  # epochs, 20 steps each


def test_an_exact_power_law_leaves_nothing() -> None:
    loss = np.stack([0.9 * T**-0.5, 2.0 * T**-0.1])
    left = residual(T, loss, fit_power_law(T, loss))
    assert abs(left.values).max() < 1e-13
    assert left.params == {"law": "power_law", "grid": "step"}


def test_residuals_of_given_values_are_logarithms_of_ratios() -> None:
    noise = stream(0, "residual").normal(0, 0.05, (3, 200))
    law = 1.3 + 0.7 * np.exp(-T)
    left = residual(T, law * np.exp(noise), law, label="exponential")
    np.testing.assert_allclose(left.values, noise, atol=1e-14)
    each = residual(T, law * np.exp(noise), np.tile(law, (3, 1)))
    np.testing.assert_array_equal(each.values, left.values)
    assert residual([1.0], [[2.0]], [1.0]).values[0, 0] == pytest.approx(0.6931472)


def test_a_fit_brings_its_own_window_and_residuals_stay_inside_it() -> None:
    rng = stream(1, "residual")
    loss = 0.9 * T**-0.5 * np.exp(rng.normal(0, 0.05, (2, 200)))
    windows = np.array([[2.0, 8.0], [5.0, 10.0]])
    fit = fit_power_law(T, loss, window=windows)
    left = residual(T, loss, fit)
    for i, (first, last) in enumerate(windows):
        inside = (first <= T) & (last >= T)
        assert (np.isfinite(left.values[i]) == inside).all()
        assert abs(left.values[i, inside].mean()) < 1e-14  # an intercept was fitted
        assert left.window[i].tolist() == [first, last]
    wider = residual(T, loss, fit, window=(1.0, 10.0))
    assert wider.window.tolist() == [[1.0, 10.0]] * 2


def test_bad_data_inside_the_window_have_a_status_and_outside_do_not_matter() -> None:
    loss = np.tile(0.9 * T**-0.5, (5, 1))
    loss[1, 150], loss[2, 150], loss[3, 2] = np.nan, -1.0, np.nan
    law = np.tile(0.9 * T**-0.5, (5, 1))
    law[4, 150] = 0
    left = residual(T, loss, law, window=(1.0, 10.0))
    expected = ["ok", DIVERGED, DIVERGED, "ok", NOT_APPLICABLE]
    assert left.status.tolist() == expected
    assert np.isnan(left.values[[1, 2, 4]]).all()
    nothing = residual(T, loss, law, window=(20.0, 30.0))
    assert set(nothing.status) == {NO_WINDOW}
    short = residual(T, loss, fit_power_law(T, loss, window=(1.0, 1.1)))
    assert set(short.status) == {TOO_SHORT}


def test_block_means_average_logarithms_within_epochs() -> None:
    steps = np.arange(1.0, 9.0)
    law = np.ones(8)
    left = residual(steps, np.exp(np.arange(8.0))[None], law)
    coarse = resample(left, 4, per_epoch=2)
    np.testing.assert_allclose(coarse.values, [[0.5, 2.5, 4.5, 6.5]], atol=1e-14)
    assert coarse.t.tolist() == [1.5, 3.5, 5.5, 7.5]
    assert coarse.params["grid"] == "2 logs/epoch"


def test_block_means_equal_a_naive_loop_when_logs_do_not_divide_the_steps() -> None:
    noise = stream(2, "residual").normal(size=(3, 5 * 98 + 7))
    steps = np.arange(1.0, noise.shape[1] + 1)
    left = residual(steps, np.exp(noise), np.ones(len(steps)), window=(100, 450))
    coarse = resample(left, 98)
    edges = [round(k * 98 / 20) for k in range(200)]
    assert set(edges) >= {0, 98, 196}  # no block straddles two epochs
    for k, value in enumerate(coarse.values[1]):
        first, last = edges[k] + 1, edges[k + 1]
        whole = first >= 100 and last <= 450
        expected = noise[1, first - 1 : last].mean() if whole else np.nan
        assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)
    finite = coarse.t[np.isfinite(coarse.values[1])]
    assert coarse.window[1].tolist() == [finite[0], finite[-1]]


def test_block_means_of_m_steps_divide_the_variance_of_white_noise_by_m() -> None:
    noise = stream(3, "residual").normal(size=(20, 100 * 100))
    steps = np.arange(1.0, 10_001)
    left = residual(steps, np.exp(noise), np.ones(10_000))
    coarse = resample(left, 100)
    assert coarse.values.shape == (20, 2_000)
    assert coarse.values.var() == pytest.approx(1 / 5, rel=0.03)


def test_a_row_does_not_depend_on_its_peers() -> None:
    loss = stream(4, "residual").gamma(4.0, 0.2, (7, 200))
    together = resample(residual(T, loss, fit_power_law(T, loss)), 20, per_epoch=7)
    alone = loss[[5]]
    single = resample(residual(T, alone, fit_power_law(T, alone)), 20, per_epoch=7)
    np.testing.assert_array_equal(together.values[5], single.values[0])


def test_wrong_arguments_are_named() -> None:
    loss = np.ones((2, 200))
    with pytest.raises(ValueError, match="law has the shape"):
        residual(T, loss, np.ones(3))
    fit = fit_power_law(T, loss)
    with pytest.raises(ValueError, match="law has 2 rows for 1 curves"):
        residual(T, loss[:1], fit)
    other = dataclasses.replace(fit, units={}, values={}, errors={})
    with pytest.raises(ValueError, match="expected alpha and log_c"):
        residual(T, loss, other)
    left = residual(T, loss, fit)
    with pytest.raises(ValueError, match="per_epoch is 21"):
        resample(left, 20, per_epoch=21)
    with pytest.raises(ValueError, match="already at 10 logs"):
        resample(resample(left, 20, per_epoch=10), 20)
    with pytest.raises(ValueError, match="do not fill one block"):
        resample(left, 8_000)
    with pytest.raises(ValueError, match="window has the shape"):
        residual(T, loss, fit, window=(1.0, 2.0, 3.0))
