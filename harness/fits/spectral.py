"""Spectra of residuals: their slope in dB per decade and the power of their fast part.

The unit of frequency is cycles per sample throughout, the samples being steps or logs;
times cycles per epoch = samples per epoch. What is read off depends on the logging
density (a slope moves by 10 dB/decade between 4 and 20 logs an epoch), so compare runs
at one density only: `harness.fits.residual.resample`.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import Fit, Fitted, Window, fit_curves
from harness.measure import Estimates, Floats

VERSION: Final = "1"
SEGMENT: Final = 256
"""Longest Welch segment, samples."""
FULL_RESOLUTION: Final = 1000
"""Fewest samples of a slope that is not `low_res`."""
LOW_RESOLUTION: Final = 32
"""Fewest samples at all."""
HIGHEST: Final = 0.4
"""Upper end of the line's band in cycles/sample; its lower end is 4 / segment."""
BAND: Final = (0.2, 0.5)
"""The fast part in cycles/sample; 0.5 is the Nyquist frequency."""
_DB: Final = 10 / math.log(10)


def segment_length(n: int) -> int:
    """Return min(256, n / 2 rounded down to a power of 2), samples, for n >= 2.

    Example:
        >>> segment_length(188), segment_length(19_550)
        (64, 256)
    """
    return min(SEGMENT, 1 << ((n // 2).bit_length() - 1))


def psd_slope(
    t: npt.ArrayLike,
    x: npt.ArrayLike,
    *,
    window: Window = None,
    low_res: bool = False,
    samples_per_epoch: float | None = None,
) -> Estimates:
    """Measure the slope of the power spectral density, in dB per decade of frequency.

    Formula: Welch's P with Hann segments of `segment_length(n)` samples that overlap
    by half, each less its mean; ordinary least squares of 10 log10 P on log10 f over
    the bins in [4 / segment, 0.4] cycles/sample. A spectrum f^-b has slope -10 b;
    counting frequency per epoch instead of per sample does not change it. Standard
    error: the exact covariance of Welch's estimate for Gaussian noise (overlap, and
    neighbouring bins of the Hann window), trigamma for the logarithm; it is right for
    a power law only. `misfit` = root of (squares about the line / their expectation
    under a power law), about 1; well above 1 the spectrum is bent (a knee, a line) and
    the slope is an average over the band. se is 0.80 dB/decade at n = 1,000, 0.15 at
    19,550 and 3.0 at 188.
    Undefined: "too_short" below 1,000 samples (32 with `low_res`; rows below 1,000 have
    low_res = 1), "diverged", "ill_conditioned" (no power).
    Cost: 2 FFTs of every sample. Source: Welch 1967.

    Args:
        t: Times `[T]`, increasing; the samples are taken as evenly spaced.
        x: Residuals `[N, T]`; values outside the windows may be NaN.
        window: (first, last) in the unit of t, or `[N, 2]`; None is everything.
        low_res: Whether 32 to 999 samples are accepted, too.
        samples_per_epoch: Recorded, to turn cycles/sample into cycles/epoch.

    Returns:
        slope, misfit, band_low and band_high (of the line, cycles/sample), low_res;
        the error of slope.

    Raises:
        ValueError: Wrong shapes.

    Example:
        White noise has slope 0, a random walk -20 dB/decade.
    """
    units = {"slope": "dB/decade", "misfit": "1", "low_res": "1"}
    band = dict.fromkeys(("band_low", "band_high"), "cycles/sample")
    return fit_curves(
        t,
        x,
        window,
        lambda times: _slope_fit(len(times)),
        estimator="psd_slope",
        version=VERSION,
        units=units | band,
        errors=("slope",),
        min_points=LOW_RESOLUTION if low_res else FULL_RESOLUTION,
        positive=False,
        params={
            "axis": "cycles/sample",
            "samples_per_epoch": samples_per_epoch,
            "low_res": low_res,
        },
    )


def band_power(
    t: npt.ArrayLike,
    x: npt.ArrayLike,
    *,
    window: Window = None,
    samples_per_epoch: float = 20,
) -> Estimates:
    """Measure the power of residuals between 0.2 and 0.5 cycles/sample.

    Formula: power = sum of a_k P_k df, P of Welch as in `psd_slope`, a_k the share of
    bin k in the band; fraction = power / sum P_k df, whose denominator is the variance
    (the sum, not the trapezoid; without the segments' means, which is 1 / segment of
    white noise). White noise has fraction 0.6. Unit of power: that of x squared;
    fraction in [0, 1]. Give x at 20 logs an epoch (`resample`): at another
    density the band is another one. Standard errors hold for Gaussian noise with a
    smooth spectrum; a pure tone has less.

    Undefined: "too_short" (fewer than 32 samples), "diverged", "ill_conditioned" (no
    variance). Cost: 2 FFTs of every sample.
    Source: this project's plan; an origin in the literature was not found.

    Args:
        t: Times `[T]`, increasing; the samples are taken as evenly spaced.
        x: Residuals `[N, T]`; values outside the windows may be NaN.
        window: (first, last) in the unit of t, or `[N, 2]`; None is everything.
        samples_per_epoch: Recorded.

    Returns:
        power, fraction and total; errors of all three.

    Raises:
        ValueError: Wrong shapes.

    Example:
        A sin(2 pi 0.3 i) has power A^2 / 2: 0.045 for A = 0.3, all in the band.
    """
    return fit_curves(
        t,
        x,
        window,
        lambda times: _band_fit(len(times)),
        estimator="band_power",
        version=VERSION,
        units={"power": "[x]^2", "fraction": "1", "total": "[x]^2"},
        errors=("power", "fraction", "total"),
        min_points=LOW_RESOLUTION,
        positive=False,
        params={
            "axis": "cycles/sample",
            "band": BAND,
            "samples_per_epoch": samples_per_epoch,
        },
    )


def log_time_spectrum(
    t: npt.ArrayLike, x: npt.ArrayLike, *, window: Window = None
) -> Estimates:
    """Experimental: slope and fast fraction of the spectrum over ln t.

    Formula: Lomb-Scargle periodogram P of x less its mean, at the times ln t as they
    are, at frequencies k / (n d), k = 1 ... n / 2, d the mean spacing of ln t; slope
    as in `psd_slope` over the same band in cycles per mean sample, fraction = sum of P
    over [0.2, 0.5] / sum of P. Nothing is interpolated: doing that to white noise
    makes a slope of about -14 dB/decade and a fraction of 0.25 out of 0 and 0.6. No
    standard error: ordinates at uneven times are correlated. One periodogram, not
    averaged: noisier than `psd_slope`. A bin of [0.2, 0.5] cycles per e-fold is not
    measurable at all: epochs 3 to 50 span 2.8 e-folds.

    Undefined: "too_short" (fewer than 32 samples), "diverged", "ill_conditioned".
    Cost: n^2 / 2 sines a curve, one curve at a time: seconds for 10^4 samples.
    Source: Lomb 1976, Scargle 1982 in scipy; its use here has no authority.

    Args:
        t: Times `[T]`, increasing, > 0 where the windows lie.
        x: Residuals `[N, T]`.
        window: (first, last) in the unit of t, or `[N, 2]`; None is everything.

    Returns:
        slope and fraction.

    Raises:
        ValueError: Wrong shapes or t <= 0 in a window.

    Example:
        White noise: slope 0, fraction 0.6, whatever the times.
    """
    return fit_curves(
        t,
        x,
        window,
        _log_time_fit,
        estimator="log_time_spectrum_experimental",
        version=VERSION,
        units={"slope": "dB/decade", "fraction": "1"},
        errors=(),
        min_points=LOW_RESOLUTION,
        positive=False,
        params={"axis": "cycles per mean sample of ln t", "experimental": True},
    )


def _welch(block: Floats) -> Floats:
    """Return the one-sided density `[B, segment / 2 + 1]` at k / segment."""
    from scipy.signal import welch

    length = segment_length(block.shape[1])
    density = welch(
        block, window="hann", nperseg=length, noverlap=length // 2, detrend="constant"
    )[1]
    # One memory order, so that sums along rows round alike however many rows there are.
    return np.ascontiguousarray(density, dtype=np.float64)


def _correlation(n: int) -> Floats:
    """Return cov(P_k, P_k+l) / (E P_k E P_k+l) for l = 0, 1, ... of Gaussian noise.

    Segments i and i + j have the covariance |sum h_m h_m+jS e^(-2 pi i l m / L)|^2 of
    their ordinates; at an overlap of half only j = -1, 0, 1 are not 0.
    """
    length = segment_length(n)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    half = length // 2
    count = (n - length) // half + 1
    lapped = np.zeros(length)
    lapped[half:] = taper[half:] * taper[:half]
    own, next_ = (abs(np.fft.rfft(v)) ** 2 for v in (taper * taper, lapped))
    whole = (own + 2 * (1 - 1 / count) * next_) / own[0] / count
    return np.asarray(whole)


def _line(n: int) -> tuple[slice, Floats, Floats]:
    """Return the bins of the line's band, their weights in the slope, and log10 f."""
    length = segment_length(n)
    bins = slice(4, int(HIGHEST * length) + 1)
    x = np.log10(np.arange(bins.start, bins.stop) / length)
    x -= x.mean()
    return bins, x / (x @ x), x


def _slope_fit(n: int) -> Fit:
    """Return the fit of lines to the spectra of curves of n samples."""
    from scipy.special import polygamma

    length = segment_length(n)
    bins, weights, x = _line(n)
    relative = _correlation(n)
    lags = abs(np.arange(len(x))[:, None] - np.arange(len(x)))
    variance = _DB**2 * float(polygamma(1, 1 / relative[0]))
    covariance = variance * relative[lags] / relative[0]
    error = math.sqrt(weights @ covariance @ weights)
    off_line = np.eye(len(x)) - 1 / len(x) - np.outer(weights, x)
    expected = float(np.trace(off_line @ covariance))

    def fit(block: Floats) -> Fitted:
        level = 10 * np.log10(_welch(block)[:, bins])
        level -= level.mean(axis=1, keepdims=True)
        slope = np.linalg.vecdot(level, weights)
        level -= slope[:, None] * x
        num = len(block)
        values = {
            "slope": slope,
            "misfit": np.sqrt(np.linalg.vecdot(level, level) / expected),
            "low_res": np.full(num, float(n < FULL_RESOLUTION)),
            "band_low": np.full(num, bins.start / length),
            "band_high": np.full(num, (bins.stop - 1) / length),
        }
        return Fitted(values, {"slope": np.full(num, error)})

    return fit


def _band_fit(n: int) -> Fit:
    """Return the measurement of band powers of curves of n samples."""
    length = segment_length(n)
    centre = np.arange(length // 2 + 1) / length
    low, high = centre - 0.5 / length, centre + 0.5 / length
    low[0], high[-1] = 0, 0.5  # one-sided: these two bins are half as wide
    width = high - low
    share = (np.minimum(high, BAND[1]) - np.maximum(low, BAND[0])).clip(0) / width
    relative = _correlation(n)

    def spread(part: Floats) -> Floats:
        """Return the standard deviation of the sum of `part` `[B, bins]`."""
        total = relative[0] * np.linalg.vecdot(part, part)
        for lag in range(1, 4):  # beyond, the Hann window leaves nothing
            cross = np.linalg.vecdot(part[:, lag:], part[:, :-lag])
            total += 2 * relative[lag] * cross
        # E P^2 is (1 + relative) (E P)^2
        return np.asarray(np.sqrt(np.maximum(total, 0) / (1 + relative[0])))

    def fit(block: Floats) -> Fitted:
        power = _welch(block) / length
        total = power.sum(axis=1)
        fast = np.linalg.vecdot(power, share)
        fraction = fast / total
        towards = (share - fraction[:, None]) * power / total[:, None]
        return Fitted(
            {"power": fast, "fraction": fraction, "total": total},
            {
                "power": spread(share * power),
                "fraction": spread(towards),
                "total": spread(power),
            },
        )

    return fit


def _log_time_fit(times: Floats) -> Fit:
    """Return the measurement of spectra over the logarithm of these times."""
    from scipy.signal import lombscargle

    if times[0] <= 0:
        raise ValueError(f"t is {times[0]:g} in the window; ln t needs t > 0")
    u = np.log(times)
    n = len(u)
    relative = np.arange(1, n // 2 + 1) / n  # cycles per mean sample
    angular = 2 * np.pi * relative * (n - 1) / (u[-1] - u[0])
    line = (relative >= 4 / segment_length(n)) & (relative <= HIGHEST)
    x = np.log10(relative[line])
    x -= x.mean()
    fast = ((relative >= BAND[0]) & (relative <= BAND[1])).astype(np.float64)

    def fit(block: Floats) -> Fitted:
        block = block - block.mean(axis=1, keepdims=True)
        power = np.stack([lombscargle(u, row, angular) for row in block])
        level = 10 * np.log10(np.ascontiguousarray(power[:, line]))
        fraction = np.linalg.vecdot(power, fast) / power.sum(axis=1)
        return Fitted(
            {"slope": np.linalg.vecdot(level, x) / (x @ x), "fraction": fraction}
        )

    return fit
