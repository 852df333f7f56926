"""The simple gradient noise scale: the batch size at which noise equals signal."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import ILL_CONDITIONED, OK, TOO_SHORT, Floats
from harness.noise.gradient_moments import GradientMoments
from harness.noise.gradient_variance import jackknife_error, variances_without_one
from harness.reading import Reading, reading


class SignalAndNoise(NamedTuple):
    """Unbiased estimates of a gradient's two parts."""

    signal: Floats
    """||G||^2, squared norm of the gradient without noise; may be negative."""
    noise: Floats
    """tr Sigma, variance of one image's gradient."""


def signal_and_noise(
    small_square: Floats, big_square: Floats, small: int, big: int
) -> SignalAndNoise:
    """Return ||G||^2 and tr Sigma from squared gradient norms at two batch sizes.

    Formula: ||G||^2 = (B_b |g_b|^2 - B_s |g_s|^2) / (B_b - B_s) and
    tr Sigma = (|g_s|^2 - |g_b|^2) / (1 / B_s - 1 / B_b); both are unbiased, since
    E |g_B|^2 = ||G||^2 + tr Sigma / B. McCandlish et al., arXiv 1812.06162, app. A.

    Args:
        small_square: |g_s|^2, squared norm of a gradient of `small` images, any shape.
        big_square: |g_b|^2, the same of `big` images.
        small: B_s, images.
        big: B_b, images, more than `small`.

    Raises:
        ValueError: The batch sizes are not 0 < small < big.

    Example:
        >>> signal_and_noise(np.array(6.0), np.array(3.0), 2, 8)
        SignalAndNoise(signal=np.float64(2.0), noise=np.float64(8.0))
    """
    if not 0 < small < big:
        raise ValueError(
            f"the batch sizes are small = {small} and big = {big}, expected "
            "0 < small < big"
        )
    return SignalAndNoise(
        (big * big_square - small * small_square) / (big - small),
        (small_square - big_square) / (1 / small - 1 / big),
    )


def noise_scale(
    moments: GradientMoments, layer: str | None = None
) -> dict[str, Reading]:
    """Return B_simple = tr Sigma / ||G||^2 at one state, and both its parts, a run.

    `signal_and_noise` with B_s = b, the images of a micro-batch, whose |g_s|^2 is
    averaged over the m micro-batches, and B_b = m b. Computed from centred norms,
    which is the same without cancellation: tr Sigma = b / (m - 1) sum_i ||g_i - g||^2
    and ||G||^2 = ||g||^2 - tr Sigma / (m b).

    Keys: "gradient_square" (||G||^2, unbiased, may be negative; squared loss per unit
    of parameter), "gradient_variance" (tr Sigma, the same unit, >= 0) and
    "noise_scale" (images, >= 0, of a ratio and so biased upwards by about the squared
    relative error of ||G||^2; average over times or runs with
    `averaged_noise_scale`). Standard errors are the jackknife's over micro-batches, of
    the ratio in its linear part. "too_short" for m < 3; "noise_scale" is
    "ill_conditioned" where ||G||^2 <= 0; "diverged" where a gradient is not finite.
    McCandlish et al., arXiv 1812.06162, app. A.

    Cost: none beyond `gradient_moments`.

    Args:
        moments: Of gradients in evaluation mode, without clipping, momentum and
            weight decay.
        layer: Restricts everything to one layer; all where omitted.

    Raises:
        KeyError: There is no such layer.

    Example:
        >>> rows = torch.tensor([[[3.0], [4.0], [5.0]]])
        >>> scales = noise_scale(gradient_moments([rows], images=1))
        >>> [round(float(r.value[0]), 4) for r in scales.values()]
        [15.6667, 1.0, 0.0638]
    """
    squares = moments.of(moments.squares, layer)  # [S, m]
    products = moments.of(moments.products, layer)  # [S, m]
    mean_square = moments.of(moments.mean_squares, layer)  # [S]
    m, b = moments.count, moments.images
    if m < 3:
        short = reading(np.full(len(squares), np.nan), TOO_SHORT)
        return dict.fromkeys(
            ("gradient_square", "gradient_variance", "noise_scale"), short
        )
    noise = b / (m - 1) * squares.sum(-1)
    signal = mean_square - noise / (m * b)
    noises = variances_without_one(moments, layer)
    # The mean without g_i is g - h_i / (m - 1).
    norms = mean_square[:, None] - 2 / (m - 1) * products + squares / (m - 1) ** 2
    signals = norms - noises / ((m - 1) * b)
    return {
        "gradient_square": reading(signal, se=jackknife_error(signals)),
        "gradient_variance": reading(noise, se=jackknife_error(noises)),
        "noise_scale": _ratio(signal, noise, signals, noises),
    }


def averaged_noise_scale(signals: npt.ArrayLike, noises: npt.ArrayLike) -> Reading:
    """Return the noise scale of several measurements: a ratio of averages, a row.

    Formula: mean(tr Sigma) / mean(||G||^2) over the measurements (McCandlish et al.,
    app. A), among which ||G||^2 <= 0 is welcome. The mean of the ratios would be too
    large by about the squared relative error of one ||G||^2, and leaving out the
    negative ones would make ||G||^2 too large.

    Unit: images. Range: >= 0. The standard error is the jackknife's over
    measurements, linear in them, as if they were independent. "too_short" for fewer
    than 3 measurements, "ill_conditioned" where the mean of ||G||^2 is <= 0,
    "diverged" where a measurement is not finite.

    Args:
        signals: ||G||^2, unbiased, `[S, T]` of S runs at T times; transpose to average
            over runs.
        noises: tr Sigma, the same.

    Raises:
        ValueError: The shapes are not equal or not `[S, T]`.

    Example:
        >>> averaged_noise_scale([[2.0, -1.0, 5.0]], [[6.0, 6.0, 6.0]]).value.tolist()
        [3.0]
    """
    signal = np.asarray(signals, np.float64)
    noise = np.asarray(noises, np.float64)
    if signal.shape != noise.shape or signal.ndim != 2:
        raise ValueError(
            f"signals and noises have shapes {signal.shape} and {noise.shape}, "
            "expected [S, T] for both"
        )
    runs, times = signal.shape
    if times < 3:
        return reading(np.full(runs, np.nan), TOO_SHORT)
    finite = (np.isfinite(signal) & np.isfinite(noise)).all(-1, keepdims=True)
    signal, noise = np.where(finite, (signal, noise), np.nan)
    return _ratio(
        signal.mean(-1),
        noise.mean(-1),
        (signal.sum(-1, keepdims=True) - signal) / (times - 1),
        (noise.sum(-1, keepdims=True) - noise) / (times - 1),
    )


def _ratio(signal: Floats, noise: Floats, signals: Floats, noises: Floats) -> Reading:
    """Return noise / signal `[S]`; `signals` and `noises` `[S, m]` lack one each.

    The jackknife is applied to the ratio's linear part at its value, because without
    one measurement ||G||^2 may be 0.
    """
    undefined = signal <= 0  # NaN is not, and becomes "diverged"
    status = np.where(undefined, ILL_CONDITIONED, OK)
    base = np.where(undefined, 1.0, signal)
    value = noise / base
    linear = (noises - value[:, None] * signals) / base[:, None]
    return reading(value, status, jackknife_error(linear))
