import numpy as np
import pytest
from sklearn.datasets import make_circles, make_moons

from harness.datasets.planar import moons, rings
from harness.registry import DATASETS

NAMES = ("two-moons", "circles", "koch")


@pytest.fixture
def draw(source):
    return lambda name, **arguments: DATASETS.get(name)(source, **arguments)


def test_the_moons_are_those_of_scikit_learn():
    points, labels = make_moons((40, 40), shuffle=False, noise=None)
    positions = np.tile(np.linspace(0, 1, 40), 2)
    assert moons(positions, labels) == pytest.approx(points, abs=1e-12)


def test_the_circles_are_those_of_scikit_learn():
    points, labels = make_circles((40, 40), shuffle=False, noise=None, factor=0.5)
    positions = np.tile(np.linspace(0, 1, 40, endpoint=False), 2)
    assert rings(positions, labels, 0.5) == pytest.approx(points, abs=1e-12)


def test_without_noise_every_point_lies_on_its_curve(draw):
    data = draw("circles", noise=0, factor=0.25)
    radius = np.hypot(*data.train.inputs.T)
    assert radius == pytest.approx(np.where(data.train.labels == 0, 1, 0.25), abs=1e-6)
    points, labels = draw("two-moons", noise=0).test.inputs, None
    labels = draw("two-moons", noise=0).test.labels
    centre = np.where(labels[:, None] == 0, [0, 0], [1, 0.5])
    assert np.hypot(*(points - centre).T) == pytest.approx(np.ones(2000), abs=1e-6)
    assert ((points - centre)[:, 1] * np.where(labels == 0, 1, -1)).min() >= -1e-6


def test_noise_is_gaussian_with_the_given_deviation(draw):
    exact = draw("two-moons", noise=0.0, train_size=20_000).train.inputs
    noise = draw("two-moons", noise=0.2, train_size=20_000).train.inputs - exact
    assert noise.std(axis=0) == pytest.approx([0.2, 0.2], rel=0.03)
    assert noise.mean(axis=0) == pytest.approx([0, 0], abs=0.006)
    assert (np.abs(noise) < 0.2).mean() == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_every_planar_set_is_well_formed_and_repeatable(draw, name):
    data = draw(name, noise=0.05)
    assert [len(p) for p in (data.train, data.validation, data.test)] == [
        1000,
        500,
        2000,
    ]
    assert (data.name, data.num_classes, data.in_shape) == (name, 2, (2,))
    assert data.train.inputs.dtype == np.float32
    assert data.train.labels.dtype == np.int64
    assert data.test.labels.mean() == pytest.approx(0.5, abs=0.05)
    assert draw(name, noise=0.05).fingerprint == data.fingerprint
    assert draw(name, noise=0.05, data_seed=1).fingerprint != data.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_independent_and_smaller_ones_start_larger_ones(draw, name):
    small = draw(name, train_size=100, noise=0.05)
    large = draw(name, train_size=1000, noise=0.05)
    assert np.array_equal(small.train.inputs, large.train.inputs[:100])
    assert np.array_equal(small.train.labels, large.train.labels[:100])
    assert np.array_equal(small.test.inputs, large.test.inputs)
    assert not np.array_equal(large.train.inputs[:500], large.validation.inputs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"noise": -0.1}, "noise is -0.1"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"train_size": 0}, "train_size is 0"),
        ({"test_size": 2.5}, "test_size is 2.5"),
    ],
)
def test_arguments_out_of_range_are_refused(draw, name, argument, message):
    with pytest.raises(ValueError, match=message):
        draw(name, **argument)


@pytest.mark.parametrize("factor", [0, 1, 1.5])
def test_an_inner_circle_must_be_inside(draw, factor):
    with pytest.raises(ValueError, match="expected a number between 0 and 1"):
        draw("circles", factor=factor)
