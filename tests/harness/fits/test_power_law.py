import numpy as np
import pytest
from scipy import stats

from harness.fits import blocks
from harness.fits.power_law import fit_power_law
from harness.measure import DIVERGED, NO_WINDOW, OK, TOO_SHORT
from harness.seeds import stream

T41 = np.linspace(5, 15, 41)
"""The window 5-15 at four points an epoch."""


def autoregressive(num, length, rho, name="noise"):
    """Stationary AR(1) noise of unit variance, [num, length]."""
    white = stream(0, name, num, length, round(100 * rho)).standard_normal(
        (num, length)
    )
    noise = white.copy()
    for i in range(1, length):
        noise[:, i] = rho * noise[:, i - 1] + np.sqrt(1 - rho**2) * white[:, i]
    return noise


def test_an_exact_power_law_is_recovered_to_1e_12():
    fit = fit_power_law(T41, (0.9 * T41**-0.5)[None])
    assert fit["alpha"][0] == pytest.approx(0.5, abs=1e-12)
    assert np.exp(fit["log_c"][0]) == pytest.approx(0.9, abs=1e-12)
    assert fit["r2"][0] == pytest.approx(1, abs=1e-12)
    assert fit.errors["alpha"][0] < 1e-12


@pytest.mark.parametrize(
    ("loss", "alpha", "r2"),
    [
        (0.9 * T41**-0.5 + 0.05, 0.42835, 0.999891),
        (0.9 * T41**-0.5 + 0.1, 0.37481, None),
        (np.exp(-T41 / 10), None, 0.97976),
        (1 - 0.02 * T41, None, 0.96961),
    ],
)
def test_what_is_no_power_law_still_looks_straight(loss, alpha, r2):
    fit = fit_power_law(T41, loss[None])
    if alpha is not None:
        assert fit["alpha"][0] == pytest.approx(alpha, abs=5e-6)
    if r2 is not None:
        assert fit["r2"][0] == pytest.approx(r2, abs=5e-6 if alpha is None else 5e-7)


@pytest.mark.parametrize(("shift", "alpha"), [(0.5, 0.529), (-0.25, 0.486), (1, 0.557)])
def test_alpha_depends_on_where_time_begins(shift, alpha):
    fit = fit_power_law(T41 + shift, (0.9 * T41**-0.5)[None])
    assert fit["alpha"][0] == pytest.approx(alpha, abs=6e-4)


def test_each_curve_on_its_own_window_agrees_with_scipy():
    t = np.arange(1, 60) / 4
    loss = np.exp(0.1 * stream(0, "curves").standard_normal((30, 59))) * t**-0.4
    draw = stream(0, "windows")
    window = np.stack([draw.uniform(0, 5, 30), draw.uniform(8, 20, 30)], axis=1)
    fit = fit_power_law(t, loss, window=window)
    for i, (a, b) in enumerate(window):
        inside = (t >= a) & (t <= b)
        line = stats.linregress(np.log(t[inside]), np.log(loss[i, inside]))
        mine = [fit["alpha"][i], fit["log_c"][i], fit["r2"][i]]
        mine += [fit["alpha_se_white"][i], fit["log_c_se_white"][i]]
        expected = [-line.slope, line.intercept, line.rvalue**2]
        expected += [line.stderr, line.intercept_stderr]
        np.testing.assert_allclose(mine, expected, rtol=1e-9)
        fitted = line.intercept + line.slope * np.log(t[inside])
        r = np.log(loss[i, inside]) - fitted
        assert fit["rss"][i] == pytest.approx(r @ r)
        assert fit["rho1"][i] == pytest.approx(r[1:] @ r[:-1] / (r @ r))
        assert fit.n[i] == inside.sum()
        assert fit.window[i].tolist() == [t[inside][0], t[inside][-1]]


def test_white_theory_is_too_small_and_the_corrected_error_is_not():
    loss = 0.9 * T41**-0.5 * np.exp(0.05 * autoregressive(4000, 41, 0.8))
    fit = fit_power_law(T41, loss)
    assert fit["alpha"].std() == pytest.approx(0.061, abs=0.002)
    x = np.log(T41)
    nominal = 0.05 / np.sqrt(np.square(x - x.mean()).sum())
    assert nominal == pytest.approx(0.025, abs=5e-4)
    assert np.median(fit["alpha_se_white"]) < nominal
    for name, truth in (("alpha", 0.5), ("log_c", np.log(0.9))):
        spread = fit[name].std()
        assert 0.8 < np.median(fit.errors[name]) / spread < 1.1
        covered = np.abs(fit[name] - truth) < 1.96 * fit.errors[name]
        blind = np.abs(fit[name] - truth) < 1.96 * fit[f"{name}_se_white"]
        assert covered.mean() > 0.85
        assert blind.mean() < 0.55


@pytest.mark.parametrize(
    ("length", "rho", "low", "high", "coverage"),
    [
        (41, 0.0, 0.97, 1.12, 0.94),
        (41, 0.5, 0.88, 1.15, 0.90),
        (200, 0.0, 0.97, 1.10, 0.945),
        (200, 0.5, 0.94, 1.06, 0.93),
        (200, 0.9, 0.88, 1.15, 0.89),
    ],
)
def test_the_corrected_error_has_the_size_of_the_spread(
    length, rho, low, high, coverage
):
    t = np.linspace(5, 15, length)
    fit = fit_power_law(t, np.exp(0.05 * autoregressive(3000, length, rho)))
    error = fit.errors["alpha"]
    assert low < np.median(error) / fit["alpha"].std() < high
    assert (np.abs(fit["alpha"]) < 1.96 * error).mean() > coverage


def test_missing_windows_and_bad_values_have_a_status_and_no_number():
    t = np.arange(1.0, 21.0)
    loss = np.tile(t**-0.5, (6, 1))
    loss[1, 9], loss[2, 9], loss[3, 2] = np.nan, 0.0, -1.0
    window = np.array([[5, 15]] * 4 + [[np.nan, 15], [5, 8]])
    fit = fit_power_law(t, loss, window=window)
    # the bad value of curve 3 lies outside its window
    assert fit.status.tolist() == [OK, DIVERGED, DIVERGED, OK, NO_WINDOW, TOO_SHORT]
    assert fit["alpha"][3] == pytest.approx(0.5)
    assert fit.at(1, "alpha").value is None
    assert fit.n.tolist() == [11, 11, 11, 11, 0, 4]
    assert fit.at(4, "alpha").window is None
    assert fit_power_law(t, np.ones((0, 20))).status.shape == (0,)


def test_a_constant_curve_has_exponent_0_and_no_r2():
    fit = fit_power_law(T41, np.full((1, 41), 0.3))
    assert (fit.status[0], fit["alpha"][0], fit["r2"][0]) == (OK, 0, 0)
    assert np.exp(fit["log_c"][0]) == pytest.approx(0.3)


def test_a_row_does_not_depend_on_its_neighbours_or_on_blocks(monkeypatch):
    loss = np.exp(0.1 * stream(1, "curves").standard_normal((50, 41))).astype("f4")
    window = np.stack([np.linspace(4, 8, 50), np.full(50, 15)], axis=1)
    whole = fit_power_law(T41, loss, window=window).frame()
    alone = fit_power_law(T41, loss[17:18], window=window[17]).frame()
    assert alone.row(0) == whole.row(17)
    monkeypatch.setattr(blocks, "READ_ELEMENTS", 41 * 7)
    assert fit_power_law(T41, loss, window=window).frame().equals(whole)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="do not match"):
        fit_power_law([1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="increase"):
        fit_power_law([1, 3, 2], [[1, 2, 3]])
    with pytest.raises(ValueError, match="needs t > 0"):
        fit_power_law(np.arange(8.0), np.ones((1, 8)))
    with pytest.raises(ValueError, match="N = 2"):
        fit_power_law(T41, np.ones((2, 41)), window=[[1, 2]] * 3)
    with pytest.raises(ValueError, match="empty; expected first <= last"):
        fit_power_law(T41, np.ones((2, 41)), window=(15, 5))
