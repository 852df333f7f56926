import dataclasses
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.datasets.decode import decode, fingerprint
from harness.datasets.hub import (
    CIFAR10,
    CIFAR10_JPEG,
    CIFAR100,
    FASHION_MNIST,
    MNIST,
    TINY_IMAGENET,
    mirror_files,
)
from harness.datasets.images import load_arrays
from harness.errors import DataError
from harness.seeds import stream


@pytest.mark.parametrize("hub_set", [MNIST, FASHION_MNIST, CIFAR10, CIFAR100])
def test_lossless_sets_decode_to_the_pixels_that_were_encoded(
    hub_set, shrink, source, random_split
):
    small = shrink(hub_set, files=3)
    arrays = decode(small, mirror_files(small, source))
    for split in ("train", "test"):
        pixels, labels = random_split(small, split)
        assert np.array_equal(arrays[f"{split}_inputs"], pixels)
        assert np.array_equal(arrays[f"{split}_labels"], labels)
        assert arrays[f"{split}_inputs"].dtype == np.uint8
        assert arrays[f"{split}_labels"].dtype == np.int64


def test_grey_images_of_tiny_imagenet_become_rgb_and_valid_is_the_test_split(
    source, encode, write_split
):
    small = dataclasses.replace(TINY_IMAGENET, train_rows=3, test_rows=3)
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    colour = np.stack([ramp, 255 - ramp, np.full_like(ramp, 40)])
    images = [encode(ramp, "JPEG"), encode(colour, "JPEG"), encode(ramp, "JPEG")]
    for split in ("train", "test"):
        write_split(source.data_dir / small.name, small, split, images, [0, 199, 5])
    names = {p.name for p in (source.data_dir / "tiny-imagenet/data").iterdir()}
    assert names == {f"{s}-00000-of-00001.parquet" for s in ("train", "valid")}
    arrays = decode(small, mirror_files(small, source))
    grey, rgb, _ = arrays["test_inputs"].astype(int)
    assert arrays["test_inputs"].shape == (3, 3, 64, 64)
    assert (grey == grey[0]).all()
    assert np.abs(grey[0] - ramp).max() <= 4
    assert np.abs(rgb - colour).mean() < 4
    assert arrays["test_labels"].tolist() == [0, 199, 5]


@pytest.mark.parametrize("owner_first", [False, True])
def test_a_mirror_may_be_named_by_set_or_by_repository(shrink, source, owner_first):
    small = shrink(CIFAR100)
    if owner_first:
        (source.data_dir / "uoft-cs").mkdir()
        (source.data_dir / "cifar100").rename(source.data_dir / "uoft-cs/cifar100")
    files = mirror_files(small, source)
    assert files.origin == "local mirror"
    assert [p.name for p in files.test] == ["test-00000-of-00001.parquet"]


def test_an_incomplete_mirror_is_refused_rather_than_passed_over(shrink, source):
    small = shrink(CIFAR100)
    (source.data_dir / "cifar100/cifar100/test-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"no file matches cifar100/test-\*\.parquet"):
        mirror_files(small, source)


def test_a_wrong_row_count_is_refused(shrink, source):
    small = dataclasses.replace(shrink(CIFAR100, files=2), test_rows=21)
    with pytest.raises(DataError, match=r"20 rows in 2 file\(s\), expected 21"):
        decode(small, mirror_files(small, source))


def test_a_wrong_shape_is_refused(shrink, source):
    small = dataclasses.replace(shrink(CIFAR100), shape=(3, 28, 28))
    with pytest.raises(
        DataError, match=r"row 0 is a PNG image of \(32, 32\) pixels, expected PNG of"
    ):
        decode(small, mirror_files(small, source))


def test_a_lossy_copy_never_passes_for_the_original(shrink, source):
    small = shrink(CIFAR10_JPEG)
    posing = dataclasses.replace(
        CIFAR10, train_rows=small.train_rows, test_rows=small.test_rows
    )
    (source.data_dir / "cifar10-jpeg").rename(source.data_dir / "cifar10")
    with pytest.raises(DataError, match=r"row 0 is a JPEG image .* expected PNG"):
        decode(posing, mirror_files(posing, source))


def test_labels_out_of_range_are_refused(shrink, source):
    small = dataclasses.replace(shrink(CIFAR100), num_classes=30)
    with pytest.raises(DataError, match="label 30 in row 30, expected 0 to 29"):
        decode(small, mirror_files(small, source))


def test_a_damaged_image_is_named_by_its_row(source, encode, write_split):
    small = dataclasses.replace(FASHION_MNIST, train_rows=3, test_rows=3)
    whole = encode(np.zeros((28, 28), np.uint8), "PNG")
    for images, row in (([whole, whole[:40], whole], 1), ([whole, whole, b"?"], 2)):
        for split in ("train", "test"):
            folder = source.data_dir / small.name
            write_split(folder, small, split, images, [0, 1, 2])
        with pytest.raises(DataError, match=f"row {row} cannot be decoded"):
            decode(small, mirror_files(small, source))


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, None, 2], "null"), ([0.0, 1.5, 2.0], "truncated"), (["a", "b", "c"], "a")],
)
def test_labels_that_are_no_integers_are_refused(
    source, encode, write_split, labels, message
):
    small = dataclasses.replace(FASHION_MNIST, train_rows=3, test_rows=3)
    images = [encode(np.zeros((28, 28), np.uint8), "PNG")] * 3
    for split in ("train", "test"):
        write_split(source.data_dir / small.name, small, split, images, labels)
    with pytest.raises(DataError, match=f"is damaged.*{message}"):
        decode(small, mirror_files(small, source))


def test_a_missing_column_is_named(shrink, source):
    small = dataclasses.replace(shrink(CIFAR100), image_column="image")
    with pytest.raises(DataError, match=r"has no columns \['image', 'fine_label'\]"):
        decode(small, mirror_files(small, source))


def test_a_file_that_is_no_parquet_is_refused(shrink, source):
    small = shrink(CIFAR100)
    file = source.data_dir / "cifar100/cifar100/test-00000-of-00001.parquet"
    file.write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(DataError, match="is not readable Parquet"):
        decode(small, mirror_files(small, source))


def test_the_fingerprint_sees_one_pixel_one_label_and_the_order():
    random = stream(0, "test")
    arrays = {
        "inputs": random.integers(0, 256, (50, 1, 4, 4)).astype(np.uint8),
        "labels": random.integers(0, 10, 50),
    }
    seen = {fingerprint(arrays)}
    for name, index in (("inputs", (17, 0, 3, 3)), ("labels", 49)):
        changed = {k: v.copy() for k, v in arrays.items()}
        changed[name][index] ^= 1
        seen.add(fingerprint(changed))
    seen.add(fingerprint({k: v[::-1] for k, v in arrays.items()}))
    seen.add(fingerprint({**arrays, "labels": arrays["labels"].astype(np.int32)}))
    assert len(seen) == 5
    assert fingerprint(dict(reversed(arrays.items()))) == fingerprint(arrays)


def test_another_fingerprint_than_the_pinned_one_is_refused(shrink, source):
    small = shrink(CIFAR100)
    files = mirror_files(small, source)
    found = fingerprint(decode(small, files))
    decode(dataclasses.replace(small, fingerprint=found), files)
    with pytest.raises(DataError, match=f"fingerprint {found}, expected 00"):
        decode(dataclasses.replace(small, fingerprint="00"), files)


def test_a_changed_mirror_is_decoded_anew_and_an_unchanged_one_is_not(shrink, source):
    small = shrink(CIFAR100)
    first = load_arrays(small, source)
    file = source.data_dir / "cifar100/cifar100/test-00000-of-00001.parquet"
    stat = file.stat()
    # Same size and time, other bytes: read from the cache, hence not noticed.
    data = file.read_bytes()
    file.write_bytes(b"X" * len(data))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint(load_arrays(small, source)) == fingerprint(first)
    os.utime(file)
    with pytest.raises(DataError, match="is not readable Parquet"):
        load_arrays(small, source)


def test_arrow_reads_what_the_test_mirror_wrote(shrink, source):
    small = shrink(CIFAR100)
    table = pq.read_table(mirror_files(small, source).test[0])
    assert table.schema.field("img").type == pa.struct(
        [("bytes", pa.binary()), ("path", pa.null())]
    )
    with Image.open(pa.BufferReader(table["img"][0].as_py()["bytes"])) as image:
        assert image.size == (32, 32)
