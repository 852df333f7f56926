import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.datasets.base import Array, DataSet, Source
from harness.errors import DataError
from harness.ood.external import (
    CIFAR10_1_V6,
    CIFAR10_C,
    CIFAR100_C,
    CorruptedFiles,
    NaturalFiles,
    corrupted_cells,
    natural_cells,
)
from harness.registry import OOD_SETS
from tests.harness.ood.oracles import data_set

CPU = torch.device("cpu")
SMALL = CorruptedFiles(
    set_name="cifar10-c",
    folder="CIFAR-10-C",
    origin="the authors",
    family="cifar10",
    num_classes=10,
    corruptions=("gaussian_noise", "fog"),
    num_images=6,
)
TINY = NaturalFiles(
    set_name="cifar10.1-v9",
    folder="CIFAR-10.1",
    images="data.npy",
    labels="labels.npy",
    num_images=7,
    origin="the authors",
    family="cifar10",
    num_classes=10,
)


@pytest.fixture
def cifar(photos: Array) -> DataSet:
    return data_set("cifar10-jpeg", photos)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A mirror with small files in the official formats."""
    rng = np.random.default_rng(0)
    corrupted = tmp_path / "CIFAR-10-C"
    corrupted.mkdir()
    for name in SMALL.corruptions:
        np.save(corrupted / f"{name}.npy", rng.integers(0, 256, (30, 32, 32, 3), "u1"))
    np.save(corrupted / "labels.npy", np.tile(rng.integers(0, 10, 6, "u1"), 5))
    natural = tmp_path / "CIFAR-10.1"
    natural.mkdir()
    np.save(natural / "data.npy", rng.integers(0, 256, (7, 32, 32, 3), "u1"))
    np.save(natural / "labels.npy", np.arange(7, dtype=np.int32))
    return Source(data_dir=tmp_path, cache_dir=tmp_path / "cache")


def test_cells_are_the_blocks_of_each_file(source: Source, cifar: DataSet) -> None:
    cells = corrupted_cells(SMALL, source, cifar)
    names = [(cell.corruption, cell.severity) for cell in cells]
    assert names == [(n, s) for n in ("gaussian_noise", "fog") for s in range(1, 6)]
    assert source.data_dir is not None
    folder = source.data_dir / "CIFAR-10-C"
    fog = np.load(folder / "fog.npy")
    labels = np.load(folder / "labels.npy")
    split = cells[7].load()
    assert split.inputs.dtype == np.uint8
    assert split.labels.dtype == np.int64
    assert np.array_equal(split.inputs.transpose(0, 2, 3, 1), fog[12:18])
    assert np.array_equal(split.labels, labels[:6])
    lines = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("fog.npy", "labels.npy")
    )
    assert cells[7].sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert len(corrupted_cells(SMALL, source, cifar, ("fog",))) == 5


def test_a_natural_shift_is_one_cell(source: Source, cifar: DataSet) -> None:
    (cell,) = natural_cells(TINY, source, cifar)
    assert (cell.set_name, cell.corruption, cell.severity) == (TINY.set_name, "none", 0)
    split = cell.load()
    assert split.inputs.shape == (7, 3, 32, 32)
    assert split.labels.tolist() == list(range(7))


def test_the_official_descriptions_state_the_published_sizes() -> None:
    assert len(CIFAR10_C.corruptions) == len(CIFAR100_C.corruptions) == 19
    assert CIFAR10_C.num_images == 10_000
    assert CIFAR10_1_V6.num_images == 2000


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("fog", np.zeros((29, 32, 32, 3), "u1"), r"uint8 \[29, 32, 32, 3\], expected"),
        ("fog", np.zeros((30, 32, 32, 3), "f4"), r"holds float32"),
        ("labels", np.zeros(29, "i8"), r"int64 \[29\], expected integers \[30\]"),
        ("labels", np.zeros(30, "f8"), "holds float64"),
        ("labels", np.full(30, 10), "labels from 10 to 10, expected 0 to 9"),
        ("labels", np.arange(30) % 7, "differs between severities"),
    ],
)
def test_files_of_another_shape_or_type_are_refused(
    source: Source, cifar: DataSet, name: str, array: Array, message: str
) -> None:
    assert source.data_dir is not None
    np.save(source.data_dir / "CIFAR-10-C" / f"{name}.npy", array)
    with pytest.raises(DataError, match=message):
        corrupted_cells(SMALL, source, cifar)


def test_a_missing_or_cut_file_is_refused(source: Source, cifar: DataSet) -> None:
    assert source.data_dir is not None
    path = source.data_dir / "CIFAR-10-C" / "fog.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="is no whole"):
        corrupted_cells(SMALL, source, cifar)
    path.unlink()
    with pytest.raises(DataError, match=r"1 of 2 corruptions are missing \(fog\)"):
        corrupted_cells(SMALL, source, cifar)
    (source.data_dir / "CIFAR-10.1" / "labels.npy").unlink()
    with pytest.raises(DataError, match=r"labels\.npy is missing"):
        natural_cells(TINY, source, cifar)


def test_pickled_objects_are_never_loaded(source: Source, cifar: DataSet) -> None:
    assert source.data_dir is not None
    path = source.data_dir / "CIFAR-10.1" / "data.npy"
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="is no whole"):
        natural_cells(TINY, source, cifar)


def test_stated_checksums_are_enforced(source: Source, cifar: DataSet) -> None:
    assert source.data_dir is not None
    folder = source.data_dir / "CIFAR-10-C"
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.name}"
        for path in sorted(folder.glob("*.npy"))
    ]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    assert len(corrupted_cells(SMALL, source, cifar)) == 10
    fog = np.load(folder / "fog.npy")
    fog[0, 0, 0, 0] ^= 1
    np.save(folder / "fog.npy", fog)
    with pytest.raises(DataError, match=r"1 of 3 files .* such as fog\.npy"):
        corrupted_cells(SMALL, source, cifar)
    (folder / "SHA256SUMS").write_text(lines[1] + "\n")
    with pytest.raises(DataError, match="stated None"):
        corrupted_cells(SMALL, source, cifar)


@pytest.mark.parametrize(
    "name", ["cifar10-c", "cifar10.1-v4", "cifar10.1-v6", "cinic10"]
)
def test_registered_sets_refuse_absent_data_and_other_data_sets(
    name: str, tmp_path: Path, photos: Array, cifar: DataSet
) -> None:
    build = OOD_SETS.get(name)
    empty = Source(data_dir=tmp_path, cache_dir=tmp_path)
    with pytest.raises(DataError, match="is missing: download"):
        build(empty, cifar, CPU)
    with pytest.raises(DataError, match="none is set: download"):
        build(Source(data_dir=None, cache_dir=tmp_path), cifar, CPU)
    with pytest.raises(ValueError, match="goes with cifar10 at 32 pixels"):
        build(empty, data_set("cifar100", photos), CPU)
    with pytest.raises(ValueError, match=r"not with cifar10 of shape \[3, 16, 16\]"):
        build(empty, data_set("cifar10", photos[..., :16, :16]), CPU)


def test_an_unknown_corruption_is_named(source: Source, cifar: DataSet) -> None:
    with pytest.raises(ValueError, match=r"has no 'rain' \(it has: gaussian_noise"):
        corrupted_cells(SMALL, source, cifar, ("rain",))


def test_cifar_100_c_goes_with_cifar100_only(
    source: Source, cifar: DataSet, photos: Array
) -> None:
    with pytest.raises(ValueError, match="goes with cifar100"):
        OOD_SETS.get("cifar100-c")(source, cifar, CPU)
    with pytest.raises(DataError, match="CIFAR-100-C is missing"):
        OOD_SETS.get("cifar100-c")(source, data_set("cifar100", photos), CPU)
