"""Area down-sampling of uint8 images in exact integer arithmetic.

Between decoding and splitting: the only resampling of the harness, the same on every
machine because no rounding happens before the last step.
"""

from typing import Final

import numpy as np

from harness.datasets.base import Array

MAX_SIDE: Final = 256
"""Side up to which 255 x side^2 < 2^24, so that float32 sums stay exact."""
CHUNK: Final = 2048
"""Images resampled at a time; bounds the float32 copy to 200 MB for 64 pixels."""


def trim(images: Array, margin: int) -> Array:
    """Return images `[N, C, H, W]` without `margin` pixels on each side.

    Raises:
        ValueError: Nothing would be left.
    """
    side = images.shape[-1]
    if not 0 <= 2 * margin < side:
        raise ValueError(
            f"margin is {margin}, expected 0 to {(side - 1) // 2} for {side} pixels"
        )
    return images[:, :, margin : side - margin, margin : side - margin]


def area_resize(images: Array, side: int) -> Array:
    """Return square images `[N, C, H, H]` at `side` pixels by exact area averages.

    Each new pixel is the mean of the old ones under it, weighted by the covered area,
    rounded half up: (2 sum + H^2) // (2 H^2) where the integer weights sum to H^2. The
    box filter needs no factor between the sides, and is its own anti-aliasing.

    Raises:
        ValueError: `side` is above the images' own: up-sampling adds no information.

    Example:
        >>> area_resize(np.array([[[[0, 1], [2, 4]]]], np.uint8), 1).item()
        2
    """
    old = images.shape[-1]
    if not isinstance(side, int) or not 1 <= side <= old:
        raise ValueError(
            f"resolution is {side!r}, expected an integer from 1 to the images' {old} "
            "pixels (they are never up-sampled)"
        )
    if side == old:
        return images
    assert images.shape[-2] == old <= MAX_SIDE, "square images of a known size"
    weights = area_weights(old, side).astype(np.float32)
    resized = np.empty((*images.shape[:2], side, side), np.uint8)
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK].astype(np.float32)
        sums = (weights @ (chunk @ weights.T)).astype(np.int64)
        resized[start : start + CHUNK] = (2 * sums + old**2) // (2 * old**2)
    return resized


def area_weights(old: int, new: int) -> Array:
    """Return overlaps `[new, old]` of new with old pixels, in units of 1/new pixel.

    Each row sums to `old`.

    Example:
        >>> area_weights(3, 2).tolist()
        [[2, 1, 0], [0, 1, 2]]
    """
    ends = np.minimum.outer(np.arange(1, new + 1) * old, np.arange(1, old + 1) * new)
    starts = np.maximum.outer(np.arange(new) * old, np.arange(old) * new)
    overlaps: Array = np.maximum(ends - starts, 0)
    return overlaps
