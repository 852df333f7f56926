"""Inside or outside a Koch snowflake: two classes with a boundary of known dimension.

In the limit of depth the boundary has dimension log 4 / log 3 = 1.262, and at every
depth the area is known, so that a measured decision boundary can be compared with it.
"""

from typing import Final

import numpy as np

from harness.datasets.base import Array, DataSet, Source, Split
from harness.datasets.planar import draw_parts, jitter
from harness.registry import DATASETS
from harness.seeds import stream

MAX_DEPTH: Final = 7
"""49,152 edges of length 8e-4; more than float32 training can see."""
HALF_BOX: Final = float(np.sqrt(0.6 * np.sqrt(3)))
"""Half the side of the square that points fill; it has twice the area of the snowflake
in the limit, 6/5 sqrt 3."""
CHUNK: Final = 1 << 22
"""Pairs of point and edge handled at a time."""


@DATASETS.register("koch")
def koch(
    source: Source,
    *,
    depth: int = 4,
    train_size: int = 1000,
    validation_size: int = 500,
    test_size: int = 2000,
    noise: float = 0.0,
    data_seed: int = 0,
) -> DataSet:
    """Draw points uniform in a square; class 1 lies inside the snowflake.

    Half of the square is inside the limit snowflake, so classes are about balanced: at
    depth d the share is 1/2 - 3/16 (4/9)^d.

    Args:
        source: Not read.
        depth: Number of refinements of the triangle, 0 to 7.
        train_size: Number of training points.
        validation_size: Number of validation points.
        test_size: Number of test points.
        noise: Standard deviation of Gaussian noise on the coordinates, drawn after the
            class, so that it blurs the boundary.
        data_seed: Names the draw.

    Returns:
        float32 points `[num_points, 2]` of 2 classes; a smaller part is the start of a
        larger one.

    Raises:
        ValueError: An argument is out of range.
    """
    polygon = snowflake(depth)

    def draw(size: int, seed: int) -> Split:
        points = HALF_BOX * (2 * stream(seed, "position").random((size, 2)) - 1)
        # The class is that of the stored coordinates, not of their float64 originals.
        points = points.astype(np.float32)
        labels = inside(points, polygon).astype(np.int64)
        return Split(jitter(points, noise, seed), labels)

    return draw_parts("koch", draw, (train_size, validation_size, test_size), data_seed)


def snowflake(depth: int) -> Array:
    """Return the corners `[3 * 4^depth, 2]` of a Koch snowflake, anticlockwise.

    Starts from the equilateral triangle in the unit circle (side sqrt 3, corner up);
    each step replaces the middle third of every edge by the two other sides of an
    equilateral triangle pointing outwards (von Koch 1904, "Sur une courbe continue sans
    tangente").

    Area: A_0 (8/5 - 3/5 (4/9)^depth) with A_0 = 3 sqrt 3 / 4; length: 3 sqrt 3
    (4/3)^depth.

    Raises:
        ValueError: The depth is not an integer from 0 to 7.

    Example:
        >>> snowflake(1).shape
        (12, 2)
    """
    if not isinstance(depth, int) or not 0 <= depth <= MAX_DEPTH:
        raise ValueError(f"depth is {depth!r}, expected an integer, 0 to {MAX_DEPTH}")
    # Complex numbers turn by multiplication: the tip leaves the edge by -60 degrees.
    turn = np.exp(-1j * np.pi / 3)
    corners = 1j * np.exp(2j * np.pi * np.arange(3) / 3)
    for _ in range(depth):
        third = (np.roll(corners, -1) - corners) / 3
        left = corners + third
        tip = left + third * turn
        corners = np.stack([corners, left, tip, left + third], 1).ravel()
    return np.stack([corners.real, corners.imag], 1)


def inside(points: Array, polygon: Array) -> Array:
    """Tell which points lie inside a polygon, by the even-odd rule.

    A point is inside when a ray to the right crosses an odd number of edges; an edge
    holds its lower end and not its upper, so that a ray through a corner counts once.
    Cost: `num_points * num_corners` comparisons.

    Args:
        points: `[num_points, 2]`.
        polygon: Corners in order `[num_corners, 2]`.

    Returns:
        bool `[num_points]`.

    Example:
        >>> inside(np.array([[0.5, 0.5], [2, 0.5]]), np.array([[0, 0], [1, 0], [0, 2]]))
        array([ True, False])
    """
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    # Level edges are never crossed; their slope is set to 0, not to a division by 0.
    rise = y1 - y0
    slope = np.divide(x1 - x0, rise, out=np.zeros(len(rise)), where=rise != 0)
    result = np.empty(len(points), bool)
    step = max(1, CHUNK // len(polygon))
    for start in range(0, len(points), step):
        x, y = (
            points[start : start + step, :, np.newaxis]
            .astype(np.float64)
            .swapaxes(0, 1)
        )
        crossed = ((y0 <= y) != (y1 <= y)) & (x < x0 + slope * (y - y0))
        result[start : start + step] = crossed.sum(axis=1) % 2 == 1
    return result
