import numpy as np
import pytest
from scipy.optimize import least_squares

from harness.fits.alternatives import (
    EXPONENTIAL,
    FAMILIES,
    POWER_LAW,
    SHIFTED_POWER,
    TWO_SEGMENT,
    compare_families,
    winners,
)
from harness.fits.exponential import fit_exponential
from harness.fits.power_law import fit_power_law
from harness.fits.shifted_log import shifted_log
from harness.fits.two_segment import fit_two_segment
from harness.measure import DIVERGED, NO_WINDOW, OK, TOO_SHORT
from harness.seeds import stream

T = np.arange(3, 50) + 0.5
"""Epoch means of the epochs 4 to 50."""
POWER = 0.9 * T**-0.5
DECAY = np.exp(-T / 20)
FLOOR = 0.3 + 0.9 * T**-0.5
STEEP_FLOOR = 0.2 + 1.5 / T
KNEE = np.where(T < 15, T**-0.9, 15**-0.4 * T**-0.5)
MILD_KNEE = np.where(T < 15, T**-0.54, 15**-0.24 * T**-0.3)


def noisy(curve, sigma, num, rho=0.0, seed=0):
    """Copies of a curve with multiplicative AR(1) noise, [num, T]."""
    shape = (num, len(curve))
    noise = stream(seed, "family", num, round(rho * 100)).standard_normal(shape)
    white = noise.copy()
    for i in range(1, len(curve)):
        noise[:, i] = rho * noise[:, i - 1] + np.sqrt(1 - rho**2) * white[:, i]
    return curve * np.exp(sigma * noise)


def share(comparison, family, margin=0.0):
    """Share of the curves that a family wins by more than a margin."""
    won = np.array(winners(comparison)) == family
    return (won & (comparison["margin"] > margin)).mean()


def test_exact_curves_are_won_by_their_family():
    found = compare_families(T, np.stack([POWER, DECAY, FLOOR, KNEE]))
    assert winners(found) == list(FAMILIES)
    assert (found["margin"][1:] > 100).all()
    np.testing.assert_allclose(found["winner"], range(4))


def test_each_criterion_follows_from_the_fits_of_the_families():
    loss = noisy(KNEE, 0.05, 8, rho=0.4)
    found = compare_families(T, loss)
    power, decay = fit_power_law(T, loss), fit_exponential(T, loss)
    hinge = fit_two_segment(T, loss)
    for i in range(8):
        rss = [power["rss"][i], decay["rss"][i], np.nan, hinge["rss"][i]]
        r1 = [power["rho1"][i], decay["rho1"][i], np.nan, hinge["rho"][i]]
        rss[2], r1[2] = floor_by_scipy(loss[i])
        rho = np.clip(r1[int(np.argmin(rss))] + 3 / 47, 0, 0.95)
        n_eff = 47 * (1 - rho) / (1 + rho)
        bic = n_eff * np.log(np.array(rss) / 47) + np.array([2, 2, 3, 4]) * np.log(
            n_eff
        )
        mine = [found[f"bic_{name}"][i] for name in FAMILIES]
        np.testing.assert_allclose(mine, bic, rtol=1e-5)
        assert found["rho"][i] == pytest.approx(rho, abs=1e-5)
        assert found["n_eff"][i] == pytest.approx(n_eff, rel=1e-4)
        assert found["margin"][i] == pytest.approx(np.diff(np.sort(bic))[0], abs=1e-3)


def floor_by_scipy(curve):
    """Least squares of ln L on ln(E + A t^-alpha), E >= 0: (rss, lag-1 correlation)."""

    def residual(p):
        return np.log(p[0] + p[1] * T ** -p[2]) - np.log(curve)

    fits = [
        least_squares(
            residual,
            (share * curve.min(), 1, alpha),
            bounds=([0, 1e-9, 0], [np.inf, np.inf, 6]),
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
        )
        for share, alpha in [(0.1, 0.5), (0.5, 1), (0.9, 2), (1e-6, 0.3)]
    ]
    r = min(fits, key=lambda f: f.cost).fun
    return r @ r, r[1:] @ r[:-1] / (r @ r)


@pytest.mark.parametrize("curve", [POWER, FLOOR, STEEP_FLOOR, DECAY])
def test_the_floor_on_logarithms_reaches_what_scipy_reaches(curve):
    loss = noisy(curve, 0.03, 10, rho=0.3)
    bic = compare_families(T, loss, families=(SHIFTED_POWER, POWER_LAW))
    for i in range(10):
        rss = floor_by_scipy(loss[i])[0]
        n_eff = bic["n_eff"][i]
        mine = (bic["bic_shifted_power"][i] - 3 * np.log(n_eff)) / n_eff
        assert 47 * np.exp(mine) <= rss * (1 + 1e-5)


def test_the_search_on_logarithms_recovers_an_exact_floor():
    one = np.ones(1)
    found = shifted_log(T, np.log(FLOOR)[None], 0 * one, 0.4 * one, 6.0)
    assert found.floor[0] == pytest.approx(1 / 3, rel=1e-4)
    assert found.alpha[0] == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("curve", "family", "least"),
    [
        (POWER, POWER_LAW, 0.92),
        (DECAY, EXPONENTIAL, 0.99),
        (FLOOR, SHIFTED_POWER, 0.89),
        (STEEP_FLOOR, SHIFTED_POWER, 0.99),
        (KNEE, TWO_SEGMENT, 0.99),
        (MILD_KNEE, TWO_SEGMENT, 0.98),
    ],
)
def test_the_true_family_wins_at_one_percent_noise(curve, family, least):
    loss = noisy(curve, 0.01, 500, seed=1)
    found = compare_families(T, loss)
    assert share(found, family) > least
    wrong = sum(share(found, other, 6) for other in set(FAMILIES) - {family})
    assert wrong <= 0.015
    stricter = compare_families(T, loss, segment_parameters=5)
    assert share(stricter, family) >= 0.95


def test_over_random_curves_of_each_family_the_true_one_wins_in_95_percent():
    draw = stream(2, "families")

    def between(low, high):
        return draw.uniform(low, high, (2000, 1))

    knee, first, change = between(8, 25), between(0.5, 1.0), between(0.2, 0.45)
    curves = {
        POWER_LAW: between(0.5, 2) * T ** -between(0.2, 1),
        EXPONENTIAL: between(0.5, 2) * np.exp(-T / between(10, 60)),
        SHIFTED_POWER: between(0.05, 0.5) + between(0.5, 1.5) * T ** -between(0.4, 1.2),
        TWO_SEGMENT: np.where(
            knee > T, T**-first, knee**-change * T ** (change - first)
        ),
    }
    for family, curve in curves.items():
        loss = curve * np.exp(0.01 * draw.standard_normal((2000, len(T))))
        found = compare_families(T, loss)
        assert share(found, family) >= 0.95, family
        wrong = [share(found, f, margin=6) for f in FAMILIES if f != family]
        assert sum(wrong) < 0.005, family


def test_correlated_noise_counts_as_fewer_points():
    white = compare_families(T, noisy(POWER, 0.02, 300))
    reddish = compare_families(T, noisy(POWER, 0.02, 300, rho=0.8))
    assert np.median(white["n_eff"]) > 40
    assert np.median(reddish["n_eff"]) < 15
    assert share(reddish, TWO_SEGMENT, 6) < 0.1


def test_short_windows_leave_two_segments_out():
    loss = noisy(DECAY, 0.01, 3)
    assert compare_families(T, loss, window=(5, 14)).status.tolist() == [TOO_SHORT] * 3
    three = FAMILIES[:3]
    found = compare_families(T, loss, window=(5, 15), families=three)
    assert winners(found) == [EXPONENTIAL] * 3
    assert found.n.tolist() == [10] * 3
    assert found.params["families"] == three
    assert "bic_two_segment" not in found.values


def test_curves_without_a_window_or_with_bad_values_have_no_winner():
    loss = noisy(POWER, 0.01, 3)
    loss[1, 9] = 0
    window = [[3, 50], [3, 50], [np.nan, 50]]
    found = compare_families(T, loss, window=window)
    assert found.status.tolist() == [OK, DIVERGED, NO_WINDOW]
    assert winners(found)[1:] == [None, None]


def test_a_row_does_not_depend_on_its_neighbours():
    loss = noisy(FLOOR, 0.02, 60)
    whole, alone = compare_families(T, loss), compare_families(T, loss[33:34])
    for name, column in whole.values.items():
        assert alone[name][0] == column[33]


@pytest.mark.parametrize("families", [("power",) * 2, (POWER_LAW,), (POWER_LAW,) * 2])
def test_unknown_or_too_few_families_are_refused(families):
    with pytest.raises(ValueError, match="two or more different ones"):
        compare_families(T, POWER[None], families=families)
