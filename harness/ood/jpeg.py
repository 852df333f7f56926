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
FINE = 4 * math.sqrt(8)
"""Inverse of the precision to which the library rounds between rows and columns."""
TO_YCC = (
    (19595 / 65536, 38470 / 65536, 7471 / 65536),
    (-11059 / 65536, -21709 / 65536, 0.5),
    (0.5, -27439 / 65536, -5329 / 65536),
)
"""RGB to luminance and two colour differences (JFIF), at the library's precision."""


def jpeg_compression(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Encode at `quality` 1..100 and decode again; one channel is luminance only."""
    (quality,) = constants
    pixels = _rounded(x * 255)
    if x.shape[1] == 1:
        return _coded(pixels, LUMA_TABLE, quality) / 255
    to_ycc = torch.tensor(TO_YCC, dtype=x.dtype, device=x.device)
    centre = x.new_tensor([0.0, 128.0, 128.0]).reshape(3, 1, 1)
    # The library rounds halves of luminance up and of colour differences down.
    ycc = torch.einsum("ij,njhw->nihw", to_ycc, pixels) + centre
    ycc = torch.cat([_rounded(ycc[:, :1]), _rounded(ycc[:, 1:] - 2**-17)], 1)
    luma = _coded(ycc[:, :1], LUMA_TABLE, quality)
    height, width = x.shape[-2:]
    edge = (0, -width % 16, 0, height % 2)  # columns are repeated before halving
    small = _halved(F.pad(ycc[:, 1:], edge, mode="replicate"))
    coded = _coded(small, CHROMA_TABLE, quality)[..., : (width + 1) // 2]
    chroma = _upsampled(coded)[..., :height, :width]
    ycc = torch.cat([luma, chroma], 1) - centre
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
    levels = _whole(cosine @ _whole(blocks @ cosine.T * FINE) / FINE * 8) / 8 / steps
    levels = levels.sign() * _whole(levels.abs())
    blocks = _whole(cosine.T @ (levels * steps) * FINE) @ cosine / FINE
    pixels = blocks.movedim(3, 4).reshape(padded.shape) + 128
    return _rounded(pixels[..., :height, :width])


def _cosine() -> Tensor:
    """Return the orthonormal cosine transform of 8 points `[frequency, place]`."""
    place = torch.arange(8).double()
    matrix = torch.cos(math.pi / 8 * (place + 0.5) * place[:, None]) / 2
    matrix[0] /= math.sqrt(2)
    return matrix


def _halved(x: Tensor) -> Tensor:
    """Average 2 x 2 pixels; halves go down in even columns and up in odd ones."""
    mean = F.avg_pool2d(x, 2)
    column = torch.arange(mean.shape[-1], device=x.device)
    return torch.floor(mean + (1 + column % 2) / 4)


def _upsampled(x: Tensor) -> Tensor:
    """Double both sides: 3/4 of the nearer pixel and 1/4 of the farther one.

    Halves go up in even columns and down in odd ones.
    """
    for axis in (-2, -1):
        size = x.shape[axis]
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, size - 1, 1)
        before = torch.cat([first, x.narrow(axis, 0, size - 1)], axis)
        after = torch.cat([x.narrow(axis, 1, size - 1), last], axis)
        x = torch.stack([x * 0.75 + before * 0.25, x * 0.75 + after * 0.25], -1)
        x = x.movedim(-1, axis).flatten(axis - 1, axis)
    column = torch.arange(x.shape[-1], device=x.device)
    return torch.floor(x + (8 - column % 2) / 16)


def _whole(x: Tensor) -> Tensor:
    """Round to the nearest integer, halves upwards."""
    return torch.floor(x + 0.5 + TIE)


def _rounded(x: Tensor) -> Tensor:
    """Round values of 0..255 to integers and clip them to that range."""
    return _whole(x).clamp(0, 255)
