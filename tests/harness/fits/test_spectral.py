"""Spectra: noises of known colour, tones, naive sums, simulated standard errors."""

import numpy as np
import pytest
from scipy.signal import lfilter

from harness.fits.power_law import fit_power_law
from harness.fits.residual import resample, residual
from harness.fits.spectral import (
    band_power,
    log_time_spectrum,
    psd_slope,
    segment_length,
)
from harness.measure import DIVERGED, ILL_CONDITIONED, TOO_SHORT
from harness.seeds import stream


def coloured(exponent: float, num: int, n: int, seed: int = 0) -> np.ndarray:
    """Gaussian noise with the spectrum f^exponent, cut from twice its length."""
    f = np.fft.rfftfreq(2 * n)
    gain = np.zeros(len(f))
    gain[1:] = f[1:] ** (exponent / 2)
    parts = stream(seed, "coloured", n).normal(size=(2, num, len(f)))
    return np.fft.irfft((parts[0] + 1j * parts[1]) * gain, 2 * n)[:, :n]


def samples(x: np.ndarray) -> np.ndarray:
    return np.arange(1, x.shape[1] + 1)


def naive_density(x: np.ndarray, length: int) -> np.ndarray:
    """Welch's estimate of one curve by sums over sines, segment by segment."""
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    waves = np.exp(
        -2j * np.pi * np.outer(np.arange(length // 2 + 1), range(length)) / length
    )
    found = []
    for first in range(0, len(x) - length + 1, length // 2):
        part = x[first : first + length]
        found.append(abs(waves @ (taper * (part - part.mean()))) ** 2)
    density = np.mean(found, axis=0) / (taper**2).sum()
    density[1:-1] *= 2
    return density


@pytest.mark.parametrize("exponent", [0, -1, -2])
def test_noises_of_known_colour_have_their_slope(exponent: int) -> None:
    x = coloured(exponent, 16, 19_550)
    slopes = psd_slope(samples(x), x)["slope"]
    assert abs(slopes.mean() - 10 * exponent) < 0.3
    # 0.3 is 2 sd of one curve: 95 % of them, so all but a few of 16.
    assert (abs(slopes - 10 * exponent) < 0.3).sum() >= 13


def test_the_slope_is_a_line_through_naive_densities() -> None:
    x = coloured(-1, 2, 1_100)
    found = psd_slope(samples(x), x)
    bins = np.arange(4, 103)  # 4/256 to 0.4
    for row, slope in zip(x, found["slope"], strict=True):
        level = 10 * np.log10(naive_density(row, 256)[bins])
        expected = np.polyfit(np.log10(bins / 256), level, 1)[0]
        assert slope == pytest.approx(expected, rel=1e-9)
    assert found["band_low"][0] == 4 / 256
    assert found["band_high"][0] == 102 / 256


@pytest.mark.parametrize(
    ("n", "num", "published"), [(188, 2_000, 3.0), (1_000, 1_000, 0.8)]
)
def test_the_standard_error_is_the_simulated_spread(
    n: int, num: int, published: float
) -> None:
    x = coloured(0, num, n, seed=1)
    found = psd_slope(samples(x), x, low_res=True)
    spread = found["slope"].std()
    assert found.errors["slope"][0] == pytest.approx(spread, rel=0.08)
    assert spread == pytest.approx(published, rel=0.1)
    assert (found["misfit"] ** 2).mean() == pytest.approx(1, abs=0.03)


@pytest.mark.slow
def test_the_standard_error_of_long_curves_is_the_simulated_spread() -> None:
    x = coloured(0, 600, 19_550, seed=1)
    found = psd_slope(samples(x), x)
    assert found.errors["slope"][0] == pytest.approx(found["slope"].std(), rel=0.09)
    assert found["slope"].std() == pytest.approx(0.15, abs=0.015)


def test_short_curves_need_low_res_and_are_labelled() -> None:
    x = coloured(0, 2, 999)
    assert set(psd_slope(samples(x), x).status) == {TOO_SHORT}
    found = psd_slope(samples(x), x, low_res=True)
    assert found.ok.all()
    assert found["low_res"].tolist() == [1, 1]
    assert found.params["low_res"] is True
    x = coloured(0, 2, 1_000)
    assert psd_slope(samples(x), x)["low_res"].tolist() == [0, 0]
    assert set(psd_slope(samples(x)[:31], x[:, :31], low_res=True).status) == {
        TOO_SHORT
    }


def test_segments_are_half_the_curve_rounded_down_to_a_power_of_two() -> None:
    sizes = [segment_length(n) for n in (32, 63, 64, 188, 511, 512, 19_550)]
    assert sizes == [16, 16, 32, 64, 128, 256, 256]


@pytest.mark.parametrize("logs", [4, 20, 100])
def test_the_slope_of_a_knee_moves_with_the_logging_density(logs: int) -> None:
    # Ornstein-Uhlenbeck with tau = 0.2 epoch, logged from epoch 3 to 50.
    n, rho = 47 * logs, np.exp(-1 / (0.2 * logs))
    noise = stream(2, "knee", logs).normal(size=(120, n + 1_000))
    x = lfilter([1], [1, -rho], noise, axis=1)[:, 1_000:]
    found = psd_slope(samples(x), x, low_res=True)
    length = segment_length(n)
    f = np.arange(4, int(0.4 * length) + 1) / length
    exact = -20 * np.log10(abs(1 - rho * np.exp(-2j * np.pi * f)))
    expected = np.polyfit(np.log10(f), exact, 1)[0]  # -6.2, -14.5 and -17.9
    spread = found.errors["slope"][0] / np.sqrt(120)
    assert found["slope"].mean() == pytest.approx(expected, abs=4 * spread + 0.2)


def test_a_tone_in_the_band_has_half_its_squared_amplitude() -> None:
    i = np.arange(256)
    x = np.stack([0.3 * np.sin(2 * np.pi * f * i) for f in (0.3, 0.1)])
    found = band_power(i, x)
    assert found["power"][0] == pytest.approx(0.0450, abs=1e-5)
    assert found["fraction"][0] > 0.999
    assert found["power"][1] < 1e-5
    assert found["total"] == pytest.approx(0.0450, abs=2e-5)


def test_white_noise_has_six_tenths_of_its_power_in_the_band() -> None:
    x = stream(3, "white").normal(size=(600, 256))
    found = band_power(samples(x), x)
    fraction = found["fraction"]
    assert fraction.mean() == pytest.approx(0.6, abs=0.01)
    assert fraction.std() == pytest.approx(0.05, abs=0.006)
    for quantity in ("power", "fraction", "total"):
        error = found.errors[quantity].mean()
        assert error == pytest.approx(found[quantity].std(), rel=0.1)


def test_the_sum_over_all_bins_is_the_variance_but_for_the_segments_means() -> None:
    x = stream(4, "white").normal(size=(40, 19_550))
    ratio = band_power(samples(x), x)["total"] / x.var(axis=1)
    # Taking 256-sample means out of white noise takes 1/256 of its variance.
    assert ratio.mean() == pytest.approx(1 - 1 / 256, abs=0.0015)
    # The trapezoid loses half of the end bins on top.
    density = naive_density(x[0], 256)
    trapezoid = np.trapezoid(density, dx=1 / 256) / density.sum() * 256
    assert trapezoid == pytest.approx(1 - 0.5 / 256, abs=0.001)


def test_band_powers_equal_naive_sums_whose_edge_bin_is_shared() -> None:
    x = coloured(-1, 3, 300)
    found = band_power(samples(x), x)
    for row, power, total in zip(x, found["power"], found["total"], strict=True):
        density = naive_density(row, 128) / 128
        # 0.2 lies at bin 25.6: bin 26 reaches from 25.5 to 26.5.
        assert power == pytest.approx(0.9 * density[26] + density[27:].sum(), rel=1e-10)
        assert total == pytest.approx(density.sum(), rel=1e-10)


def test_the_band_moves_with_the_logging_density() -> None:
    steps = np.arange(1, 98 * 30 + 1)
    rng = stream(5, "density")
    x = lfilter([1], [1, -0.9], rng.normal(size=(20, len(steps))), axis=1)
    left = residual(steps, np.exp(x), np.ones(len(steps)))
    coarse = resample(left, 98)
    fine = band_power(left.t, left.values, samples_per_epoch=98)
    slow = band_power(coarse.t, coarse.values)
    assert slow["fraction"].mean() > 2 * fine["fraction"].mean()
    assert slow.params["samples_per_epoch"] == 20


def test_interpolating_white_noise_onto_log_time_makes_a_slope_of_its_own() -> None:
    # Finding 9: epochs 3 to 50 at 4 logs an epoch.
    t = 3 + np.arange(188) / 4
    x = stream(6, "white").normal(size=(300, 188))
    even = np.linspace(np.log(t[0]), np.log(t[-1]), 188)
    bent = np.stack([np.interp(even, np.log(t), row) for row in x])
    false = psd_slope(even, bent, low_res=True)["slope"].mean()
    assert false == pytest.approx(-13.8, abs=0.8)
    assert band_power(even, bent)["fraction"].mean() == pytest.approx(0.25, abs=0.02)
    honest = log_time_spectrum(t, x)
    assert honest["slope"].mean() == pytest.approx(0, abs=0.8)
    assert honest["fraction"].mean() == pytest.approx(0.6, abs=0.02)
    assert honest.params["experimental"] is True
    assert "slope" not in honest.errors


def test_at_even_times_the_log_time_variant_is_the_periodogram() -> None:
    x = coloured(-1, 2, 100)
    found = log_time_spectrum(np.exp(np.arange(100) / 50), x)
    for row, fraction in zip(x, found["fraction"], strict=True):
        power = abs(np.fft.rfft(row - row.mean())) ** 2
        power[-1] /= 2  # Lomb and Scargle scale the Nyquist frequency like the others
        assert fraction == pytest.approx(power[20:].sum() / power[1:].sum(), rel=0.02)


def test_windows_and_peers_do_not_change_a_row() -> None:
    x = coloured(-1, 9, 1_500)
    t = samples(x)
    ends = np.array([[1, 1_500], [200, 1_400]] * 4 + [[1, 1_200]])
    for measure in (psd_slope, band_power, log_time_spectrum):
        together = measure(t, x, window=ends)
        for i in (1, 8):
            part = slice(ends[i, 0] - 1, ends[i, 1])
            alone = measure(t[part], x[[i], part])
            for quantity in together.units:
                assert together[quantity][i] == alone[quantity][0]


def test_residuals_of_a_fit_go_straight_into_the_spectra() -> None:
    t = np.arange(1, 2_001) / 40
    rng = stream(7, "residual")
    loss = 0.9 * t**-0.5 * np.exp(0.05 * rng.normal(size=(4, 2_000)))
    loss[3, 1_500] = np.nan
    left = residual(t, loss, fit_power_law(t, loss, window=(3, 50)))
    left = resample(left, 40)
    found = band_power(left.t, left.values, window=left.window)
    assert found.status.tolist()[:3] == ["ok"] * 3
    assert not found.ok[3]
    assert found["total"][:3] == pytest.approx(0.05**2 / 2, rel=0.2)
    direct = residual(t, loss, 0.9 * t**-0.5)
    slopes = psd_slope(direct.t, direct.values, window=direct.window)
    assert slopes.status.tolist() == ["ok"] * 3 + [DIVERGED]
    assert abs(slopes["slope"][:3]).max() < 3


def test_curves_without_variance_are_ill_conditioned() -> None:
    x = np.ones((2, 1_000))
    for measure in (psd_slope, band_power, log_time_spectrum):
        assert set(measure(samples(x), x).status) == {ILL_CONDITIONED}


def test_log_time_needs_positive_times() -> None:
    x = coloured(0, 1, 64)
    with pytest.raises(ValueError, match="ln t needs t > 0"):
        log_time_spectrum(np.arange(64), x)
