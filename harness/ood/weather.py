"""Weather corruptions: snow, frost, fog and brightness.

Arguments and results are as in `noise.py`; lengths scale with side / 32.
Source: Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.
"""

import math

import torch
from torch import Tensor

from harness.ood.blur import BASE_SIDE, smear
from harness.ood.draws import Draws
from harness.ood.linear import apply_both, zoom_matrix
from harness.ood.texture import clouds, frost_textures

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luminance (ITU-R BT.601)."""


def luminance(x: Tensor) -> Tensor:
    """Return `[n, 1, height, width]` from one or three channels."""
    if x.shape[1] == 1:
        return x
    weights = torch.tensor(LUMA, dtype=x.dtype, device=x.device)
    return (x * weights[:, None, None]).sum(1, keepdim=True)


def snow(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Whiten the image and add streaks of flakes and their half turn.

    Flakes are normal noise (`mean`, `spread`), magnified by `grain`, cut below
    `threshold` and smeared downwards; a grain is at least one pixel wide. The
    published script rounds the flakes to 8 bits before smearing; this does not.
    """
    mean, spread, grain, threshold, radius, sigma, keep = constants
    n, _, side, _ = x.shape
    scale = side / BASE_SIDE
    flakes = mean + spread * draws.normal("flakes", n, 1, side, side)
    flakes = apply_both(flakes, zoom_matrix(side, max(1.0, grain * scale)))
    flakes = torch.where(flakes < threshold, 0.0, flakes).clamp(0, 1)
    angle = (draws.uniform("angle", n) * -90 - 45) * (math.pi / 180)
    flakes = smear(flakes, radius * scale, sigma * scale, angle)
    whitened = torch.maximum(x, luminance(x) * 1.5 + 0.5)
    return keep * x + (1 - keep) * whitened + flakes + flakes.rot90(2, (2, 3))


def frost(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Blend in a random cut of a frost texture: image * x + ice * texture.

    The published images use five photographs of frost; these textures are drawn by a
    program (`texture.py`), so results differ from the official files.
    """
    image, ice = constants
    n, channels, side, _ = x.shape
    textures = frost_textures(side, x.device)
    if channels == 1:
        textures = luminance(textures)
    torus = textures.shape[-1]
    which = draws.integers("texture", 0, len(textures), n)
    corner = draws.integers("corner", 0, torus, n, 2)
    grid = torch.arange(side, device=x.device)
    rows = ((corner[:, :1] + grid) % torus)[:, :, None]
    columns = ((corner[:, 1:] + grid) % torus)[:, None, :]
    cut = textures[which[:, None, None], :, rows, columns]  # [n, side, side, channels]
    return image * x + ice * cut.permute(0, 3, 1, 2)


def fog(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Add plasma clouds and rescale, so that the brightest value stays possible."""
    amount, decay = constants
    cover = amount * clouds(draws, len(x), x.shape[-1], decay)
    brightest = x.amax((1, 2, 3), keepdim=True)
    return (x + cover) * brightest / (brightest + amount)


def brightness(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Raise the value V of HSV by `amount`, keeping hue and saturation.

    Closed form: x * min(V + amount, 1) / V with V the largest channel; black pixels
    become grey of that value.
    """
    (amount,) = constants
    value = x.amax(1, keepdim=True)
    raised = (value + amount).clamp(max=1)
    return torch.where(value > 0, x * (raised / value.clamp(min=1e-12)), raised)
