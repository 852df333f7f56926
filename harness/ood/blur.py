"""Blur corruptions: Gaussian, defocus, glass, motion and zoom.

Arguments and results are as in `noise.py`. Lengths are given for 32 pixels and scale
with side / 32. Source: Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.ood.draws import Draws
from harness.ood.linear import apply_both, gaussian_matrix, zoom_matrix

BASE_SIDE = 32
"""Side in pixels to which the constants of the suite refer."""


def gaussian_blur(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Smooth with a Gaussian of sigma pixels; borders repeat the last pixel."""
    sigma = constants[0] * x.shape[-1] / BASE_SIDE
    return apply_both(x, gaussian_matrix(x.shape[-1], sigma))


def defocus_blur(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Convolve with a disk of `radius` pixels whose rim is smoothed by `alias`.

    The disk holds the pixels with distance <= radius, so a radius below 1 leaves one
    pixel and the smoothing of the rim is the whole effect.
    """
    radius, alias = (c * x.shape[-1] / BASE_SIDE for c in constants)
    kernel = disk(radius, alias).to(x.device)
    pad = kernel.shape[0] // 2
    padded = F.pad(x, (pad, pad, pad, pad), mode="reflect")
    channels = x.shape[1]
    weight = kernel.expand(channels, 1, *kernel.shape)
    return F.conv2d(padded, weight, groups=channels)


def disk(radius: float, alias: float) -> Tensor:
    """Return the normalised disk kernel, `[odd, odd]`.

    The rim is smoothed with a 3 x 3 Gaussian (5 x 5 above 8 pixels of radius) of
    standard deviation `alias`.
    """
    rim = 1 if radius <= 8 else 2
    reach = math.floor(radius) + rim
    steps = torch.arange(-reach, reach + 1).double()
    inside = (steps[:, None] ** 2 + steps**2 <= radius**2).double()
    taps = torch.exp(-0.5 * (torch.arange(-rim, rim + 1).double() / alias) ** 2)
    taps = taps / taps.sum()
    smooth = torch.outer(taps, taps)[None, None]
    kernel = F.conv2d((inside / inside.sum())[None, None], smooth, padding=rim)
    return kernel[0, 0]


def glass_blur(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Smooth, replace pixels by near ones `rounds` times, smooth again.

    A pixel at least `reach` + 1 from the left and upper border takes the colour of one
    that is up to `reach` pixels above or left and up to `reach` - 1 below or right.
    The published script means to swap the two, but its numpy statement copies, so that
    the official files hold copies; true swaps would change images by 10-40% more.
    Each round reads the image before it, which at 32 pixels (shifts 0 and -1, from
    the lower right upwards) is what the script's sequential loop does.
    """
    sigma, reach, rounds = constants
    n, _, side, _ = x.shape
    smooth = gaussian_matrix(side, sigma * side / BASE_SIDE)
    reach = round(reach * side / BASE_SIDE)
    x = torch.round(apply_both(x, smooth) * 255) / 255
    if reach:
        span = side - 2 * reach
        shape = (n, int(rounds), 2, span, span)
        for shifts in draws.integers("shift", -reach, reach, *shape).unbind(1):
            x = _taken(x, F.pad(shifts, (reach + 1, reach - 1) * 2))
    return apply_both(x, smooth)


def _taken(x: Tensor, shifts: Tensor) -> Tensor:
    """Read each pixel of `x` at `shifts` `[n, 2, side, side]` (down, right)."""
    channels, side = x.shape[1:3]
    here = torch.arange(side * side, device=x.device)
    index = (here.reshape(side, side) + shifts[:, 0] * side + shifts[:, 1]).flatten(1)
    index = index[:, None].expand(-1, channels, -1)
    return x.flatten(2).gather(2, index).reshape(x.shape)


def motion_blur(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Smear along a direction drawn from -45 to 45 degrees, one for each image."""
    angle = (draws.uniform("angle", len(x)) - 0.5) * (math.pi / 2)
    radius, sigma = (c * x.shape[-1] / BASE_SIDE for c in constants)
    return smear(x, radius, sigma, angle)


def smear(x: Tensor, radius: float, sigma: float, angle: Tensor) -> Tensor:
    """Average pixels along a ray with half-Gaussian weights, as ImageMagick does.

    out(p) = sum over i in 0..2 ceil(radius) of w_i x(p + round(i (sin, cos)(angle)))
    with w_i proportional to exp(-i^2 / (2 sigma^2)); borders repeat the last pixel.

    Args:
        x: Images `[n, channels, side, side]`.
        radius: Reach in pixels.
        sigma: Width of the weights in pixels.
        angle: Direction of each image in radians `[n]`, 0 to the right, then down.

    Returns:
        Images `[n, channels, side, side]`.
    """
    n, channels, side, _ = x.shape
    steps = torch.arange(2 * math.ceil(radius) + 1, device=x.device).double()
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    weights = weights / weights.sum()
    down = torch.ceil(angle.sin()[:, None] * steps - 0.5).long()  # [n, taps]
    right = torch.ceil(angle.cos()[:, None] * steps - 0.5).long()
    grid = torch.arange(side, device=x.device)
    flat = x.reshape(n, channels, side * side)
    out = torch.zeros_like(flat)
    for tap, weight in enumerate(weights.tolist()):
        rows = (grid + down[:, tap, None]).clamp(0, side - 1)  # [n, side]
        columns = (grid + right[:, tap, None]).clamp(0, side - 1)
        index = (rows[:, :, None] * side + columns[:, None, :]).reshape(n, 1, -1)
        out += weight * flat.gather(2, index.expand(-1, channels, -1))
    return out.reshape(x.shape)


def zoom_blur(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Average the image with copies magnified by 1, 1.01, ... up to `limit`.

    The original counts twice: as itself and as the copy magnified by 1.
    """
    (limit,) = constants
    # As in the published script, whose float range includes its upper end.
    factors = np.arange(1, limit, 0.01)
    total = 2 * x
    for factor in factors[1:]:
        total += apply_both(x, zoom_matrix(x.shape[-1], float(factor)))
    return total / (len(factors) + 1)
