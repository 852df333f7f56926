"""Reading official evaluation files: found whole and as described, or refused."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.datasets.base import Array, DataSet, Source
from harness.errors import DataError

SUMS = "SHA256SUMS"
"""Optional file beside the data: lines of `<sha256>  <path within the folder>`."""


def find_folder(source: Source, folder: str, origin: str) -> Path:
    """Return the data folder `folder` of the local mirror.

    Args:
        source: Its data folder is searched.
        folder: Name of the folder.
        origin: Where the data can be had, for the message.

    Returns:
        The existing folder.

    Raises:
        DataError: There is no local mirror or no such folder in it.
    """
    if source.data_dir is None:
        raise DataError(
            f"{folder} is read from a local folder only, and none is set: download it "
            f"({origin}) and name the folder that holds {folder}/ as data directory"
        )
    path = source.data_dir / folder
    if not path.is_dir():
        raise DataError(f"{path} is missing: download {folder} ({origin}) to there")
    return path


def read_array(path: Path, dtype: str | None, shape: tuple[int, ...]) -> Array:
    """Map a .npy file into memory and check what it holds.

    Args:
        path: The file.
        dtype: Required type; None: any integer.
        shape: Required shape.

    Returns:
        The array, read-only.

    Raises:
        DataError: The file is missing, unreadable or of another type or shape.
    """
    try:
        array: Array = np.load(path, allow_pickle=False, mmap_mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: the set is incomplete") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no whole .npy file ({error}): fetch it") from error
    fits = (
        np.issubdtype(array.dtype, np.integer)
        if dtype is None
        else (array.dtype == np.dtype(dtype))
    )
    if not fits or array.shape != shape:
        raise DataError(
            f"{path} holds {array.dtype} {list(array.shape)}, expected "
            f"{dtype or 'integers'} {list(shape)}: fetch the file again"
        )
    return array


def read_labels(path: Path, num_labels: int, num_classes: int) -> Array:
    """Return the int64 labels `[num_labels]` of a .npy file.

    Raises:
        DataError: The file is not as described or a label is out of range.
    """
    labels = np.asarray(read_array(path, None, (num_labels,))).astype(np.int64)
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DataError(
            f"{path} has labels from {labels.min()} to {labels.max()}, expected 0 to "
            f"{num_classes - 1}: fetch the file again"
        )
    return labels


def checksums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of each file and compare them with `SUMS` if it is there.

    Raises:
        DataError: A checksum differs from the one stated, or is not stated.
    """
    found = {name: _sha256(folder / name, *_stamp(folder / name)) for name in names}
    sums = folder / SUMS
    if not sums.is_file():
        return found
    lines = (line.split(maxsplit=1) for line in sums.read_text().splitlines() if line)
    stated = {name.strip().lstrip("*").removeprefix("./"): sha for sha, name in lines}
    wrong = [name for name in names if stated.get(name) != found[name]]
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(names)} files in {folder} are not what {SUMS} "
            f"states, such as {wrong[0]} (found {found[wrong[0]]}, stated "
            f"{stated.get(wrong[0])}): fetch them again"
        )
    return found


def combined(sums: dict[str, str]) -> str:
    """Return one SHA-256 for several files: that of their sorted `SUMS` lines."""
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()


def require_classes(dataset: DataSet, set_name: str, family: str, side: int) -> None:
    """Check that a model of `dataset` can be asked about images of a set.

    Raises:
        ValueError: The data set is not of `family` or its images have another size.
    """
    # "cifar10" and "cifar10-jpeg" are of the family "cifar10".
    same = dataset.name == family or dataset.name.startswith(f"{family}-")
    if not same or dataset.in_shape[-1] != side:
        raise ValueError(
            f"{set_name} goes with {family} at {side} pixels, not with {dataset.name} "
            f"of shape {list(dataset.in_shape)}; leave it out"
        )


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@functools.cache
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """Hash a file once for each state of it: a folder of CIFAR-10-C has 2.9 GB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
