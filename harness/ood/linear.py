"""One-dimensional linear operators as matrices, applied along both image axes.

At 32 pixels a banded matrix product beats a convolution with one channel, and every
border rule is just a choice of column.
"""

import math

import torch
from torch import Tensor

Matrix = Tensor
"""float64 `[out_side, in_side]`; the rows of a blur or a resize sum to 1."""


def apply_both(x: Tensor, matrix: Matrix) -> Tensor:
    """Apply `matrix` to rows and columns of `x` `[..., in_side, in_side]`."""
    matrix = matrix.to(x.device)
    along_width = x @ matrix.T
    return (along_width.transpose(-1, -2) @ matrix.T).transpose(-1, -2)


def gaussian_matrix(
    side: int, sigma: float, *, truncate: float = 4.0, reflect: bool = False
) -> Matrix:
    """Return Gaussian smoothing of width `sigma` pixels, cut at `truncate` sigmas.

    Borders repeat the outermost pixel, or with `reflect` mirror the image about its
    edge. A cut radius below half a pixel gives the identity.
    """
    radius = int(truncate * sigma + 0.5)
    if radius == 0:
        return torch.eye(side, dtype=torch.float64)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    source = torch.arange(side)[:, None] + offsets  # [side, taps]
    if reflect:
        source = source % (2 * side)
        source = torch.minimum(source, 2 * side - 1 - source)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    weights = (weights / weights.sum()).expand(side, -1)
    return matrix.scatter_add_(1, source.clamp(0, side - 1), weights)


def zoom_matrix(side: int, factor: float) -> Matrix:
    """Return magnification by `factor` >= 1 about the centre, bilinear.

    The central ceil(side / factor) pixels are stretched, end pixel on end pixel, to
    round(crop * factor) pixels, of which the central `side` are kept.
    """
    crop = math.ceil(side / factor)
    stretched = round(crop * factor)
    top, trim = (side - crop) // 2, (stretched - side) // 2
    position = torch.arange(trim, trim + side).double()
    position = position * (crop - 1) / max(stretched - 1, 1)
    left = position.floor().long().clamp(max=crop - 1)
    share = (position - left)[:, None]
    right = (left + 1).clamp(max=crop - 1)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    matrix.scatter_add_(1, top + left[:, None], 1 - share)
    return matrix.scatter_add_(1, top + right[:, None], share)


def box_matrix(in_side: int, out_side: int) -> Matrix:
    """Return resizing with a box filter as Pillow's `Image.BOX` does it.

    An output pixel is the mean of the input pixels whose centres it covers; when
    enlarging, it is the nearest input pixel.
    """
    scale = in_side / out_side
    support = max(scale, 1.0)
    centres = (torch.arange(out_side).double() + 0.5) * scale
    distance = (torch.arange(in_side) + 0.5 - centres[:, None]) / support
    covered = ((distance > -0.5) & (distance <= 0.5)).double()
    return covered / covered.sum(1, keepdim=True)
