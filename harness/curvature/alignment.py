"""GA_k: the share of the gradient that lies in the top eigenspace of the Hessian."""

import numpy as np
from torch import Tensor

from harness.curvature.lanczos import Lanczos, overlaps, ritz
from harness.curvature.vectors import host, norm
from harness.measure import DIVERGED, ILL_CONDITIONED, NOT_APPLICABLE, OK
from harness.reading import Reading, reading


def gradient_alignment(
    gradient: Tensor, result: Lanczos, *, count: int = 10, tolerance: float = 1e-2
) -> Reading:
    """Return GA_k = sum_{i<=k} <g, v_i>^2 / ||g||^2 with the top k Ritz vectors.

    Range: 0..1; chance level k / P. Gradient and Hessian must be of the same data and
    Lanczos' start must not be the gradient. Undefined: "not_applicable" where g = 0;
    "ill_conditioned" unless the residuals of all k pairs are <= tolerance *
    |lambda_1|. That is the angle by which the eigenspace may be off times its gap to
    the rest of the spectrum, in units of lambda_1 (Davis, Kahan 1970): where
    lambda_k - lambda_{k+1} is of that size too, the vectors are mixtures. 10 pairs
    take about 40 steps or more.

    Cost: none beyond Lanczos and one gradient.
    Source: Gur-Ari, Roberts, Dyer 2018, arXiv 1812.04754.

    Args:
        gradient: `[S, P]`, on the device of Lanczos' basis.
        result: From `lanczos` of the Hessian.
        count: k, at most the steps made.
        tolerance: Largest residual over |lambda_1| of the pairs used.

    Raises:
        ValueError: `count` is not between 1 and the number of steps, or the shapes of
            gradient and basis differ.

    Example:
        g = v_1 -> 1; a random g among 1000 dimensions, k = 10 -> 0.01 on average.
    """
    steps, *shape = result.basis.shape
    if not 1 <= count <= steps or list(gradient.shape) != shape:
        raise ValueError(
            f"count must be 1..{steps} (the steps made) and the gradient {shape}, got "
            f"{count} and {list(gradient.shape)}"
        )
    pairs = ritz(result)
    size = norm(gradient)
    gradient = gradient.masked_fill(~size.isfinite()[:, None], 0.0)
    length = host(size)
    limit = tolerance * np.abs(pairs.values[:, :1])
    converged = (pairs.residuals[:, :count] <= limit).all(1)
    state = np.where(converged, OK, ILL_CONDITIONED)
    state = np.where(length == 0, NOT_APPLICABLE, state)
    state = np.where(np.isfinite(length), state, DIVERGED)
    state = np.where(result.status == OK, state, result.status)
    part = (overlaps(result, gradient)[:, :count] ** 2).sum(1)
    safe = np.where(state == OK, length, np.nan)
    return reading(np.minimum(part / safe**2, 1.0), state)
