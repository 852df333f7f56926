"""Small mirrors in the Hub's layout, written by the tests."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.datasets import HubSet, Source
from harness.seeds import stream

Shrink = Callable[..., HubSet]


def encode_image(pixels: np.ndarray, image_format: str) -> bytes:
    """Encode [C, H, W], or grey [H, W], as an image file."""
    image = Image.fromarray(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()


def make_split(hub_set: HubSet, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Random images [rows, C, H, W] with every class in turn."""
    rows = getattr(hub_set, f"{split}_rows")
    pixels = stream(0, f"mirror {split}").integers(0, 256, (rows, *hub_set.shape))
    return pixels.astype(np.uint8), np.arange(rows) % hub_set.num_classes


def save_split(
    folder: Path,
    hub_set: HubSet,
    split: str,
    images: list[bytes],
    labels: list[int],
    files: int = 1,
) -> None:
    """Write a split as Parquet files with the Hub's names and columns."""
    table = pa.table(
        {
            hub_set.image_column: [{"bytes": data, "path": None} for data in images],
            "coarse_label": [0] * len(labels),
            hub_set.label_column: labels,
        }
    )
    target = folder / hub_set.folder
    target.mkdir(parents=True, exist_ok=True)
    step = -(-len(labels) // files)
    for index in range(files):
        name = f"{getattr(hub_set, split)}-{index:05d}-of-{files:05d}.parquet"
        pq.write_table(table.slice(index * step, step), target / name, row_group_size=7)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """An empty mirror and an empty cache."""
    (tmp_path / "mirror").mkdir()
    return Source(tmp_path / "mirror", tmp_path / "cache")


@pytest.fixture
def shrink(source: Source) -> Shrink:
    """Write a random mirror of a set and return the description of that mirror."""

    def make(
        hub_set: HubSet, train_rows: int = 40, test_rows: int = 20, files: int = 1
    ) -> HubSet:
        small = dataclasses.replace(
            hub_set,
            train_rows=train_rows,
            test_rows=test_rows,
            validation_size=10,
            fingerprint=None,
        )
        assert source.data_dir is not None
        for split in ("train", "test"):
            pixels, labels = make_split(small, split)
            squeezed = pixels[:, 0] if small.shape[0] == 1 else pixels
            images = [encode_image(p, small.image_format) for p in squeezed]
            folder = source.data_dir / small.name
            save_split(folder, small, split, images, labels.tolist(), files)
        return small

    return make


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Encode [C, H, W], or grey [H, W], as an image file."""
    return encode_image


@pytest.fixture
def random_split() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The images and labels that `shrink` wrote."""
    return make_split


@pytest.fixture
def write_split() -> Callable[..., None]:
    """Write a split as Parquet files with the Hub's names and columns."""
    return save_split
