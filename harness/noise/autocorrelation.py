"""Products and angles of one run's gradient at two times, freed from image noise."""

import numpy as np
import torch
from torch import Tensor

from harness.measure import DIVERGED, ILL_CONDITIONED, OK
from harness.reading import Reading, reading


def autocorrelation(before: Tensor, after: Tensor) -> dict[str, Reading]:
    """Return how the gradients G of a run at two times t and u > t compare.

    Every probe image belongs to one of two equal halves A and B, the same at both
    times. A half's gradient is G plus noise, which is independent of the other half's;
    one half at two times has the same images and so related noise. Hence only products
    across halves are unbiased:

    - "gradient_product" = (<gA_t, gB_u> + <gB_t, gA_u>) / 2, unbiased for <G_t, G_u>;
      squared loss per unit of parameter, any sign.
    - "gradient_correlation" = gradient_product / sqrt(<gA_t, gB_t> <gA_u, gB_u>),
      each factor unbiased for ||G||^2; a pure number, which noise may carry out of
      [-1, 1]. "ill_conditioned" where a factor is <= 0: noise hides the gradient.
    - "gradient_cosine" = cosine of the full probe gradients gA + gB, in [-1, 1]. Common
      noise pulls it towards the noise's own correlation; were the images of the two
      times others, noise would multiply it by `attenuation`. "ill_conditioned" where
      a full gradient is exactly 0.

    All are "diverged" where a gradient is not finite. No standard errors. Sums are in
    float64; a run's numbers do not depend on the other runs. Cost beyond the
    gradients: seven products of vectors.

    Args:
        before: Mean gradients of the halves at time t, `[S, 2, P]`.
        after: The same at time u.

    Raises:
        ValueError: The shapes are not equal or not `[S, 2, P]`.

    Example:
        >>> before = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]])
        >>> after = torch.tensor([[[2.0, 0.0], [4.0, 0.0]]])
        >>> both = autocorrelation(before, after)
        >>> [round(float(r.value[0]), 4) for r in both.values()]
        [6.0, 1.2247, 1.0]
    """
    if before.shape != after.shape or before.ndim != 3 or before.shape[1] != 2:
        raise ValueError(
            f"the gradients have shapes {tuple(before.shape)} and "
            f"{tuple(after.shape)}, expected [S, 2, P] at both times"
        )
    a, b = before.detach().double().unbind(1)
    c, d = after.detach().double().unbind(1)
    product = (_dot(a, d) + _dot(b, c)) / 2
    full, later = a + b, c + d
    cosine = _ratio(_dot(full, later), _dot(full, full), _dot(later, later))
    return {
        "gradient_product": reading(product.cpu().numpy()),
        "gradient_correlation": _ratio(product, _dot(a, b), _dot(c, d)),
        # Rounding may carry the cosine of parallel vectors beyond 1.
        "gradient_cosine": cosine._replace(value=np.clip(cosine.value, -1.0, 1.0)),
    }


def attenuation(noise_to_signal: float) -> float:
    """Return by what independent noise multiplies the cosine of two gradients.

    Formula: 1 / (1 + tr Sigma / (B ||G||^2)) for gradients of B images with equal
    noise at both times, in many dimensions, where norms concentrate.

    Args:
        noise_to_signal: tr Sigma / (B ||G||^2), at least 0.

    Raises:
        ValueError: `noise_to_signal` is negative.

    Example:
        >>> [round(attenuation(ratio), 4) for ratio in (0.1, 1, 10)]
        [0.9091, 0.5, 0.0909]
    """
    if not noise_to_signal >= 0:
        raise ValueError(f"noise_to_signal is {noise_to_signal}, expected at least 0")
    return 1 / (1 + noise_to_signal)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Return the products of the rows, `[S]`."""
    return (x * y).sum(1)


def _ratio(product: Tensor, square: Tensor, other: Tensor) -> Reading:
    """Return product / sqrt(square * other) where both are positive."""
    parts = torch.stack([product, square, other]).cpu().numpy()
    finite = np.isfinite(parts).all(0)
    positive = finite & (parts[1:] > 0).all(0)
    roots = np.sqrt(np.where(positive, parts[1:], 1.0))
    status = np.where(positive, OK, np.where(finite, ILL_CONDITIONED, DIVERGED))
    return reading(parts[0] / roots[0] / roots[1], status)
