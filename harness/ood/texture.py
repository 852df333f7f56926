"""Random textures for weather: plasma clouds and a procedural frost.

Sources: diamond-square midpoint displacement (Fournier, Fussell and Carpenter 1982,
doi 10.1145/358523.358553); Hendrycks and Dietterich 2019, arXiv 1903.12261.
"""

import functools

import torch
from torch import Tensor

from harness.ood.draws import Draws

FROST_TINT = (0.80, 0.92, 1.0)
"""Red, green and blue of the brightest frost."""
FROST_DECAY = 1.45
"""Roughness of frost: displacement shrinks 2.1-fold at each halving of the step."""
NUM_FROSTS = 5
"""Textures to choose from, as many as the published script picks among."""


def plasma(numbers: Tensor, decay: float) -> Tensor:
    """Return diamond-square clouds in [0, 1] on a torus, one for each image.

    The displacement is uniform with amplitude wibble^2, where wibble starts at 100 and
    is divided by `decay` at each halving of the step (amplitude wibble * U(-wibble,
    wibble) in the published script).

    Args:
        numbers: Uniform numbers in [0, 1), `[n, side, side]`; side a power of two.
        decay: Larger is smoother.

    Returns:
        Clouds `[n, side, side]`, each from 0 to 1.
    """
    side = numbers.shape[-1]
    out = torch.zeros_like(numbers)
    step, wibble = side, 100.0
    while step >= 2:
        half = step // 2
        bumps = (2 * numbers - 1) * wibble**2
        corner = out[:, ::step, ::step]
        pair = corner + corner.roll(-1, 1)
        middle = (pair + pair.roll(-1, 2)) / 4 + bumps[:, half::step, half::step]
        out[:, half::step, half::step] = middle
        top = (middle + middle.roll(1, 1) + corner + corner.roll(-1, 2)) / 4
        left = (middle + middle.roll(1, 2) + corner + corner.roll(-1, 1)) / 4
        out[:, ::step, half::step] = top + bumps[:, ::step, half::step]
        out[:, half::step, ::step] = left + bumps[:, half::step, ::step]
        step, wibble = half, wibble / decay
    low = out.amin((1, 2), keepdim=True)
    return (out - low) / (out.amax((1, 2), keepdim=True) - low)


def clouds(draws: Draws, num_images: int, side: int, decay: float) -> Tensor:
    """Return plasma `[num_images, 1, side, side]`, cut from a power-of-two torus."""
    torus = 1 << (side - 1).bit_length()
    numbers = draws.uniform("plasma", num_images, torus, torus)
    return plasma(numbers, decay)[:, None, :side, :side]


@functools.lru_cache(maxsize=4)
def frost_textures(side: int, device: torch.device) -> Tensor:
    """Return frost `[NUM_FROSTS, 3, torus, torus]` in [0, 1], always the same.

    Bright veins where a rough cloud crosses its middle height, in two layers, over a
    veil of a third cloud. The torus is twice `side` rounded up to a power of two, so
    that veins have the same width relative to an image at any size.
    """
    torus = 2 << (side - 1).bit_length()
    draws = Draws("frost-texture", 0, device)
    field = plasma(draws.uniform("plasma", 3 * NUM_FROSTS, torus, torus), FROST_DECAY)
    field = field.reshape(3, NUM_FROSTS, torus, torus)
    middle = field.mean((-2, -1), keepdim=True)
    field = (field - middle) / field.std((-2, -1), keepdim=True)
    veins = torch.exp(-4 * field[:2].abs()).amax(0)
    veil = torch.sigmoid(2 * field[2])
    light = (0.15 + 0.4 * veil + 0.6 * veins).clamp(max=1)
    tint = torch.tensor(FROST_TINT, dtype=light.dtype, device=device)[:, None, None]
    light = light[:, None]  # [NUM_FROSTS, 1, torus, torus]
    # Bright ice is nearly white, thin ice bluish.
    return light * (tint + (1 - tint) * light)
