"""Official evaluation files in numpy format: CIFAR-10-C, CIFAR-100-C, CIFAR-10.1.

Sources: Hendrycks and Dietterich 2019, arXiv 1903.12261; Recht et al. 2019, arXiv
1902.10811. Files are mapped, not read; a cell copies its images when loaded.
"""

from dataclasses import dataclass

import numpy as np
import torch

from harness.datasets.base import Array, DataSet, Source, Split
from harness.errors import DataError
from harness.ood.base import OodCell
from harness.ood.files import (
    checksums,
    combined,
    find_folder,
    read_array,
    read_labels,
    require_classes,
)
from harness.ood.suite import SUITE
from harness.registry import OOD_SETS

SEVERITIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptedFiles:
    """A folder with one .npy per corruption, severities one after another."""

    set_name: str
    """Name as recorded."""
    folder: str
    """Folder in the data directory."""
    origin: str
    """Where it can be had."""
    family: str
    """Data set whose test images were corrupted."""
    num_classes: int
    corruptions: tuple[str, ...] = tuple(SUITE)
    """Files that a complete folder has, less ".npy", in the order of cells."""
    num_images: int = 10_000
    """Images of one severity."""
    side: int = 32
    """Pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalFiles:
    """Two .npy files: new images of known classes and their labels."""

    set_name: str
    """Name as recorded."""
    folder: str
    """Folder in the data directory."""
    images: str
    """File of uint8 `[num_images, side, side, 3]`."""
    labels: str
    """File of integers `[num_images]`."""
    num_images: int
    origin: str
    """Where it can be had."""
    family: str
    """Data set whose classes the labels name."""
    num_classes: int
    side: int = 32
    """Pixels."""


CIFAR10_C = CorruptedFiles(
    set_name="cifar10-c",
    folder="CIFAR-10-C",
    origin="doi 10.5281/zenodo.2535967",
    family="cifar10",
    num_classes=10,
)
CIFAR100_C = CorruptedFiles(
    set_name="cifar100-c",
    folder="CIFAR-100-C",
    origin="doi 10.5281/zenodo.3555552",
    family="cifar100",
    num_classes=100,
)
CIFAR10_1_V4 = NaturalFiles(
    set_name="cifar10.1-v4",
    folder="CIFAR-10.1",
    images="cifar10.1_v4_data.npy",
    labels="cifar10.1_v4_labels.npy",
    num_images=2021,
    origin="github.com/modestyachts/CIFAR-10.1",
    family="cifar10",
    num_classes=10,
)
CIFAR10_1_V6 = NaturalFiles(
    set_name="cifar10.1-v6",
    folder="CIFAR-10.1",
    images="cifar10.1_v6_data.npy",
    labels="cifar10.1_v6_labels.npy",
    num_images=2000,
    origin="github.com/modestyachts/CIFAR-10.1",
    family="cifar10",
    num_classes=10,
)


def corrupted_cells(
    files: CorruptedFiles,
    source: Source,
    dataset: DataSet,
    corruptions: tuple[str, ...] = (),
) -> list[OodCell]:
    """Return the cells of a complete folder, corruption by corruption.

    Args:
        files: What a complete folder holds.
        source: Where it is looked for.
        dataset: Whose models are evaluated.
        corruptions: Those wanted; empty: all of `files`.

    Returns:
        One cell for each corruption and severity 1 to 5.

    Raises:
        DataError: A file is missing or not as described or stated.
        ValueError: The data set does not fit or a corruption is unknown.
    """
    require_classes(dataset, files.set_name, files.family, files.side)
    if unknown := [name for name in corruptions if name not in files.corruptions]:
        known = ", ".join(files.corruptions)
        raise ValueError(f"{files.set_name} has no {unknown[0]!r} (it has: {known})")
    names = [n for n in files.corruptions if n in (corruptions or files.corruptions)]
    folder = find_folder(source, files.folder, files.origin)
    if missing := [n for n in names if not (folder / f"{n}.npy").is_file()]:
        raise DataError(
            f"{folder} is incomplete: {len(missing)} of {len(names)} corruptions are "
            f"missing ({', '.join(missing)}); download it again ({files.origin})"
        )
    rows = SEVERITIES * files.num_images
    labels = read_labels(folder / "labels.npy", rows, files.num_classes)
    if (labels.reshape(SEVERITIES, -1) != labels[: files.num_images]).any():
        raise DataError(f"{folder / 'labels.npy'} differs between severities")
    shape = (rows, files.side, files.side, 3)
    images = {n: read_array(folder / f"{n}.npy", "uint8", shape) for n in names}
    sums = checksums(folder, ["labels.npy", *(f"{n}.npy" for n in names)])
    return [
        OodCell(
            set_name=files.set_name,
            corruption=name,
            severity=severity,
            load=_Rows(images[name], labels, severity - 1, files.num_images),
            sha256=combined({k: sums[k] for k in (f"{name}.npy", "labels.npy")}),
        )
        for name in names
        for severity in range(1, SEVERITIES + 1)
    ]


def natural_cells(
    files: NaturalFiles, source: Source, dataset: DataSet
) -> list[OodCell]:
    """Return the one cell of a natural shift.

    Raises:
        DataError: A file is missing or not as described or stated.
        ValueError: The data set does not fit.
    """
    require_classes(dataset, files.set_name, files.family, files.side)
    folder = find_folder(source, files.folder, files.origin)
    shape = (files.num_images, files.side, files.side, 3)
    images = read_array(folder / files.images, "uint8", shape)
    labels = read_labels(folder / files.labels, files.num_images, files.num_classes)
    cell = OodCell(
        set_name=files.set_name,
        corruption="none",
        severity=0,
        load=_Rows(images, labels, 0, files.num_images),
        sha256=combined(checksums(folder, [files.images, files.labels])),
    )
    return [cell]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Loads the block `index` of `size` images, channels first."""

    images: Array
    labels: Array
    index: int
    size: int

    def __call__(self) -> Split:
        rows = slice(self.index * self.size, (self.index + 1) * self.size)
        inputs = np.ascontiguousarray(self.images[rows].transpose(0, 3, 1, 2))
        return Split(inputs, self.labels[rows])


@OOD_SETS.register("cifar10-c")
def cifar10_c(
    source: Source,
    dataset: DataSet,
    device: torch.device,
    *,
    corruptions: tuple[str, ...] = (),
) -> list[OodCell]:
    """Return the official CIFAR-10-C: 15 corruptions and 4 extra, 5 severities each."""
    return corrupted_cells(CIFAR10_C, source, dataset, corruptions)


@OOD_SETS.register("cifar100-c")
def cifar100_c(
    source: Source,
    dataset: DataSet,
    device: torch.device,
    *,
    corruptions: tuple[str, ...] = (),
) -> list[OodCell]:
    """Return the official CIFAR-100-C, as `cifar10_c`."""
    return corrupted_cells(CIFAR100_C, source, dataset, corruptions)


@OOD_SETS.register("cifar10.1-v4")
def cifar10_1_v4(
    source: Source, dataset: DataSet, device: torch.device
) -> list[OodCell]:
    """Return CIFAR-10.1 version 4: 2021 new images, not balanced between classes."""
    return natural_cells(CIFAR10_1_V4, source, dataset)


@OOD_SETS.register("cifar10.1-v6")
def cifar10_1_v6(
    source: Source, dataset: DataSet, device: torch.device
) -> list[OodCell]:
    """Return CIFAR-10.1 version 6: 2000 new images."""
    return natural_cells(CIFAR10_1_V6, source, dataset)
