"""Naive versions of what the suite does in bulk, one pixel after another."""

import colorsys
import math
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from harness.datasets.base import Array, DataSet, Split


def data_set(name: str, inputs: Array, num_classes: int = 10) -> DataSet:
    """Return a data set whose three parts are all `inputs`."""
    labels = np.arange(len(inputs), dtype=np.int64) % num_classes
    part = Split(inputs, labels)
    return DataSet(name, part, part, part, num_classes)


def naive_smear(image: Array, radius: float, sigma: float, angle: float) -> Array:
    """One ray of half-Gaussian weights per pixel, border pixels repeated."""
    side = image.shape[-1]
    weights = [
        math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * math.ceil(radius) + 1)
    ]
    out = np.zeros_like(image)
    for h in range(side):
        for w in range(side):
            for i, weight in enumerate(weights):
                row = h + math.ceil(i * math.sin(angle) - 0.5)
                column = w + math.ceil(i * math.cos(angle) - 0.5)
                row, column = min(max(row, 0), side - 1), min(max(column, 0), side - 1)
                out[:, h, w] += weight * image[:, row, column]
    return out / sum(weights)


def naive_zoom(image: Array, factor: float) -> Array:
    side = image.shape[-1]
    crop = math.ceil(side / factor)
    top = (side - crop) // 2
    part = image[top : top + crop, top : top + crop]
    large = ndimage.zoom(part, factor, order=1, mode="nearest")
    trim = (large.shape[0] - side) // 2
    return large[trim : trim + side, trim : trim + side]


def naive_plasma(numbers: Array, decay: float) -> Array:
    """Diamond-square on a torus, one pixel after another."""
    side = len(numbers)
    out = np.zeros((side, side))
    step, wibble = side, 100.0
    while step >= 2:
        half = step // 2

        def set_mean(h: int, w: int, around: list[tuple[int, int]]) -> None:
            mean = sum(out[a % side, b % side] for a, b in around) / 4
            out[h, w] = mean + wibble * (2 * numbers[h, w] - 1) * wibble  # noqa: B023

        for h in range(half, side, step):
            for w in range(half, side, step):
                corners = [(h + a, w + b) for a in (-half, half) for b in (-half, half)]
                set_mean(h, w, corners)
        for h in range(0, side, half):
            for w in range(0, side, half):
                if (h // half + w // half) % 2:
                    cross = [(h - half, w), (h + half, w), (h, w - half), (h, w + half)]
                    set_mean(h, w, cross)
        step, wibble = half, wibble / decay
    return (out - out.min()) / (out.max() - out.min())


def naive_hsv(image: Array, change: Callable[..., tuple[float, ...]]) -> Array:
    """Apply `change(h, s, v)` to each pixel with the standard library's conversion."""
    out = np.empty_like(image)
    for h in range(image.shape[1]):
        for w in range(image.shape[2]):
            hsv = change(*colorsys.rgb_to_hsv(*image[:, h, w]))
            out[:, h, w] = colorsys.hsv_to_rgb(*hsv)
    return out
