"""Parquet files of encoded images to verified uint8 arrays.

Between `hub` (where the files are) and `images` (which part is trained on); runs once
for each set and machine, because `cache` keeps the result.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from harness.datasets.base import Array
from harness.datasets.hub import Files, HubSet
from harness.errors import DataError

BATCH_ROWS: Final = 2048
"""Rows read at a time; bounds memory beside the result to some megabytes."""


def decode(hub_set: HubSet, files: Files) -> dict[str, Array]:
    """Decode both splits of a set and check them against its description.

    Returns:
        `train_inputs` and `test_inputs`, uint8 `[rows, channels, height, width]`, and
        `train_labels` and `test_labels`, int64 `[rows]`, in the files' order.

    Raises:
        DataError: Rows, format, shape, labels or fingerprint are not as described.
    """
    arrays: dict[str, Array] = {}
    for split in ("train", "test"):
        inputs, labels = decode_split(hub_set, files, split)
        arrays |= {f"{split}_inputs": inputs, f"{split}_labels": labels}
    found = fingerprint(arrays)
    if hub_set.fingerprint not in (None, found):
        raise DataError(
            f"{hub_set.name} ({files.origin}) decodes to fingerprint {found}, expected "
            f"{hub_set.fingerprint}: the pixels, the labels or their order differ from "
            "the original; remove that copy and fetch the original"
        )
    return arrays


def decode_split(hub_set: HubSet, files: Files, split: str) -> tuple[Array, Array]:
    """Decode one split, "train" or "test", to inputs and labels.

    Raises:
        DataError: The split is not as described.
    """
    paths: list[Path] = getattr(files, split)
    rows: int = getattr(hub_set, f"{split}_rows")
    where = f"{hub_set.name} {split} split ({files.origin}, {paths[0].parent})"
    _check_rows(paths, rows, where)
    inputs = np.empty((rows, *hub_set.shape), np.uint8)
    labels = np.empty(rows, np.int64)
    _fill(hub_set, paths, inputs, labels, where)
    wrong = np.flatnonzero((labels < 0) | (labels >= hub_set.num_classes))
    if wrong.size:
        raise DataError(
            f"{where}: label {labels[wrong[0]]} in row {wrong[0]}, expected 0 to "
            f"{hub_set.num_classes - 1}"
        )
    return inputs, labels


def fingerprint(arrays: Mapping[str, Array]) -> str:
    """Return 16 hex digits of SHA-256 over name, type, shape and bytes of the arrays.

    Sorted by name; one changed pixel, label or swapped pair of rows changes it.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _check_rows(paths: list[Path], rows: int, where: str) -> None:
    """Compare the footers' row counts before anything of that size is allocated."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = sum(pq.read_metadata(path).num_rows for path in paths)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{where} is not readable Parquet: {error}") from error
    if found != rows:
        raise DataError(
            f"{where} has {found} rows in {len(paths)} file(s), expected {rows}"
        )


def _fill(
    hub_set: HubSet, paths: list[Path], inputs: Array, labels: Array, where: str
) -> None:
    """Stream the rows of all files into `inputs` and `labels`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # No thread pool: images this small spend their time in the interpreter, and 8
    # threads were measured to be no faster than one.
    columns = [hub_set.image_column, hub_set.label_column]
    row = 0
    try:
        for path in paths:
            file = pq.ParquetFile(path, page_checksum_verification=True)
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                found = batch.column(columns[1]).cast("int64").to_numpy()
                labels[row : row + len(batch)] = found
                for image in batch.column(columns[0]).field("bytes"):
                    inputs[row] = _decode_image(hub_set, image.as_py(), where, row)
                    row += 1
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{where} is damaged, or has no columns {columns}: {error}"
        ) from error
    if row != len(labels):
        raise DataError(f"{where} holds {row} rows, its footer says {len(labels)}")


def _decode_image(hub_set: HubSet, data: bytes, where: str, row: int) -> Array:
    """Decode one image to `[channels, height, width]`; grey becomes RGB where asked."""
    from PIL import Image

    channels, height, width = hub_set.shape
    expected = (hub_set.image_format, (width, height))
    try:
        with Image.open(io.BytesIO(data)) as image:
            found = (image.format, image.size)
            if found == expected:
                pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
                return pixels.reshape(height, width, channels).transpose(2, 0, 1)
    except (OSError, SyntaxError, TypeError, ValueError) as error:
        raise DataError(f"{where}: row {row} cannot be decoded: {error}") from error
    raise DataError(
        f"{where}: row {row} is a {found[0]} image of {found[1]} pixels, expected "
        f"{expected[0]} of {expected[1]}"
    )
