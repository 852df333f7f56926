"""Shear, translation and rotation of RandAugment as tables of source pixels.

A strength has ten warps at most (five operations, two signs), and each moves the
pixels of all images of one size alike: the tables are computed once, on the CPU.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

WARPS = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
"""Operations by row pair of the table: +, - of each."""


def source_table(magnitudes: dict[str, float], height: int, width: int) -> Tensor:
    """Return the source pixels of every warp, int64 `[10, height * width]`.

    Entry i says where output pixel i comes from: 1 + row * width + column, nearest
    neighbour, or 0 from outside. Sampling positions and ties are float32, in the order
    of operations of torchvision's tensor kernels, so that equal pixels are chosen.

    Args:
        magnitudes: Positive strength of each of `WARPS`: shears as slopes,
            translations in pixels, the rotation in degrees counter-clockwise.
        height: Rows of an image.
        width: Columns of an image.
    """
    matrices = [
        _to_source(name, sign * magnitudes[name], height, width)
        for name in WARPS
        for sign in (1.0, -1.0)
    ]
    half = torch.tensor([0.5 * width, 0.5 * height])
    x = torch.linspace((1 - width) * 0.5, (width - 1) * 0.5, width)
    y = torch.linspace((1 - height) * 0.5, (height - 1) * 0.5, height)
    points = torch.ones(1, height, width, 3)
    points[..., 0], points[..., 1] = x, y[:, None]
    theta = torch.tensor(matrices).transpose(1, 2) / half  # [10, 3, 2]
    grid = points.view(1, -1, 3).expand(len(matrices), -1, -1).bmm(theta)
    number = torch.arange(1.0, height * width + 1).view(1, 1, height, width)
    sampled = functional.grid_sample(
        number.expand(len(matrices), -1, -1, -1),
        grid.view(-1, height, width, 2),
        mode="nearest",
        padding_mode="zeros",
        align_corners=False,
    )
    return sampled.long().flatten(1)


def warp(images: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """Return `images` `[N, C, H, W]`, image i warped by row `rows[i]` of `table`."""
    flat = functional.pad(images.flatten(2), (1, 0))  # pixel 0 is the black outside
    index = table.index_select(0, rows)[:, None].expand(-1, images.shape[1], -1)
    return flat.gather(2, index).view_as(images)


def _to_source(
    name: str, strength: float, height: int, width: int
) -> list[list[float]]:
    """Return the matrix from output to source position, from the image's centre.

    Shears keep the upper left corner of the image in place, the rotation its centre.
    """
    if name.startswith("Shear"):
        # The way through degrees moves a last bit, which can decide a tie.
        slope = math.tan(math.radians(math.degrees(math.atan(strength))))
        if name == "ShearX":
            return [[1.0, slope, slope * height / 2], [0.0, 1.0, 0.0]]
        return [[1.0, 0.0, 0.0], [slope, 1.0, slope * width / 2]]
    if name.startswith("Translate"):
        pixels = float(int(strength))
        x, y = (pixels, 0.0) if name == "TranslateX" else (0.0, pixels)
        return [[1.0, 0.0, -x], [0.0, 1.0, -y]]
    cos, sin = math.cos(math.radians(strength)), math.sin(math.radians(strength))
    return [[cos, -sin, 0.0], [sin, cos, 0.0]]
