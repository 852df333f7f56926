"""Noise corruptions: Gaussian, shot, impulse and speckle.

Every function takes float64 `[n, channels, side, side]` in [0, 1], the constants of
one severity and the draws, and returns the same shape, clipped by the caller.
Source: Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.
"""

import torch
from torch import Tensor

from harness.ood.draws import Draws


def gaussian_noise(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Add independent normal noise of the given standard deviation."""
    (sigma,) = constants
    return x + sigma * draws.normal("value", *x.shape)


def shot_noise(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Replace each value by Poisson(x * photons) / photons: variance x / photons."""
    (photons,) = constants
    return draws.poisson("count", x * photons) / photons


def impulse_noise(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Set a fraction of the values, each channel alone, to 0 or 1 with equal odds."""
    (fraction,) = constants
    draw = draws.uniform("value", *x.shape)
    salted = torch.where(draw < fraction, torch.ones_like(x), x)
    return torch.where(draw < fraction / 2, torch.zeros_like(x), salted)


def speckle_noise(x: Tensor, constants: tuple[float, ...], draws: Draws) -> Tensor:
    """Add normal noise proportional to the value: x * (1 + sigma * normal)."""
    (sigma,) = constants
    return x * (1 + sigma * draws.normal("value", *x.shape))
