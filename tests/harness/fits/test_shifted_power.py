import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning, curve_fit

from harness.fits import blocks
from harness.fits.shifted_power import ALPHA_RANGE, fit_shifted_power
from harness.measure import DIVERGED, ILL_CONDITIONED, NO_WINDOW, OK, TOO_SHORT
from harness.seeds import stream

T200 = np.arange(1, 201) / 4
WINDOWS = {
    "all": T200,
    "epochs 3-50": np.arange(3, 50) + 0.5,
    "window 5-15": np.arange(20, 61) / 4,
    "ten epochs": np.arange(5, 15) + 0.5,
}
ALPHAS = np.geomspace(*ALPHA_RANGE, 3000)
"""A dense grid, from the best point of which scipy begins."""


def shifted(t, floor, scale, alpha):
    return floor + scale * t**-alpha


def jacobian(t, floor, scale, alpha):
    p = t**-alpha
    return np.stack([np.ones_like(t), p, -scale * p * np.log(t)], axis=1)


def realistic(t, num, sigma, seed=0):
    """Random falling curves with multiplicative noise, [num, T]."""
    draw = stream(seed, "shifted", num, len(t))
    floor, scale, alpha = (draw.random((num, 1)) for _ in range(3))
    clean = shifted(t, 0.6 * floor, 0.3 + scale, 0.2 + alpha)
    return clean * np.exp(sigma * draw.standard_normal((num, len(t))))


def best_of_grid(t, loss):
    """The alpha of `ALPHAS` with the least sum of squares, and that sum, [N]."""
    powers = t ** -ALPHAS[:, None]
    powers -= powers.mean(axis=1, keepdims=True)
    powers /= np.linalg.norm(powers, axis=1, keepdims=True)
    told = (loss - loss.mean(axis=1, keepdims=True)) @ powers.T
    total = len(t) * loss.var(axis=1)
    return ALPHAS[np.square(told).argmax(axis=1)], total - np.square(told).max(axis=1)


def best_of_scipy(t, curve, alpha, rss):
    """Least sum of squares that curve_fit reaches from the best alpha of the grid."""
    design = np.stack([np.ones_like(t), t**-alpha], axis=1)
    start = (*np.linalg.lstsq(design, curve)[0], alpha)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            with np.errstate(all="ignore"):
                p, _ = curve_fit(
                    shifted, t, curve, start, jac=jacobian, xtol=1e-12, ftol=1e-14
                )
    except RuntimeError:
        return rss, alpha
    return min(rss, np.square(curve - shifted(t, *p)).sum()), p[2]


def count_misses(t, loss):
    """Curves fitted, and those where a better optimum was found in the range."""
    fit = fit_shifted_power(t, loss)
    misses = 0
    for i, (alpha, rss) in enumerate(zip(*best_of_grid(t, loss), strict=True)):
        if fit.ok[i]:
            least, _ = best_of_scipy(t, loss[i], alpha, rss)
            misses += fit["rss"][i] > least * (1 + 1e-6)
        elif ALPHA_RANGE[0] < alpha < ALPHA_RANGE[1]:
            _, alpha = best_of_scipy(t, loss[i], alpha, rss)
            misses += ALPHA_RANGE[0] < alpha < ALPHA_RANGE[1]
    return int(fit.ok.sum()), misses


@pytest.mark.parametrize(
    ("floor", "scale", "alpha"),
    [(0.3, 0.9, 0.5), (0, 2, 0.1), (1, 1e-3, 2.5), (0.3, -0.2, 1.0), (-1, 4, 4.0)],
)
@pytest.mark.parametrize("t", WINDOWS.values(), ids=WINDOWS)
def test_exact_curves_are_recovered(t, floor, scale, alpha):
    fit = fit_shifted_power(t, shifted(t, floor, scale, alpha)[None])
    found = [fit[k][0] for k in ("E", "A", "alpha", "r2")]
    np.testing.assert_allclose(found, [floor, scale, alpha, 1], rtol=1e-6, atol=1e-8)


def test_the_unit_of_time_changes_only_A():
    loss = realistic(T200, 5, 0.02)
    epochs, steps = fit_shifted_power(T200, loss), fit_shifted_power(T200 * 98, loss)
    for name in ("E", "alpha", "rss"):
        np.testing.assert_allclose(steps[name], epochs[name], rtol=1e-9)
    np.testing.assert_allclose(steps["A"], epochs["A"] * 98 ** epochs["alpha"], 1e-9)


@pytest.mark.parametrize("t", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_the_global_optimum_is_reached(t, sigma):
    fitted, misses = count_misses(t, realistic(t, 40, sigma))
    assert (fitted > 20, misses) == (True, 0)


@pytest.mark.slow
@pytest.mark.parametrize("t", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_the_global_optimum_is_reached_on_999_of_1000_curves(t, sigma):
    fitted, misses = count_misses(t, realistic(t, 1000, sigma, seed=1))
    assert fitted > 500
    assert misses <= 1


def test_parameters_and_their_errors_agree_with_scipy():
    loss = realistic(T200, 20, 0.02)
    fit = fit_shifted_power(T200, loss)
    for i, curve in enumerate(loss):
        start = [fit[k][i] for k in ("E", "A", "alpha")]
        p, cov = curve_fit(shifted, T200, curve, start, jac=jacobian, xtol=1e-13)
        np.testing.assert_allclose(start, p, rtol=1e-5)
        errors = [fit.errors[k][i] for k in ("E", "A", "alpha")]
        np.testing.assert_allclose(errors, np.sqrt(np.diag(cov)), rtol=1e-5)
        r = curve - shifted(T200, *p)
        assert fit["rss"][i] == pytest.approx(r @ r, rel=1e-8)
        assert fit["rho1"][i] == pytest.approx(r[1:] @ r[:-1] / (r @ r), abs=1e-5)
        assert fit["r2"][i] == pytest.approx(1 - r.var() / curve.var())


def test_the_errors_have_the_size_of_the_spread():
    noise = 0.005 * stream(0, "spread").standard_normal((4000, 200))
    fit = fit_shifted_power(T200, shifted(T200, 0.3, 0.9, 0.5) + noise)
    for name, truth in (("E", 0.3), ("A", 0.9), ("alpha", 0.5)):
        assert fit.errors[name].mean() == pytest.approx(fit[name].std(), rel=0.05)
        assert (abs(fit[name] - truth) < 1.96 * fit.errors[name]).mean() > 0.93


def test_curves_that_determine_no_exponent_say_so():
    t = np.arange(1, 42) / 2
    loss = np.stack(
        [
            np.full(41, 0.3),
            1 - 0.2 * np.log(t),  # alpha -> 0
            1 - 0.01 * t,  # alpha < 0
            np.where(t == 0.5, 2.0, 1.0),  # alpha -> infinity
            np.full(41, np.nan),
            0.1 - t**-0.5,  # negative values are no obstacle
        ]
    )
    found = fit_shifted_power(t, loss)
    assert found.status.tolist() == [ILL_CONDITIONED] * 4 + [DIVERGED, OK]
    window = [[1, 2.5], [np.nan, 9], [1, 9], [1, 9], [1, 9], [1, 9]]
    found = fit_shifted_power(t, loss, window=window)
    assert found.status[:2].tolist() == [TOO_SHORT, NO_WINDOW]


def test_a_row_does_not_depend_on_its_neighbours_or_on_blocks(monkeypatch):
    loss = realistic(T200, 900, 0.03).astype(np.float32)
    loss[5, 3] = np.inf
    window = np.stack([np.arange(900) % 5 + 0.5, np.full(900, 50)], axis=1)
    whole = fit_shifted_power(T200, loss, window=window).frame()
    alone = fit_shifted_power(T200, loss[717:718], window=window[717]).frame()
    assert alone.row(0) == whole.row(717)
    monkeypatch.setattr(blocks, "READ_ELEMENTS", 200 * 333)
    again = fit_shifted_power(T200, loss[::-1], window=window[::-1]).frame()
    assert again.reverse().equals(whole)


def test_an_impossible_range_and_time_zero_are_refused():
    with pytest.raises(ValueError, match="0 < low < high"):
        fit_shifted_power(T200, np.ones((1, 200)), alpha_range=(0, 3))
    with pytest.raises(ValueError, match="needs t > 0"):
        fit_shifted_power(np.arange(9.0), np.ones((1, 9)))


def test_beyond_its_blocks_a_fit_takes_memory_for_its_results_only(tmp_path):
    block = realistic(T200, 500, 0.02).astype(np.float32)
    peaks = []
    for times in (20, 60):
        file = np.memmap(tmp_path / "loss", np.float32, "w+", shape=(500 * times, 200))
        file.reshape(times, 500, 200)[:] = block
        tracemalloc.start()
        fit_shifted_power(T200, file)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    per_curve = (peaks[1] - peaks[0]) / 20_000
    assert per_curve < 400  # bytes; the curve itself has 800
    assert peaks[0] - 10_000 * per_curve < 16 * 2**20
