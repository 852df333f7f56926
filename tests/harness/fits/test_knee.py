"""The knee test: simulated rates, schedules, outliers and statuses."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from harness.fits.knee import deviation, find_knees, outlying
from harness.fits.ransac import hinge_inliers
from harness.fits.windows import epoch_axis, epoch_means
from harness.seeds import stream

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "knee_rates.py"
T = np.arange(3.0, 51.0)
EPOCHS, STEPS = 50, 98
PEAK = 0.1
"""Not stated with the four verdicts; this peak rate gives their numbers."""


def hinge_curves(num, sigma=0.01, seed=0):
    noise = stream(seed, "knee").standard_normal((num, len(T)))
    trend = -0.9 * np.log(T) + 0.4 * np.maximum(np.log(T / 15), 0)
    return np.exp(trend + sigma * noise)


@pytest.fixture(scope="module")
def rates():
    """The script whose table is reproduced, as a module."""
    spec = importlib.util.spec_from_file_location("knee_rates", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agrees(flags, claimed_percent, num_claimed=100):
    """Whether 100 curves could have shown the claim: not rejected at 1 in 1000."""
    hits = np.clip(flags.sum(), 0.5, len(flags) - 0.5)
    test = binomtest(round(claimed_percent / 100 * num_claimed), num_claimed)
    low, high = test.proportion_ci(0.999, method="wilson")
    return low - 0.02 <= hits / len(flags) <= high + 0.02


def test_false_knees_are_as_rare_as_stated(rates):
    for scene in rates.NULLS:
        means = epoch_means(rates.simulate(scene, 150), rates.LOGS)
        flags = find_knees(rates.BINS, means)["knee"] > 0
        assert agrees(flags, scene.claim), scene
        assert flags.mean() < 0.12


def test_the_naive_test_cries_wolf(rates):
    for scene in rates.NAIVE:
        flags = rates.naive_flags(rates.simulate(scene, 150))
        assert agrees(flags, scene.claim), scene


def test_power_and_error_are_as_stated(rates):
    for scene in rates.KNEES:
        means = epoch_means(rates.simulate(scene, 150), rates.LOGS)
        found = find_knees(rates.BINS, means)
        flags = found["knee"] > 0
        assert agrees(flags, scene.claim), scene
        error = np.median(np.abs(found["t_knee"] - rates.BREAK)[flags])
        assert error == pytest.approx(scene.error, abs=2), scene


def test_a_running_median_leaves_a_third_of_the_saw_and_makes_knees(rates):
    tooth = np.tile([-0.15, -0.05, 0.05, 0.15], (1, 48))
    inner = rates.median_filtered(tooth)[:, 2:-2]
    assert np.ptp(inner) == pytest.approx(np.ptp(tooth) / 3)
    means = epoch_means(tooth, 4)
    assert np.ptp(means) < 1e-15
    smooth = rates.median_filtered(rates.simulate(rates.SAW, 150))
    flags = [
        find_knees(rates.TIMES[p::4], smooth[:, p::4])["knee"].mean() for p in (1, 2, 3)
    ]
    assert min(flags) > 0.07
    assert max(flags) < 0.35


def test_the_numbers_are_those_of_a_plain_loop():
    curves = hinge_curves(3, seed=4)
    found = find_knees(T, curves)
    assert not found["robust"].any()
    x, n = np.log(T), len(T)
    for i, y in enumerate(np.log(curves)):
        line = y - np.polyval(np.polyfit(x, y, 1), x)
        best = None
        for knee in x[5:-5]:
            design = np.stack([np.ones(n), x, np.maximum(x - knee, 0)], axis=1)
            weights = np.linalg.lstsq(design, y, rcond=None)[0]
            r = y - design @ weights
            if best is None or r @ r < best[0]:
                best = (r @ r, np.exp(knee), weights, r)
        rss, knee, weights, r = best
        rho = (r[1:] @ r[:-1]) / (r @ r) + 3 / n
        n_eff = n * (1 - max(rho, 0)) / (1 + max(rho, 0))
        gain = np.log((line @ line) / rss)
        assert found["t_knee"][i] == pytest.approx(knee)
        assert found["alpha_1"][i] == pytest.approx(-weights[1], rel=1e-9)
        assert found["alpha_2"][i] == pytest.approx(-weights[1] - weights[2], rel=1e-9)
        delta = n_eff * gain - 2 * np.log(n_eff)
        assert found["delta_bic"][i] == pytest.approx(delta, rel=1e-9)
        assert found["delta_aic"][i] == pytest.approx(n * gain - 4, rel=1e-9)
        assert found["knee"][i] == 1


def factors(kind):
    """Multipliers of the peak rate without warm-up."""
    num = EPOCHS * STEPS
    k = np.arange(num)
    if kind == "cosine":
        return (1 + np.cos(np.pi * k / num)) / 2
    if kind == "step":
        return np.where(k >= 0.75 * num, 0.01, np.where(k >= 0.5 * num, 0.1, 1.0))
    if kind == "cool":
        return np.minimum(1, (num - k) / (0.2 * num))
    return np.ones(num)


def luo_law(rates):
    """Return the multi-power law and its loss drop per step, by a naive loop.

    Parameters L0, A, alpha, B, C, beta, gamma = 0, 4, .5, 1.5, 2, .6, .65.
    """
    total = np.cumsum(rates)
    drop = np.zeros_like(rates)
    for k in range(1, len(rates)):
        change = rates[k - 1] - rates[k]
        if change:
            gone = total[k:] - total[k - 1]
            x = 1 + 2 * rates[k] ** -0.65 * gone
            drop[k:] += 1.5 * change * (1 - x**-0.6)
    return 4 * total**-0.5 - drop, drop, total


@pytest.mark.parametrize(
    ("kind", "r2", "knee", "slopes"),
    [
        ("const", 1.0, None, None),
        ("cosine", 0.976, 19, (0.56, 1.01)),
        ("step", 0.906, None, None),
        ("cool", 0.770, 42, None),
    ],
)
def test_the_four_verdicts_on_schedules(kind, r2, knee, slopes):
    loss, drop, total = luo_law(PEAK * factors(kind))
    means, drops = (epoch_means(v[None], STEPS)[:, 2:] for v in (loss, drop))
    clock = epoch_means(total[None], STEPS)[0, 2:]
    axis = epoch_axis(EPOCHS, STEPS)[2:]
    naive = find_knees(axis, means)
    assert naive["r2_line"][0] == pytest.approx(r2, abs=0.05)
    assert naive["knee"][0] == (knee is not None)
    if knee is not None:
        assert naive["t_knee"][0] == pytest.approx(knee, abs=1)
    if slopes is not None:
        found = naive["alpha_1"][0], naive["alpha_2"][0]
        assert found == pytest.approx(slopes, abs=0.03)
    removed = find_knees(axis, means, clock=clock, loss_drop=drops)
    assert removed["knee"][0] == 0
    assert removed["r2_line"][0] == pytest.approx(1, abs=1e-5)
    assert removed["alpha_1"][0] == pytest.approx(0.5, abs=5e-3)


def test_a_known_jump_is_free_in_both_hypotheses():
    trend = -0.5 * np.log(T) - 0.8 * np.maximum(np.log(T / 25), 0)
    noise = stream(3, "jump").standard_normal((40, len(T)))
    curves = np.exp(trend + 0.02 * noise)
    blind = find_knees(T, curves, changes=(25.5,))
    assert blind["knee"].all()
    assert blind["schedule"].mean() > 0.5
    told = find_knees(T, curves, jumps=(25.0,))
    assert told["knee"].mean() < 0.1
    assert told["n_eff"].mean() > 20


def test_a_knee_far_from_every_change_is_not_the_schedules():
    found = find_knees(T, hinge_curves(5), changes=(30.0,), near=1.0)
    assert found["knee"].all()
    assert not found["schedule"].any()


def test_outliers_call_for_ransac_and_are_left_out():
    clean = hinge_curves(4, seed=4)
    dirty = clean.copy()
    dirty[:, 20] *= 3
    dirty[:, 41] *= 0.3
    plain, robust = find_knees(T, clean), find_knees(T, dirty)
    assert not plain["robust"].any()
    assert robust["robust"].all()
    assert robust["t_knee"] == pytest.approx(15, abs=2)
    assert robust["alpha_2"] == pytest.approx(plain["alpha_2"], abs=0.05)
    again = find_knees(T, dirty[2:3])
    assert again["t_knee"][0] == robust["t_knee"][2]
    assert again["delta_bic"][0] == robust["delta_bic"][2]


def test_ransac_keeps_exactly_the_points_on_the_hinge():
    x = np.linspace(0, 1, 40)
    y = np.maximum(x - x[20], 0)
    bad = stream(5, "bad").permutation(40)[:12]
    y[bad] += 5 + np.arange(12)
    keep = hinge_inliers(x, y, reach=1e-6, min_points=6)
    expected = np.ones(40, dtype=bool)
    expected[bad] = False
    assert (keep == expected).all()


def test_what_counts_as_outlying():
    calm = stream(0, "calm").uniform(-1, 1, (1, 40))
    far = calm.copy()
    far[0, 7] = 6 * deviation(calm)[0]
    skewed = calm**2 * np.sign(calm + 0.9)
    assert outlying(calm).tolist() == [False]
    assert outlying(far).tolist() == [True]
    cube = (skewed**3).mean() / (skewed**2).mean() ** 1.5
    assert outlying(skewed)[0] == (abs(cube) > 1 or outlying(far * 0 + skewed)[0])
    assert outlying(1e-6 * far).tolist() == [False]  # rounding, not outliers


def test_an_exact_power_law_has_no_knee_and_finite_evidence():
    found = find_knees(T, T[None] ** -0.5)
    assert found.status.tolist() == ["ok"]
    assert found["knee"][0] == 0


def test_curves_without_an_answer_have_a_status():
    curves = hinge_curves(3)
    curves[0, 3] = -1
    windows = np.array([[3, 50], [3, 13], [np.nan, 50]])
    found = find_knees(T, curves, window=windows)
    assert found.status.tolist() == ["diverged", "too_short", "no_window"]


def test_wrong_arguments_are_refused():
    curves = hinge_curves(1)
    with pytest.raises(ValueError, match="do not lie within t"):
        find_knees(T, curves, jumps=(60.0,))
    with pytest.raises(ValueError, match="stands still"):
        find_knees(T, curves, clock=np.ones_like(T))
    with pytest.raises(ValueError, match="at least 3"):
        find_knees(T, curves, min_bins=2)
    with pytest.raises(ValueError, match="needs t > 0"):
        find_knees(T - 3, curves)
