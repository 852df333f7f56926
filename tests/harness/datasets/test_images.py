import dataclasses
import hashlib
import struct

import numpy as np
import pytest

from harness.datasets import HUB_SETS, DataSet, Source, area_resize, load_images
from harness.datasets.decode import decode_split, fingerprint
from harness.datasets.hub import (
    CIFAR10_JPEG,
    CIFAR100,
    MNIST,
    TINY_IMAGENET,
    mirror_files,
)
from harness.datasets.images import load_arrays
from harness.errors import DataError
from harness.registry import DATASETS, settable


def rows_of(part, arrays):
    """Indices in the training split of the images of a part."""
    index = {image.tobytes(): i for i, image in enumerate(arrays["train_inputs"])}
    return [index[image.tobytes()] for image in part.inputs]


@pytest.fixture
def hundred(shrink):
    return shrink(CIFAR100, train_rows=300, test_rows=200)


def test_parts_are_disjoint_complete_and_stratified(hundred, source):
    arrays = load_arrays(hundred, source)
    data = load_images(hundred, source, validation_size=100)
    train, validation = rows_of(data.train, arrays), rows_of(data.validation, arrays)
    assert sorted(train + validation) == list(range(300))
    assert np.bincount(data.validation.labels).tolist() == [1] * 100
    assert np.bincount(data.train.labels).tolist() == [2] * 100
    assert np.array_equal(data.test.inputs, arrays["test_inputs"])
    assert isinstance(data, DataSet)
    assert (data.name, data.num_classes, data.in_shape) == (
        "cifar100",
        100,
        (3, 32, 32),
    )


def test_a_subset_lies_in_larger_ones_and_moves_no_other_part(hundred, source):
    arrays = load_arrays(hundred, source)
    whole = load_images(hundred, source)
    larger = set(rows_of(whole.train, arrays))
    assert len(larger) == 290
    for size in (290, 200, 100, 10):
        data = load_images(hundred, source, subset=size)
        rows = rows_of(data.train, arrays)
        assert len(rows) == size
        assert set(rows) <= larger
        assert np.array_equal(data.validation.inputs, whole.validation.inputs)
        assert np.array_equal(data.test.inputs, whole.test.inputs)
        larger = set(rows)
    assert load_images(hundred, source, subset=290).fingerprint == whole.fingerprint
    again = load_images(hundred, source, subset=100)
    assert again.fingerprint == load_images(hundred, source, subset=100).fingerprint


def test_a_test_subset_is_stratified(hundred, source):
    data = load_images(hundred, source, test_size=100)
    assert np.bincount(data.test.labels).tolist() == [1] * 100


def test_resolution_and_margin_apply_to_every_part(shrink, source):
    small = shrink(MNIST)
    whole = load_images(small, source)
    data = load_images(small, source, margin=4, resolution=8)
    for part in ("train", "validation", "test"):
        centre = getattr(whole, part).inputs[:, :, 4:24, 4:24]
        assert np.array_equal(getattr(data, part).inputs, area_resize(centre, 8))
    assert load_images(small, source, margin=4).in_shape == (1, 20, 20)


@pytest.mark.parametrize("resolution", [48, 32])
def test_tiny_imagenet_is_downsampled_for_resolution_grids(shrink, source, resolution):
    data = load_images(shrink(TINY_IMAGENET), source, resolution=resolution)
    assert data.in_shape == (3, resolution, resolution)
    assert data.train.inputs.dtype == np.uint8


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"subset": 31}, "subset of 31 examples"),
        ({"subset": 0}, "subset of 0 examples"),
        ({"validation_size": 40}, r"parts of \[40\] examples cannot be cut from 40"),
        ({"test_size": 21}, "from 1 to 20"),
        ({"resolution": 64}, "never up-sampled"),
        ({"margin": 16}, "margin is 16"),
    ],
)
def test_arguments_out_of_range_are_refused(shrink, source, argument, message):
    small = shrink(CIFAR100)
    with pytest.raises(ValueError, match=message):
        load_images(small, source, **argument)


def test_a_set_that_is_nowhere_says_where_it_was_looked_for(source):
    with pytest.raises(DataError, match="cifar10-jpeg is in no local mirror") as caught:
        DATASETS.get("cifar10-jpeg")(source)
    message = str(caught.value)
    assert str(source.data_dir / "cifar10-jpeg") in message
    for part in ("--data-dir", "RUNCAST_DATA_DIR", "plain_text/train-*.parquet"):
        assert part in message
    with pytest.raises(DataError, match="in no local mirror \\(none is named\\)"):
        DATASETS.get("cifar10-jpeg")(Source(None, source.cache_dir))


@pytest.mark.parametrize("hub_set", HUB_SETS, ids=lambda h: h.name)
def test_every_set_is_registered_with_its_own_defaults(hub_set):
    arguments = settable(DATASETS.get(hub_set.name))
    assert {k: p.default for k, p in arguments.items()} == {
        "subset": None,
        "validation_size": hub_set.validation_size,
        "test_size": None,
        "resolution": None,
        "margin": 0,
    }
    assert hub_set.validation_size % hub_set.num_classes == 0
    assert hub_set.repo is None or len(bytes.fromhex(hub_set.revision)) == 20


MNIST_FILES = {
    "train_inputs": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train_labels": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "test_inputs": ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "test_labels": ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
"""SHA-256 of the four uncompressed files that LeCun, Cortes and Burges published."""


def idx_sha256(array):
    """SHA-256 of the array in the format of the published files."""
    header = struct.pack(">ii", 2049, len(array))
    if array.ndim == 4:
        header = struct.pack(">iiii", 2051, len(array), 28, 28)
    return hashlib.sha256(header + array.astype(np.uint8).tobytes()).hexdigest()


def test_the_test_split_of_mnist_is_the_original_bit_for_bit(shared_data):
    files = mirror_files(MNIST, Source(shared_data, shared_data))
    inputs, labels = decode_split(MNIST, files, "test")
    assert idx_sha256(inputs) == MNIST_FILES["test_inputs"]
    assert idx_sha256(labels) == MNIST_FILES["test_labels"]
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(labels).tolist() == counts


@pytest.mark.slow
def test_mnist_is_the_original_bit_for_bit(shared_data, tmp_path):
    source = Source(shared_data, tmp_path)
    arrays = load_arrays(MNIST, source)
    assert {name: idx_sha256(a) for name, a in arrays.items()} == MNIST_FILES
    assert fingerprint(arrays) == MNIST.fingerprint
    data = DATASETS.get("mnist")(source, subset=1000, resolution=8, margin=4)
    sizes = [len(p) for p in (data.train, data.validation, data.test)]
    assert sizes == [1000, 5000, 10_000]
    assert data.in_shape == (1, 8, 8)


def test_the_test_split_of_the_jpeg_copy_of_cifar10_decodes(shared_data):
    files = mirror_files(CIFAR10_JPEG, Source(shared_data, shared_data))
    inputs, labels = decode_split(CIFAR10_JPEG, files, "test")
    assert np.bincount(labels).tolist() == [1000] * 10
    # Published mean and deviation of CIFAR-10's pixels; the copy differs by its
    # compression alone.
    pixels = inputs[:2000] / 255
    assert pixels.mean(axis=(0, 2, 3)) == pytest.approx([0.491, 0.482, 0.447], abs=0.02)
    assert pixels.std(axis=(0, 2, 3)) == pytest.approx([0.247, 0.243, 0.262], abs=0.02)


@pytest.mark.slow
def test_the_whole_jpeg_copy_of_cifar10_decodes(shared_data, tmp_path):
    data = DATASETS.get("cifar10-jpeg")(Source(shared_data, tmp_path))
    assert np.bincount(data.train.labels).tolist() == [4500] * 10
    assert np.bincount(data.validation.labels).tolist() == [500] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10


def test_the_jpeg_copy_never_loads_under_the_originals_name(shared_data, tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/cifar10").symlink_to(shared_data / "cifar10-jpeg")
    with pytest.raises(DataError, match=r"JPEG image .* expected PNG"):
        DATASETS.get("cifar10")(Source(tmp_path / "mirror", tmp_path / "cache"))


def test_a_description_is_complete_in_the_caches_identity(shrink, source):
    small = shrink(CIFAR100)
    load_arrays(small, source)
    load_arrays(dataclasses.replace(small, num_classes=101), source)
    assert len(list(source.cache_dir.glob("cifar100-*"))) == 2
