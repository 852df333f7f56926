"""Points in the plane with two classes: two moons, concentric circles.

Small enough for exact decision-boundary studies; drawn by formula, so no file is read.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from harness.datasets.base import Array, DataSet, Source, Split
from harness.registry import DATASETS
from harness.seeds import derive, stream

PARTS: Final = ("train", "validation", "test")
Curve = Callable[[Array, Array], Array]
"""Maps positions in [0, 1) `[N]` and labels `[N]` to points `[N, 2]`."""


@DATASETS.register("two-moons")
def two_moons(
    source: Source,
    *,
    train_size: int = 1000,
    validation_size: int = 500,
    test_size: int = 2000,
    noise: float = 0.1,
    data_seed: int = 0,
) -> DataSet:
    """Draw two interleaved half circles with Gaussian noise; see `noisy_curves`."""
    sizes = (train_size, validation_size, test_size)
    return noisy_curves("two-moons", moons, sizes, noise, data_seed)


@DATASETS.register("circles")
def circles(
    source: Source,
    *,
    train_size: int = 1000,
    validation_size: int = 500,
    test_size: int = 2000,
    noise: float = 0.05,
    factor: float = 0.5,
    data_seed: int = 0,
) -> DataSet:
    """Draw a unit circle and one of radius `factor` in it; see `noisy_curves`.

    Raises:
        ValueError: `factor` is not between 0 and 1.
    """
    if not 0 < factor < 1:
        raise ValueError(f"factor is {factor!r}, expected a number between 0 and 1")
    sizes = (train_size, validation_size, test_size)
    return noisy_curves(
        "circles", lambda t, label: rings(t, label, factor), sizes, noise, data_seed
    )


def moons(position: Array, labels: Array) -> Array:
    """Return points of the unit half circle (0) and of its copy turned by it (1).

    Class 0: (cos a, sin a); class 1: (1 - cos a, 1/2 - sin a); a from 0 to pi.
    """
    angle = np.pi * position
    x, y = np.cos(angle), np.sin(angle)
    return np.where(
        labels[:, None] == 0, np.stack([x, y], 1), np.stack([1 - x, 0.5 - y], 1)
    )


def rings(position: Array, labels: Array, factor: float) -> Array:
    """Return points of the unit circle (class 0) and of radius `factor` (class 1)."""
    angle = 2 * np.pi * position
    radius = np.where(labels == 0, 1.0, factor)
    points: Array = np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
    return points


def noisy_curves(
    name: str, curve: Curve, sizes: tuple[int, int, int], noise: float, data_seed: int
) -> DataSet:
    """Draw three parts of points on two curves, uniform in position, with noise.

    Classes alternate, so they are balanced. Each part has streams of its own: its size
    changes no other part, and a smaller part is the start of a larger one.

    Args:
        name: Registered name of the set; names the streams too.
        curve: The noise-free geometry.
        sizes: Numbers of training, validation and test points.
        noise: Standard deviation of the Gaussian noise on both coordinates, >= 0.
        data_seed: Names the draw.

    Returns:
        float32 points `[num_points, 2]` of 2 classes.

    Raises:
        ValueError: A size or the noise is out of range.
    """

    def draw(size: int, seed: int) -> Split:
        labels = np.arange(size) % 2
        points = curve(stream(seed, "position").random(size), labels)
        return Split(jitter(points, noise, seed), labels)

    return draw_parts(name, draw, sizes, data_seed)


def draw_parts(
    name: str,
    draw: Callable[[int, int], Split],
    sizes: tuple[int, int, int],
    data_seed: int,
) -> DataSet:
    """Return a set of two classes whose parts are `draw(size, seed of the part)`.

    Raises:
        ValueError: A size is not a positive integer.
    """
    for part, size in zip(PARTS, sizes, strict=True):
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"{part}_size is {size!r}, expected a positive integer")
    train, validation, test = (
        draw(size, derive(data_seed, name, index)) for index, size in enumerate(sizes)
    )
    return DataSet(name, train, validation, test, num_classes=2)


def jitter(points: Array, noise: float, seed: int) -> Array:
    """Return float32 points moved by Gaussian noise of that standard deviation.

    Raises:
        ValueError: The noise is negative or not finite.
    """
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise is {noise!r}, expected a finite number, at least 0")
    moved: Array = points + noise * stream(seed, "noise").standard_normal(points.shape)
    return moved.astype(np.float32)
