"""Tail index of gradient noise, as if it were alpha-stable.

Heavy-tailed noise keeps its excess under summation, so sums of K1 samples grow like
K1^(1 / alpha); 1/2 for any finite variance.
"""

from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from harness.measure import (
    DIVERGED,
    ILL_CONDITIONED,
    NOT_APPLICABLE,
    OK,
    TOO_SHORT,
    Floats,
)
from harness.noise.gradient_moments import GradientMoments
from harness.reading import Reading, reading

MIN_SAMPLES: Final = 100
"""Fewer samples have a standard error of the order of the value itself."""


def tail_index(
    samples: npt.ArrayLike | Tensor,
    *,
    num_summed: int | None = None,
    centre: bool = True,
) -> Reading:
    """Return the tail index alpha of S sets of n samples, numbers or vectors.

    Formula: 1 / alpha = (mean_j ln||Y_j|| - mean_i ln||X_i||) / ln K1, where Y_j are
    the sums of K1 successive samples X_i, n >= K1 K2. The last n - K1 K2 samples are
    used for the mean alone. Mohammadi et al. 2015, On estimating the tail index and
    the spectral measure of multivariate alpha-stable distributions, cor. 2.4, as used
    by Simsekli et al., arXiv 1901.06053.

    Centring by the samples' own mean shrinks Y more than X: for a finite variance by
    sqrt(1 - K1 / n) against sqrt(1 - 1 / n), which alone would give 2.09 instead of 2
    at n = 100. It is divided out, which is exact for alpha = 2; below 2 the mean of
    all samples converges slowly and stays in X and Y: 1.49 for 1.5 at n = 10 000.

    Unit: none. Range: > 0; 2 for finite variance as n grows, and it may exceed 2 (for
    100 Gaussian numbers: 1.38 to 4.7 in 90 % of cases). It is an index of heavy tails
    only if the coordinates or samples are alike: Gaussian numbers whose scales differ
    by factors with a log-sd of 1 or 2 give 1.41 or 0.87 when shuffled (and 2.00 sorted
    by scale), a mean of 0.1 sigma left in gives 1.70, and finite variances short of
    the limit 1.76 (Student t3) and 1.81 (Laplace), K1 = 100.

    The standard error is that of the mean over the K2 blocks. "too_short" for n < 100;
    "not_applicable" where a sample or sum is exactly 0, as for no noise at all;
    "ill_conditioned" where sums are not larger than samples; "diverged" where a sample
    is not finite.

    Args:
        samples: `[S, n]`, or vectors `[S, n, d]`; in the order in which they are
            summed.
        num_summed: K1, 2 or more with K1 <= n / 2; isqrt(n) where omitted.
        centre: Whether to subtract the mean over the n samples.

    Raises:
        ValueError: `samples` has another shape, or `num_summed` is out of range.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal((1, 100, 10_000))
        >>> round(float(tail_index(noise).value[0]), 2)
        2.0
    """
    values = np.asarray(
        samples.detach().cpu() if isinstance(samples, Tensor) else samples, np.float64
    )
    if values.ndim not in (2, 3):
        raise ValueError(
            f"samples has shape {values.shape}, expected [S, n] or [S, n, d]"
        )
    runs, count = values.shape[:2]
    if count < MIN_SAMPLES:
        return reading(np.full(runs, np.nan), TOO_SHORT)
    summed = isqrt(count) if num_summed is None else num_summed
    if not 2 <= summed <= count // 2:
        raise ValueError(f"num_summed is {summed}, expected 2 to n / 2 = {count // 2}")
    values = values.reshape(runs, count, -1)
    if centre:
        values = values - values.mean(1, keepdims=True)
    blocks = count // summed
    used = values[:, : blocks * summed]
    sums = used.reshape(runs, blocks, summed, -1).sum(2)
    return _from_squares(
        np.square(sums).sum(-1), np.square(used).sum(-1), count if centre else None
    )


def noise_tail_index(moments: GradientMoments, layer: str | None = None) -> Reading:
    """Return the tail index of micro-batch noise as vectors, a run.

    `tail_index` of X_i = g_i - g, i = 1 ... m, with K1 = isqrt(m); of m = 128 the last
    7 are used for the mean alone. In many dimensions norms concentrate, so that
    noise of finite variance gives 2 with a standard error far below the scalar
    version's (1e4 Gaussian coordinates, m = 100: 2.000 +- 0.004), whatever the scales
    of its coordinates.

    Unit: none. Range: > 0. Statuses as `tail_index`. Cost: none beyond
    `gradient_moments`.

    Args:
        moments: Of at least 100 micro-batches.
        layer: Restricts the vectors to one layer; all where omitted.

    Raises:
        KeyError: There is no such layer.

    Example:
        >>> rows = torch.from_numpy(noise)  # of the example of `tail_index`
        >>> moments = gradient_moments([rows], images=1)
        >>> round(float(noise_tail_index(moments).value[0]), 2)
        2.0
    """
    sums = moments.of(moments.sum_squares, layer)
    squares = moments.of(moments.squares, layer)
    if moments.count < MIN_SAMPLES:
        return reading(np.full(len(squares), np.nan), TOO_SHORT)
    used = sums.shape[1] * isqrt(moments.count)
    return _from_squares(sums, squares[:, :used], moments.count)


def coordinate_tail_index(
    moments: GradientMoments, layer: str | None = None
) -> Reading:
    """Return the tail index of micro-batch noise, coordinate by coordinate, a run.

    The scalar version of `tail_index` with the samples X_i of one coordinate over the
    m micro-batches, its two means of logarithms averaged over the coordinates of the
    layer whose gradient varies. A coordinate's scale cancels, unlike where the
    coordinates of one vector serve as samples, which takes unequal scales for heavy
    tails. Gradients that are 0 for most images are heavy-tailed in this sense until
    the micro-batch is large.

    Unit: none. Range: > 0. Statuses as `tail_index`, but "not_applicable" only where
    no coordinate varies; the standard error counts the K2 blocks alone as independent.
    Cost: the logarithms in `gradient_moments`.

    Args:
        moments: Of at least 100 micro-batches.
        layer: Restricts the coordinates to one layer; all where omitted.

    Raises:
        KeyError: There is no such layer.
        ValueError: The moments were taken without logarithms.

    Example:
        >>> round(float(coordinate_tail_index(moments).value[0]), 1)
        2.0
    """
    if moments.logs is None or moments.sum_logs is None or moments.live is None:
        raise ValueError("the moments have no logarithms: take them with logs=True")
    sum_logs = moments.of(moments.sum_logs, layer)
    logs = moments.of(moments.logs, layer)
    live = moments.of(moments.live, layer)
    if moments.count < MIN_SAMPLES:
        return reading(np.full(len(logs), np.nan), TOO_SHORT)
    # Coordinates that never vary stand with the same logarithm in both sums.
    counts = np.maximum(live, 1.0)[:, None]
    used = logs[:, : sum_logs.shape[1] * isqrt(moments.count)]
    return _alpha(sum_logs / counts, used / counts, live == 0, moments.count)


def _from_squares(sums: Floats, squares: Floats, count: int | None) -> Reading:
    """Return alpha from ||Y_j||^2 `[S, K2]` and ||X_i||^2 `[S, K1 K2]`."""
    absent = (sums == 0).any(-1) | (squares == 0).any(-1)
    logs = [np.log(np.where(x == 0, 1.0, x)) / 2 for x in (sums, squares)]
    return _alpha(logs[0], logs[1], absent, count)


def _alpha(
    sum_logs: Floats, logs: Floats, absent: npt.NDArray[np.bool_], count: int | None
) -> Reading:
    """Return alpha from ln||Y_j|| `[S, K2]` and ln||X_i|| `[S, K1 K2]`.

    Args:
        sum_logs: Logarithms of the sums.
        logs: Logarithms of the samples.
        absent: `[S]`, where there is no noise.
        count: Number of samples whose mean was subtracted; None if none was.
    """
    runs, blocks = sum_logs.shape
    summed = logs.shape[1] // blocks
    growth = sum_logs - logs.reshape(runs, blocks, summed).mean(-1)
    if count is not None:
        growth -= np.log((1 - summed / count) / (1 - 1 / count)) / 2
    growth /= np.log(summed)  # each an estimate of 1 / alpha
    inverse = growth.mean(-1)
    error = growth.std(-1, ddof=1) / np.sqrt(blocks)
    status = np.where(inverse > 0, OK, ILL_CONDITIONED)
    status = np.where(absent, NOT_APPLICABLE, status)
    status = np.where(np.isfinite(inverse), status, DIVERGED)
    value = 1 / np.where(inverse > 0, inverse, np.nan)
    return reading(value, status, error * np.square(value))
