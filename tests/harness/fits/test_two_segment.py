"""The hinge of ln L over ln t against brute force, closed forms and simulation."""

import numpy as np
import pytest

from harness.fits.two_segment import best_hinge, fit_two_segment
from harness.seeds import stream

T = np.arange(3.0, 51.0)


def hinge_law(t, before, after, knee):
    """Return t^-before up to the knee, continuous, t^-after beyond it."""
    return np.where(t <= knee, t**-before, knee ** (after - before) * t**-after)


def noisy(num, sigma=0.05, seed=0):
    noise = stream(seed, "two_segment").standard_normal((num, len(T)))
    return hinge_law(T, 0.9, 0.5, 15.3) * np.exp(sigma * noise)


def rss_at(x, y, knee, extra=()):
    """Return the least squares of one curve with a knee given, by lstsq."""
    columns = [np.ones_like(x), x, np.maximum(x - knee, 0)]
    columns += [np.maximum(x - h, 0) for h in extra]
    design = np.stack(columns, axis=1)
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return residual @ residual


@pytest.mark.parametrize("knee", [9.0, 15.3, 15.0, 30.7])
def test_an_exact_hinge_is_recovered_between_and_on_samples(knee):
    found = fit_two_segment(T, hinge_law(T, 0.9, 0.5, knee)[None])
    assert found.status.tolist() == ["ok"]
    for name, value in {"alpha_1": 0.9, "alpha_2": 0.5, "t_knee": knee}.items():
        assert found[name][0] == pytest.approx(value, rel=1e-10)
    assert found["loss_knee"][0] == pytest.approx(knee**-0.9, rel=1e-10)
    assert found["r2"][0] == pytest.approx(1, abs=1e-12)


def test_the_optimum_is_global_over_every_allowed_knee():
    x, curves = np.log(T), np.log(noisy(6))
    curves[3:] = stream(1, "white").standard_normal((3, len(T)))
    best = best_hinge(x, curves)
    knees = np.unique(np.concatenate([np.linspace(x[5], x[-6], 300), x[5:-5]]))
    for i, y in enumerate(curves):
        brute = min(rss_at(x, y, k) for k in knees)
        assert best.rss[i] <= brute * (1 + 1e-12)
        assert best.rss[i] == pytest.approx(rss_at(x, y, best.knee[i]), rel=1e-9)
        assert x[5] <= best.knee[i] <= x[-6]


def test_free_hinges_are_in_both_hypotheses():
    x, y = np.log(T), np.log(noisy(3, sigma=0.005))
    bend = np.log(25.2)
    y = y - 0.8 * np.maximum(x - bend, 0)
    best = best_hinge(x, y, hinges=(bend,))
    for i in range(3):
        brute = min(rss_at(x, y[i], k, (bend,)) for k in np.linspace(x[5], x[-6], 200))
        assert best.rss[i] <= brute * (1 + 1e-12)
        plain = rss_at(x, y[i], bend)
        assert best.rss_line[i] == pytest.approx(plain, rel=1e-9)
    assert np.exp(best.knee) == pytest.approx(15.3, abs=3)
    assert -best.slope_1 == pytest.approx(0.9, abs=0.1)


def test_knees_on_samples_only_is_the_grid_search():
    x, y = np.log(T), np.log(noisy(4))
    best = best_hinge(x, y, between=False)
    for i in range(4):
        brute = [rss_at(x, y[i], k) for k in x[5:-5]]
        assert best.rss[i] == pytest.approx(min(brute), rel=1e-9)
        assert best.knee[i] == pytest.approx(x[5 + int(np.argmin(brute))])


def test_standard_errors_describe_the_scatter():
    found = fit_two_segment(T, noisy(600, sigma=0.02))
    assert found.ok.all()
    for name, true in (("alpha_1", 0.9), ("alpha_2", 0.5), ("t_knee", 15.3)):
        score = (found[name] - true) / found.errors[name]
        assert 0.9 < score.std() < 1.15
        assert abs(score.mean()) < 0.2


def test_a_window_a_curve_is_the_cut_curve_and_neighbours_do_not_matter():
    curves = noisy(5).astype(np.float32)
    windows = np.array([[3, 50], [5, 40], [5, 40], [4.5, 45.5], [3, 50.0]])
    found = fit_two_segment(T, curves, window=windows)
    for i, (first, last) in enumerate(windows):
        inside = (first <= T) & (last >= T)
        alone = fit_two_segment(T[inside], curves[i : i + 1, inside])
        assert found.n[i] == inside.sum()
        for name, value in alone.values.items():
            assert value[0] == found[name][i]


def test_curves_without_an_answer_have_a_status():
    curves = np.stack([hinge_law(T, 0.9, 0.5, 15.3)] * 6)
    curves[0] = T**-0.5  # one line
    curves[1, 20] = 0
    curves[2, 20] = np.nan
    curves[5] = hinge_law(T, 0.9, 0.5, 4.0)  # a knee beyond the edge
    windows = np.tile([3.0, 50.0], (6, 1))
    windows[3] = np.nan
    windows[4] = [3, 13]
    found = fit_two_segment(T, curves, window=windows)
    assert found.status.tolist() == [
        "ill_conditioned",
        "diverged",
        "diverged",
        "no_window",
        "too_short",
        "ill_conditioned",
    ]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="needs t > 0"):
        fit_two_segment(T - 3, noisy(1))
    with pytest.raises(ValueError, match="at least 3"):
        fit_two_segment(T, noisy(1), min_points=2)
    with pytest.raises(ValueError, match="do not match"):
        fit_two_segment(T[1:], noisy(1))
