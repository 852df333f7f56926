"""Trace of the covariance of per-image gradients at one state."""

import numpy as np

from harness.measure import TOO_SHORT, Floats
from harness.noise.gradient_moments import GradientMoments
from harness.reading import Reading, reading


def gradient_variance(moments: GradientMoments, layer: str | None = None) -> Reading:
    """Return tr Sigma, the variance of one image's gradient, a run.

    Formula: b / (m - 1) * sum_i ||g_i - g||^2 over m gradients of b images each, so
    that E ||g_B||^2 = ||G||^2 + tr Sigma / B for a batch of B images drawn
    independently. For images drawn without repetition from a finite set the true
    value is that of drawing from the population the set stands for.

    Unit: (loss per unit of parameter)^2. Range: >= 0. The standard error is the
    jackknife's over micro-batches, in closed form. "too_short" for m < 3, "diverged"
    where a gradient is not finite.

    Cost: none beyond `gradient_moments`.

    Args:
        moments: Of gradients in evaluation mode, without clipping, momentum and
            weight decay; batch statistics would tie the images together.
        layer: Restricts the trace to one layer; all where omitted.

    Raises:
        KeyError: There is no such layer.

    Example:
        >>> rows = torch.tensor([[[1.0], [3.0], [5.0]]])
        >>> gradient_variance(gradient_moments([rows], images=2)).value.tolist()
        [8.0]
    """
    squares = moments.of(moments.squares, layer)  # [S, m]
    count = moments.count
    if count < 3:
        return reading(np.full(len(squares), np.nan), TOO_SHORT)
    value = moments.images / (count - 1) * squares.sum(-1)
    without = variances_without_one(moments, layer)
    return reading(value, se=jackknife_error(without))


def variances_without_one(moments: GradientMoments, layer: str | None = None) -> Floats:
    """Return tr Sigma without micro-batch i, `[S, m]`; needs m >= 3.

    Formula: b / (m - 2) * (sum_k ||h_k||^2 - m / (m - 1) ||h_i||^2), h_i = g_i - g.
    """
    squares, count = moments.of(moments.squares, layer), moments.count
    left = squares.sum(-1, keepdims=True) - count / (count - 1) * squares
    result: Floats = moments.images / (count - 2) * left
    return result


def jackknife_error(without_one: Floats) -> Floats:
    """Return the jackknife standard error `[S]` of values without one each, `[S, m]`.

    Formula: sqrt((m - 1) / m * sum_i (v_i - mean v)^2). Efron and Stein 1981, The
    jackknife estimate of variance.
    """
    count = without_one.shape[-1]
    offsets = without_one - without_one.mean(-1, keepdims=True)
    error: Floats = np.sqrt((count - 1) / count * np.square(offsets).sum(-1))
    return error
