from pathlib import Path

import numpy as np
import pytest
import torch

from harness.datasets.base import Array, DataSet, Source, Split
from harness.ood.suite import corrupt, kept
from harness.registry import OOD_SETS
from tests.harness.ood.oracles import data_set

CPU = torch.device("cpu")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(data_dir=None, cache_dir=tmp_path / "cache")


def test_digits_have_a_cell_for_each_kept_corruption_and_severity(
    digit_images: Array, source: Source
) -> None:
    dataset = data_set("digits", digit_images)
    cells = OOD_SETS.get("corrupted")(source, dataset, CPU)
    expected = [(name, severity) for name in kept(1, 8) for severity in range(1, 6)]
    assert [(cell.corruption, cell.severity) for cell in cells] == expected
    assert {cell.set_name for cell in cells} == {"digits-corrupted"}
    split = cells[7].load()
    assert np.array_equal(split.inputs, corrupt(digit_images, "shot_noise", 3))
    assert np.array_equal(split.labels, dataset.test.labels)
    assert not source.cache_dir.exists()


def test_arguments_choose_cells_in_the_suites_order(
    photos: Array, source: Source
) -> None:
    cells = OOD_SETS.get("corrupted")(
        source,
        data_set("cifar10", photos),
        CPU,
        corruptions=("fog", "glass_blur"),
        severities=(1, 5),
        num_images=9,
    )
    names = [(cell.corruption, cell.severity) for cell in cells]
    assert names == [("glass_blur", 1), ("glass_blur", 5), ("fog", 1), ("fog", 5)]
    assert np.array_equal(cells[3].load().inputs, corrupt(photos[:9], "fog", 5))


def test_large_cells_come_back_from_the_cache(photos: Array, source: Source) -> None:
    many = np.concatenate([photos] * 50)  # 4.6 MB
    options = {"corruptions": ("brightness",), "severities": (2,)}
    dataset = data_set("cifar10", many)
    (cell,) = OOD_SETS.get("corrupted")(source, dataset, CPU, **options)
    first = cell.load()
    (file,) = source.cache_dir.rglob("*.npy")
    assert np.array_equal(np.load(file), first.inputs)
    assert np.array_equal(cell.load().inputs, first.inputs)
    shifted = data_set("cifar10", np.roll(many, 1, axis=0))
    (other,) = OOD_SETS.get("corrupted")(source, shifted, CPU, **options)
    assert not np.array_equal(other.load().inputs, first.inputs)


def test_wrong_arguments_are_named(digit_images: Array, source: Source) -> None:
    digits = data_set("digits", digit_images)
    build = OOD_SETS.get("corrupted")
    with pytest.raises(ValueError, match=r"'defocus_blur' makes no sense for .*1, 8"):
        build(source, digits, CPU, corruptions=("defocus_blur",))
    with pytest.raises(ValueError, match="'rain' is unknown"):
        build(source, digits, CPU, corruptions=("rain",))
    with pytest.raises(ValueError, match="some of 1 to 5"):
        build(source, digits, CPU, severities=(0, 1))
    with pytest.raises(ValueError, match="num_images is 2000, but the test set has"):
        build(source, digits, CPU, num_images=2000)
    points = Split(np.zeros((4, 2), np.float32), np.zeros(4, np.int64))
    moons = DataSet("two-moons", points, points, points, 2)
    with pytest.raises(ValueError, match=r"two-moons have shape \[2\]"):
        build(source, moons, CPU)
