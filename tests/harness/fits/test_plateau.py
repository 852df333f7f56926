"""The plateau of lambda_1: closed form, simulated noise, statuses."""

import numpy as np
import pytest

from harness.fits.plateau import find_plateau
from harness.seeds import stream

TAU, SLOPE = 5.0, 0.02
EXACT = TAU * np.log(1 + 1 / (SLOPE * TAU))
T = np.arange(50) + 0.5


def rising(t=T, noise=0.0, num=1, seed=0):
    draws = stream(seed, "plateau").standard_normal((num, len(t)))
    return 7.0 * (1 - np.exp(-t / TAU)) * np.exp(noise * draws)


def test_the_closed_form_is_the_stated_one():
    assert pytest.approx(11.989, abs=5e-4) == EXACT
    step = 1e-6
    logs = np.log(1 - np.exp(-(EXACT + np.array([-step, step])) / TAU))
    assert np.diff(logs)[0] / (2 * step) == pytest.approx(SLOPE, rel=1e-6)


def test_fine_measurements_find_the_closed_form():
    t = np.arange(1, 5000) / 100
    found = find_plateau(t, rising(t), points=5)
    assert found["t_plateau"][0] == pytest.approx(EXACT, abs=0.01)
    assert found["lambda"][0] == pytest.approx(7 * (1 - np.exp(-EXACT / TAU)), rel=1e-3)


@pytest.mark.parametrize(("points", "expected"), [(5, 12.5), (11, 13.5)])
def test_a_measurement_an_epoch_without_noise(points, expected):
    found = find_plateau(T, rising(), points=points)
    assert found["t_plateau"][0] == expected
    assert found["t_known"][0] == expected + points // 2 + 2
    assert 0 < found["slope"][0] < SLOPE


def test_two_measurements_an_epoch_find_12_5_with_either_window():
    t = np.arange(1, 100) / 2
    for points in (5, 11):
        assert find_plateau(t, rising(t), points=points)["t_plateau"][0] == 12.5


def test_five_per_cent_noise_and_eleven_points():
    found = find_plateau(T, rising(noise=0.05, num=800))
    assert found.ok.all()
    quartiles = np.percentile(found["t_plateau"], [25, 50, 75])
    assert quartiles.tolist() == [12.5, 13.5, 14.5]


def test_ten_per_cent_noise_delays_five_points_but_not_eleven():
    noisy = rising(noise=0.1, num=800)
    short = find_plateau(T, noisy, points=5)
    quartiles = np.percentile(short["t_plateau"][short.ok], [25, 50, 75])
    assert quartiles == pytest.approx([12.5, 18.5, 24.5], abs=1.5)
    assert 0.02 < np.mean(short.status == "no_window") < 0.15
    long = find_plateau(T, noisy)
    assert np.median(long["t_plateau"]) == 13.5


def test_the_slope_is_that_of_polyfit_and_neighbours_do_not_matter():
    curves = rising(noise=0.05, num=5)
    found = find_plateau(T, curves)
    for i in range(5):
        first = int(found["t_plateau"][i] - 0.5) - 5
        part = slice(first, first + 11)
        slope = np.polyfit(T[part], np.log(curves[i, part]), 1)[0]
        assert found["slope"][i] == pytest.approx(slope, rel=1e-9)
        alone = find_plateau(T, curves[i : i + 1])
        assert alone["t_plateau"][0] == found["t_plateau"][i]
        assert alone["slope"][0] == found["slope"][i]


def test_measurements_without_a_plateau_have_a_status():
    curves = np.stack([np.exp(T / 10), rising()[0], rising()[0], rising()[0]])
    curves[1, 8] = -0.1  # a gap, before the plateau
    curves[2, 12] = np.nan
    curves[3, 40] = np.nan  # after it
    found = find_plateau(T, curves)
    assert found.status.tolist() == ["no_window", "ok", "ok", "ok"]
    assert found["t_plateau"][3] == 13.5
    assert found["t_plateau"][2] > 13.5
    curves[0, 20] = 0
    assert find_plateau(T, curves).status[0] == "diverged"
    assert find_plateau(T[:12], curves[:, :12]).status[3] == "too_short"


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="points >= 3"):
        find_plateau(T, rising(), points=2)
    with pytest.raises(ValueError, match="do not match"):
        find_plateau(T[1:], rising())
