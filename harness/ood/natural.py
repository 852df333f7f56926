"""Natural shifts that are not a pair of arrays: CINIC-10 and MNIST seen as digits.

Source: Darlow et al. 2018, arXiv 1810.03505. The test part of CINIC-10 contains all
of CIFAR-10's test images and 10,000 of its training images; only the 70,000 images
that come from ImageNet are used here.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harness.datasets.base import Array, DataSet, Source, Split
from harness.datasets.cache import cached
from harness.errors import DataError
from harness.ood.base import OodCell
from harness.ood.files import checksums, combined, find_folder, require_classes
from harness.registry import DATASETS, OOD_SETS

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
"""Folders of CINIC-10 in the order of CIFAR-10's labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFolders:
    """A folder `test/<class>/*.png` of which some files are left out."""

    set_name: str = "cinic10"
    """Name as recorded."""
    folder: str = "CINIC-10"
    """Folder in the data directory."""
    left_out: tuple[str, ...] = ("cifar10-", "cifar-10-")
    """Beginnings of the names of files that are not used."""
    num_images: int = 70_000
    """Files that are used."""
    side: int = 32
    """Pixels."""
    origin: str = "doi 10.7488/ds/2448"
    """Where it can be had."""


@OOD_SETS.register("cinic10")
def cinic10(source: Source, dataset: DataSet, device: torch.device) -> list[OodCell]:
    """Return the ImageNet-derived test images of CINIC-10 in CIFAR-10's classes."""
    return folder_cells(ImageFolders(), source, dataset)


def folder_cells(
    files: ImageFolders, source: Source, dataset: DataSet
) -> list[OodCell]:
    """Return the one cell of an image folder; decoded images are kept in the cache.

    Raises:
        DataError: A class or a file is missing or not what a checksum file states.
        ValueError: The data set does not fit.
    """
    require_classes(dataset, files.set_name, "cifar10", files.side)
    folder = find_folder(source, files.folder, files.origin)
    names = [
        f"test/{name}/{path.name}"
        for name in CLASSES
        for path in sorted((folder / "test" / name).glob("*.png"))
        if not path.name.startswith(files.left_out)
    ]
    if len(names) != files.num_images:
        raise DataError(
            f"{folder / 'test'} has {len(names)} PNG files not from CIFAR-10 in the "
            f"folders {', '.join(CLASSES)}, expected {files.num_images}: unpack the "
            f"archive again ({files.origin})"
        )
    sha256 = combined(checksums(folder, names))

    def decode() -> dict[str, Array]:
        labels = [CLASSES.index(name.split("/")[1]) for name in names]
        inputs = _decoded([folder / name for name in names], files.side)
        return {"inputs": inputs, "labels": np.array(labels, dtype=np.int64)}

    def load() -> Split:
        arrays = cached(source.cache_dir, files.set_name, {"sha256": sha256}, decode)
        return Split(arrays["inputs"], arrays["labels"])

    return [
        OodCell(
            set_name=files.set_name,
            corruption="none",
            severity=0,
            load=load,
            sha256=sha256,
        )
    ]


def _decoded(paths: list[Path], side: int) -> Array:
    """Return uint8 `[num_paths, 3, side, side]`."""
    from PIL import Image, UnidentifiedImageError

    def read(path: Path) -> Array:
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, UnidentifiedImageError) as error:
            raise DataError(f"{path} is no whole PNG file: unpack it again") from error
        if pixels.shape != (side, side, 3):
            raise DataError(f"{path} is {pixels.shape[:2]}, expected {(side, side)}")
        return pixels.transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(read, paths)))


@OOD_SETS.register("mnist-8")
def mnist_8(source: Source, dataset: DataSet, device: torch.device) -> list[OodCell]:
    """Return MNIST's test digits at 8 x 8 pixels, a natural shift for digits.

    The margin of 4 pixels is trimmed, so that a digit fills the image as it does in
    scikit-learn's set; other writers, scanner and resampling remain. Three nearest
    neighbours among scikit-learn's digits name 53% of them.

    Raises:
        DataError: MNIST is not at hand or not as described.
        ValueError: The data set is not scikit-learn's digits.
    """
    require_classes(dataset, "mnist-8", "digits", 8)
    test: Split = DATASETS.get("mnist")(source, resolution=8, margin=4).test
    if test.inputs.shape[1:] != (1, 8, 8) or test.inputs.dtype != np.uint8:
        raise DataError(
            f"MNIST came as {test.inputs.dtype} {list(test.inputs.shape)}, expected "
            "uint8 [num_examples, 1, 8, 8]"
        )
    return [
        OodCell(set_name="mnist-8", corruption="none", severity=0, load=lambda: test)
    ]
