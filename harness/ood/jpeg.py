"""JPEG compression corruption: quantised cosine transform with 4:2:0 chroma.

Only what changes pixels is done; entropy coding is lossless.
Source: ITU-T T.81 (1992), annexes A and K; JFIF 1.02; quality scale and triangle
upsampling as in the IJG library.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.ood.draws import Draws

TIE = 1e-9
"""Added before rounding down, so that halves do not hinge on the last bit."""

# fmt: off
LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)
"""Table K.1 of T.81, row by row."""
CHROMA_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
) + (99,) * 32
"""Table K.2 of T.81, row by row."""
# fmt: on
TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
"""RGB to luminance and two colour differences (JFIF)."""


def jpeg_compression(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Encode at `quality` 1..100 and decode again; one channel is luminance only."""
    (quality,) = constants
    pixels = _rounded(x * 255)
    if x.shape[1] == 1:
        return _coded(pixels, LUMA_TABLE, quality) / 255
    to_ycc = torch.tensor(TO_YCC, dtype=x.dtype, device=x.device)
    centre = x.new_tensor([0.0, 128.0, 128.0]).reshape(3, 1, 1)
    ycc = _rounded(torch.einsum("ij,njhw->nihw", to_ycc, pixels) + centre)
    luma = _coded(ycc[:, :1], LUMA_TABLE, quality)
    height, width = x.shape[-2:]
    edge = (0, width % 2, 0, height % 2)
    small = _rounded(F.avg_pool2d(F.pad(ycc[:, 1:], edge, mode="replicate"), 2))
    chroma = _upsampled(_coded(small, CHROMA_TABLE, quality))[..., :height, :width]
    ycc = torch.cat([luma, _rounded(chroma)], 1) - centre
    return _rounded(torch.einsum("ij,njhw->nihw", to_ycc.inverse(), ycc)) / 255


def table(base: tuple[int, ...], quality: float) -> Tensor:
    """Return the quantisation table `[8, 8]` of `base` at `quality` 1..100."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = (torch.tensor(base) * percent + 50) // 100
    return scaled.clamp(1, 255).double().reshape(8, 8)


def _coded(x: Tensor, base: tuple[int, ...], quality: float) -> Tensor:
    """Quantise the 8 x 8 cosine transform of `x` in 0..255 and transform back."""
    n, channels, height, width = x.shape
    pad = (0, -width % 8, 0, -height % 8)
    padded = F.pad(x, pad, mode="replicate") - 128
    rows, columns = padded.shape[-2] // 8, padded.shape[-1] // 8
    blocks = padded.reshape(n, channels, rows, 8, columns, 8).movedim(4, 3)
    cosine = _cosine().to(x.device)
    steps = table(base, quality).to(x.device)
    levels = torch.floor(cosine @ blocks @ cosine.T / steps + 0.5 + TIE)
    blocks = cosine.T @ (levels * steps) @ cosine
    pixels = blocks.movedim(3, 4).reshape(padded.shape) + 128
    return _rounded(pixels[..., :height, :width])


def _cosine() -> Tensor:
    """Return the orthonormal cosine transform of 8 points `[frequency, place]`."""
    place = torch.arange(8).double()
    matrix = torch.cos(math.pi / 8 * (place + 0.5) * place[:, None]) / 2
    matrix[0] /= math.sqrt(2)
    return matrix


def _upsampled(x: Tensor) -> Tensor:
    """Double both sides: 3/4 of the nearer pixel and 1/4 of the farther one."""
    for axis in (-1, -2):
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
        size = x.shape[axis]
        before = torch.cat([first, x.narrow(axis, 0, size - 1)], axis)
        after = torch.cat([x.narrow(axis, 1, size - 1), last], axis)
        pairs = torch.stack([x * 0.75 + before * 0.25, x * 0.75 + after * 0.25], axis)
        # stack at a negative axis puts the pair right of the doubled one
        x = pairs.movedim(axis, axis).flatten(axis - 1, axis)
    return x


def _rounded(x: Tensor) -> Tensor:
    """Round values of 0..255 to integers and clip them to that range."""
    return torch.floor(x + 0.5 + TIE).clamp(0, 255)
