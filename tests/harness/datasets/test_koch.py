import math

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from harness.datasets.koch import HALF_BOX, inside, snowflake
from harness.registry import DATASETS
from harness.seeds import stream

TRIANGLE = 3 * math.sqrt(3) / 4
"""Area of the equilateral triangle in the unit circle."""


def shoelace(polygon):
    x, y = polygon.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


@pytest.mark.parametrize("depth", range(8))
def test_area_and_length_are_the_known_ones_at_every_depth(depth):
    polygon = snowflake(depth)
    assert polygon.shape == (3 * 4**depth, 2)
    # Each refinement adds 3 * 4^k triangles of 1/9 of the area of those before.
    area = TRIANGLE + sum(3 * 4**k * TRIANGLE / 9 ** (k + 1) for k in range(depth))
    assert shoelace(polygon) == pytest.approx(area, rel=1e-12)
    assert area == pytest.approx(TRIANGLE * (8 - 3 * (4 / 9) ** depth) / 5, rel=1e-12)
    edges = np.hypot(*(np.roll(polygon, -1, axis=0) - polygon).T)
    assert edges == pytest.approx(np.full(len(polygon), math.sqrt(3) / 3**depth))
    assert np.hypot(*polygon.T).max() <= 1 + 1e-12
    assert np.hypot(*polygon.T).max() < HALF_BOX


def test_the_boundary_has_the_dimension_of_the_koch_curve():
    corners = snowflake(7)
    ends = np.roll(corners, -1, axis=0)
    curve = np.concatenate(
        [corners + t * (ends - corners) for t in (0, 0.25, 0.5, 0.75)]
    )
    sizes = 2.0 ** -np.arange(2, 9)
    boxes = [np.floor(curve / s) @ [1, 10_000] for s in sizes]
    counts = [len(np.unique(b)) for b in boxes]
    slope = np.polyfit(-np.log(sizes), np.log(counts), 1)[0]
    assert slope == pytest.approx(math.log(4) / math.log(3), abs=0.05)


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_inside_agrees_with_matplotlib(depth):
    polygon = snowflake(depth)
    points = 2.2 * stream(0, "test").random((20_000, 2)) - 1.1
    expected = Outline(polygon).contains_points(points)
    assert np.array_equal(inside(points, polygon), expected)


def test_rays_through_corners_and_along_edges_count_once():
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    diamond = np.array([[0.0, -1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    rays = np.array([[-1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [3.0, 1.0]])
    assert inside(rays, square).tolist() == [False, True, False, False]
    rays = np.array([[-2.0, 0.0], [0.0, 0.0], [-2.0, 1.0], [-2.0, -1.0], [2.0, 0.0]])
    assert inside(rays, diamond).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_the_share_of_class_one_is_the_share_of_the_area(source, depth):
    data = DATASETS.get("koch")(source, depth=depth, test_size=40_000)
    assert data.test.labels.mean() == pytest.approx(
        0.5 - 3 / 16 * (4 / 9) ** depth, abs=0.01
    )
    assert np.array_equal(
        data.train.labels == 1, inside(data.train.inputs, snowflake(depth))
    )
    assert np.abs(data.test.inputs).max() <= HALF_BOX
    assert pytest.approx((2 * HALF_BOX) ** 2) == 2 * 8 / 5 * TRIANGLE


@pytest.mark.parametrize("depth", [-1, 8, 2.5])
def test_depths_out_of_range_are_refused(depth):
    with pytest.raises(ValueError, match="expected an integer, 0 to 7"):
        snowflake(depth)
