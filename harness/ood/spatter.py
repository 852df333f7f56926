"""Spatter corruption: drops of water (severities 1-3) or mud (4-5) on the lens.

Source: Hendrycks and Dietterich 2019, arXiv 1903.12261, appendix B.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.ood.blur import BASE_SIDE
from harness.ood.draws import Draws
from harness.ood.linear import apply_both, gaussian_matrix
from harness.ood.weather import luminance

WATER = (175 / 255, 238 / 255, 238 / 255)
"""Colour of water, a pale turquoise."""
MUD = (63 / 255, 42 / 255, 20 / 255)
"""Colour of mud, brown."""
MUD_COVER = 0.8
"""Smoothed mud thinner than this is dropped."""
FAR = 20
"""Cap of the distance to a drop's rim, in pixels at side 32."""
EMBOSS = ((-2.0, -1.0, 0.0), (-1.0, 1.0, 1.0), (0.0, 1.0, 2.0))
"""Filter that lights a height map from one corner."""


def spatter(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Cover the image with drops where smoothed noise exceeds a threshold.

    Water adds light shaded by an emboss filter over the equalised distance to the
    drop's rim; mud replaces the image. Rims are the boundary pixels of a drop; the
    published script finds them with OpenCV's Canny filter.
    """
    mean, spread, sigma, threshold, strength, mud = constants
    n, channels, side, _ = x.shape
    scale = side / BASE_SIDE
    liquid = mean + spread * draws.normal("liquid", n, 1, side, side)
    liquid = apply_both(liquid, gaussian_matrix(side, sigma * scale))
    colour = torch.tensor(MUD if mud else WATER, dtype=x.dtype, device=x.device)
    colour = colour.reshape(1, 3, 1, 1)
    if channels == 1:
        colour = luminance(colour)
    if mud:
        cover = (liquid > threshold).to(x.dtype)
        cover = apply_both(cover, gaussian_matrix(side, strength * scale))
        cover = torch.where(cover < MUD_COVER, 0.0, cover)
        return x * (1 - cover) + colour * cover
    liquid = torch.where(liquid < threshold, 0.0, liquid)
    light = liquid * _shading(liquid > 0, max(1, round(FAR * scale)))
    peak = light.amax((1, 2, 3), keepdim=True)
    return x + strength * light / peak.clamp(min=1e-12) * colour


def _shading(drops: Tensor, far: int) -> Tensor:
    """Return heights in [0, 255] of `drops` `[n, 1, side, side]`, lit from a corner."""
    inner = -F.max_pool2d(-F.pad(drops.double(), (1, 1, 1, 1), value=1.0), 3, 1)
    height = _box(_rim_distance(drops & (inner == 0), far)).round()
    height = F.pad(_equalised(height), (1, 1, 1, 1), mode="reflect")
    kernel = torch.tensor(EMBOSS, dtype=height.dtype, device=height.device)
    return _box(F.conv2d(height, kernel[None, None]).clamp(0, 255))


def _box(x: Tensor) -> Tensor:
    """Return means over 3 x 3 pixels, mirrored at the border."""
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)


def _rim_distance(rim: Tensor, far: int) -> Tensor:
    """Return Euclidean distances to the nearest rim pixel, capped at `far`."""
    squared = torch.where(rim, 0.0, float(far**2)).double()
    for axis in (-1, -2):
        nearest = squared.clone()
        for shift in range(1, min(far, rim.shape[-1])):
            size = rim.shape[axis] - shift
            low, high = nearest.narrow(axis, 0, size), nearest.narrow(axis, shift, size)
            near, away = (
                squared.narrow(axis, 0, size),
                squared.narrow(axis, shift, size),
            )
            torch.minimum(low, away + shift**2, out=low)
            torch.minimum(high, near + shift**2, out=high)
        squared = nearest
    return squared.sqrt()


def _equalised(heights: Tensor) -> Tensor:
    """Spread the integer values of each image evenly over 0..255."""
    flat = heights.flatten(1).long()
    counts = torch.zeros(len(flat), 256, dtype=torch.float64, device=flat.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float64))
    below = counts.cumsum(1)
    lowest = torch.where(counts > 0, counts, 0.0).gather(1, flat.amin(1, keepdim=True))
    table = ((below - lowest) / (flat.shape[1] - lowest).clamp(min=1) * 255).round()
    return table.gather(1, flat).reshape(heights.shape)
