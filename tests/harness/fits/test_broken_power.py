"""The broken power law against its own parameters and against curve_fit."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from harness.fits.broken_power import fit_broken_power
from harness.seeds import stream

T = np.linspace(1, 50, 120)
TRUE = {"floor": 0.3, "scale": 2.0, "alpha_1": 0.9, "alpha_2": 0.35, "t_break": 15.2}


def law(t, floor, scale, alpha_1, alpha_2, t_break):
    beyond = t_break ** (alpha_2 - alpha_1) * t**-alpha_2
    return floor + scale * np.where(t <= t_break, t**-alpha_1, beyond)


def noisy(num, sigma, seed=0):
    noise = stream(seed, "broken").standard_normal((num, len(T)))
    return law(T, *TRUE.values()) + sigma * noise


@pytest.mark.parametrize("t_break", [6.0, 15.2, T[50], 40.0])
@pytest.mark.parametrize("exponents", [(0.9, 0.35), (0.4, 1.1)])
def test_an_exact_curve_gives_its_parameters(t_break, exponents):
    true = TRUE | {"t_break": t_break}
    true |= dict(zip(("alpha_1", "alpha_2"), exponents, strict=True))
    found = fit_broken_power(T, law(T, *true.values())[None])
    assert found.status.tolist() == ["ok"]
    for name, value in true.items():
        assert found[name][0] == pytest.approx(value, rel=1e-4)
    assert found["rss"][0] < 1e-12


def test_no_start_of_curve_fit_finds_a_thousandth_less_squares():
    curves = noisy(6, 0.01)
    found = fit_broken_power(T, curves)
    for y, rss in zip(curves, found["rss"], strict=True):
        least = np.inf
        for start in (5, 10, 20, 35):
            guess = (0.5 * y.min(), y[0] - 0.5 * y.min(), 0.5, 0.5, start)
            bounds = ([-9, 0, -1, -1, T[2]], [9, 90, 8, 8, T[-3]])
            best, _ = curve_fit(law, T, y, p0=guess, bounds=bounds)
            least = min(least, np.square(y - law(T, *best)).sum())
        assert rss <= least * (1 + 1e-3)


def test_standard_errors_describe_the_scatter():
    found = fit_broken_power(T, noisy(400, 0.003))
    assert found.ok.mean() > 0.99
    for name in ("floor", "alpha_1", "alpha_2", "t_break"):
        score = ((found[name] - TRUE[name]) / found.errors[name])[found.ok]
        assert 0.85 < np.std(score) < 1.2
        assert abs(np.median(score)) < 0.25


def test_the_unit_of_time_and_of_loss_do_not_matter():
    curves = noisy(3, 0.005)
    once, again = fit_broken_power(T, curves), fit_broken_power(98 * T, 10 * curves)
    assert again["t_break"] == pytest.approx(98 * once["t_break"], rel=1e-6)
    assert again["alpha_2"] == pytest.approx(once["alpha_2"], rel=1e-6)
    assert again["floor"] == pytest.approx(10 * once["floor"], rel=1e-6)


def test_a_curve_does_not_depend_on_its_neighbours_and_windows_are_cuts():
    curves = noisy(30, 0.01)
    windows = np.tile([1.0, 50.0], (30, 1))
    windows[::2] = [2, 45]
    found = fit_broken_power(T, curves, window=windows)
    inside = (T >= 2) & (T <= 45)
    for i in (0, 7, 20):
        cut = inside if i % 2 == 0 else slice(None)
        alone = fit_broken_power(T[cut], curves[i : i + 1, cut])
        for name, value in alone.values.items():
            assert value[0] == pytest.approx(found[name][i], rel=1e-9, nan_ok=True)


def test_curves_without_an_answer_have_a_status():
    curves = noisy(4, 0.01)
    curves[0] = 0.7
    curves[1, 3] = np.inf
    windows = np.tile([1.0, 50.0], (4, 1))
    windows[2] = [1, 2]
    found = fit_broken_power(T, curves, window=windows)
    assert found.status.tolist() == ["ill_conditioned", "diverged", "too_short", "ok"]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        fit_broken_power(T, noisy(1, 0.01), min_points=1)
    with pytest.raises(ValueError, match="needs t > 0"):
        fit_broken_power(T - 2, noisy(1, 0.01))
