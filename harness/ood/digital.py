"""Digital corruptions: contrast, elastic transform, pixelation and saturation.

Arguments and results are as in `noise.py`; lengths scale with side / 32.
Source: Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.ood.draws import Draws
from harness.ood.linear import apply_both, box_matrix, gaussian_matrix


def contrast(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Shrink each channel about its mean over the image."""
    (amount,) = constants
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * amount + mean


def saturate(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Map the saturation S of HSV to clip(gain * S + offset), keeping hue and value.

    Closed form: V - (V - x) * S' / S. A grey pixel has hue 0, red, as in HSV
    conversions, so that an offset tints it.
    """
    gain, offset = constants
    value = x.amax(1, keepdim=True)
    chroma = value - x.amin(1, keepdim=True)
    old = chroma / value.clamp(min=1e-12)
    new = (gain * old + offset).clamp(0, 1)
    tinted = value * torch.cat([torch.ones_like(new), 1 - new, 1 - new], 1)
    scaled = value - (value - x) * (new / old.clamp(min=1e-12))
    return torch.where(chroma > 0, scaled, tinted)


def pixelate(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Shrink to int(side * ratio) with a box filter and enlarge again."""
    (ratio,) = constants
    side = x.shape[-1]
    small = int(side * ratio)
    return apply_both(apply_both(x, box_matrix(side, small)), box_matrix(small, side))


def elastic_transform(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Shear by a random affine map, then shift pixels along a smooth random field.

    `strength`, `smoothness` and `shear` are shares of the side: the amplitude and the
    width of the field and the reach of the three moved points that fix the map.
    """
    strength, smoothness, shear = constants
    n, _, side, _ = x.shape
    x = _sample(x, affine_grid(draws.uniform("corners", n, 3, 2), shear, side), True)
    field = displacement(draws.uniform("field", n, 2, side, side), strength, smoothness)
    grid = torch.arange(side, device=x.device, dtype=x.dtype)
    down, right = torch.meshgrid(grid, grid, indexing="ij")
    return _sample(x, torch.stack([right, down], -1) + field.movedim(1, -1), False)


def affine_grid(numbers: Tensor, shear: float, side: int) -> Tensor:
    """Return where each output pixel is read from, (right, down).

    Args:
        numbers: Uniform numbers in [0, 1), `[n, 3, 2]`.
        shear: Largest shift of a corner of the central square, as a share of side.
        side: Pixels.

    Returns:
        Source coordinates in pixels `[n, side, side, 2]`.
    """
    middle, arm = side // 2, side // 3
    corners = torch.tensor(
        [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]],
        dtype=numbers.dtype,
        device=numbers.device,
    )
    before = middle + arm * corners
    after = before + (2 * numbers - 1) * (shear * side)
    ones = torch.ones_like(numbers[..., :1])
    # Solve [after, 1] @ back = before: the inverse map, row by row.
    back = torch.linalg.solve(torch.cat([after, ones], -1), before.expand_as(after))
    grid = torch.arange(side, device=numbers.device, dtype=numbers.dtype)
    down, right = torch.meshgrid(grid, grid, indexing="ij")
    places = torch.stack([right, down, torch.ones_like(down)], -1)
    return torch.einsum("hwk,nkc->nhwc", places, back)


def displacement(numbers: Tensor, strength: float, smoothness: float) -> Tensor:
    """Return shifts in pixels `[n, 2, side, side]` from uniform numbers in [0, 1)."""
    side = numbers.shape[-1]
    smooth = gaussian_matrix(side, smoothness * side, truncate=3.0, reflect=True)
    return apply_both(2 * numbers - 1, smooth) * (strength * side)


def _sample(x: Tensor, grid: Tensor, about_centres: bool) -> Tensor:
    """Read `x` bilinearly at pixel coordinates `grid` `[n, side, side, 2]`.

    Outside, the image is mirrored about the centres of its outermost pixels, or
    about its edge.
    """
    side = x.shape[-1]
    edges = (side - 1, 0) if about_centres else (side, 1)
    scaled = (2 * grid + edges[1]) / edges[0] - 1
    return F.grid_sample(
        x, scaled, padding_mode="reflection", align_corners=about_centres
    )
