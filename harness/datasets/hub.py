"""Image sets of the Hugging Face Hub: one table row each, and where their files are.

Files come from a local mirror if it holds the set, else from the Hub at the pinned
commit through `huggingface_hub`, which obeys HF_HOME, HF_TOKEN, HF_ENDPOINT and
HF_HUB_OFFLINE. The commits were not fetched by the authors of this table but taken from
public code that pins them; a wrong one fails loudly, and a decoded set that is not the
pinned one is refused where `fingerprint` is known.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from harness.datasets.base import Source
from harness.datasets.source import DATA_DIR_VARIABLE
from harness.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSet:
    """Everything that is particular to one image set."""

    name: str
    """Registered name."""
    repo: str | None
    """Hub data set repository, or None for a set that only a local mirror has."""
    revision: str | None
    """Pinned commit of the repository."""
    folder: str
    """Folder of the Parquet files within the repository."""
    train: str = "train"
    """Name of the split that is trained on; starts its file names."""
    test: str = "test"
    """Name of the split that serves as the test set."""
    image_column: str = "image"
    """Column of encoded images, a struct with a field `bytes`."""
    label_column: str = "label"
    """Column of integer classes."""
    image_format: str = "PNG"
    """Encoding of the images; keeps a lossy copy from passing for the original."""
    num_classes: int
    """Labels are 0 to `num_classes` - 1."""
    shape: tuple[int, int, int]
    """Channels, height and width of every image."""
    train_rows: int
    """Examples of the training split."""
    test_rows: int
    """Examples of the test split."""
    validation_size: int = 5000
    """Default number of training examples kept for validation."""
    fingerprint: str | None = None
    """Expected `decode.fingerprint` of the arrays, or None: not known, and only
    recorded with every run (JPEG decoders differ in the last bit)."""


class Files(NamedTuple):
    """Parquet files of one set, in order."""

    origin: str
    """Where they come from, in words."""
    train: list[Path]
    """Files of the training split."""
    test: list[Path]
    """Files of the test split."""


MNIST: Final = HubSet(
    name="mnist",
    repo="ylecun/mnist",
    revision="77f3279092a1c1579b2250db8eafed0ad422088c",
    folder="mnist",
    num_classes=10,
    shape=(1, 28, 28),
    train_rows=60_000,
    test_rows=10_000,
    fingerprint="be0aad64991344e5",
)
FASHION_MNIST: Final = HubSet(
    name="fashion-mnist",
    repo="zalando-datasets/fashion_mnist",
    revision="531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
    folder="fashion_mnist",
    num_classes=10,
    shape=(1, 28, 28),
    train_rows=60_000,
    test_rows=10_000,
)
CIFAR10: Final = HubSet(
    name="cifar10",
    repo="uoft-cs/cifar10",
    revision="0b2714987fa478483af9968de7c934580d0bb9a2",
    folder="plain_text",
    image_column="img",
    num_classes=10,
    shape=(3, 32, 32),
    train_rows=50_000,
    test_rows=10_000,
)
CIFAR10_JPEG: Final = HubSet(
    name="cifar10-jpeg",
    repo=None,
    revision=None,
    folder="plain_text",
    image_column="img",
    image_format="JPEG",
    num_classes=10,
    shape=(3, 32, 32),
    train_rows=50_000,
    test_rows=10_000,
)
CIFAR100: Final = HubSet(
    name="cifar100",
    repo="uoft-cs/cifar100",
    revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
    folder="cifar100",
    image_column="img",
    label_column="fine_label",
    num_classes=100,
    shape=(3, 32, 32),
    train_rows=50_000,
    test_rows=10_000,
)
TINY_IMAGENET: Final = HubSet(
    name="tiny-imagenet",
    repo="zh-plus/tiny-imagenet",
    revision="5a77092c28e51558c5586e9c5eb71a7e17a5e43f",
    folder="data",
    test="valid",
    image_format="JPEG",
    num_classes=200,
    shape=(3, 64, 64),
    train_rows=100_000,
    test_rows=10_000,
    validation_size=10_000,
)
HUB_SETS: Final = (MNIST, FASHION_MNIST, CIFAR10, CIFAR10_JPEG, CIFAR100, TINY_IMAGENET)


def mirror_files(hub_set: HubSet, source: Source) -> Files | None:
    """Return the set's files in the local mirror, or None where it has no such folder.

    Raises:
        DataError: The folder is there but incomplete.
    """
    for folder in _mirror_folders(hub_set, source):
        if folder.is_dir():
            return _collect(hub_set, folder, "local mirror")
    return None


def hub_files(hub_set: HubSet, source: Source) -> Files:
    """Fetch the set from the Hub into the Hub client's own cache.

    Raises:
        DataError: The Hub has no such set or cannot be reached; tells what to do.
    """
    looked = " and ".join(map(str, _mirror_folders(hub_set, source))) or "none is named"
    mend = (
        f"{hub_set.name} is in no local mirror ({looked}): name a folder that holds "
        f"{hub_set.name}/{' and '.join(_patterns(hub_set))} with --data-dir or "
        f"{DATA_DIR_VARIABLE}"
    )
    if hub_set.repo is None:
        raise DataError(f"{mend}; the set is not on the Hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP library below the client changed between its versions; its base error is
    # a base of the client's.
    failures: tuple[type[BaseException], ...] = (OSError, *HfHubHTTPError.__bases__)
    try:
        folder = snapshot_download(
            hub_set.repo,
            repo_type="dataset",
            revision=hub_set.revision,
            allow_patterns=_patterns(hub_set),
            local_files_only=not source.fetch,
        )
    except failures as error:
        raise DataError(
            f"{mend}, or mend the way to the Hub: {hub_set.repo} at {hub_set.revision} "
            f"could not be fetched ({type(error).__name__}: {error})"
        ) from error
    return _collect(hub_set, Path(folder), f"Hub at {hub_set.revision}")


def _mirror_folders(hub_set: HubSet, source: Source) -> list[Path]:
    """Return the folders in which a local mirror may hold the set."""
    if source.data_dir is None:
        return []
    names = [hub_set.name] if hub_set.repo is None else [hub_set.name, hub_set.repo]
    return [source.data_dir / name for name in names]


def _patterns(hub_set: HubSet) -> list[str]:
    return [f"{hub_set.folder}/{s}-*.parquet" for s in (hub_set.train, hub_set.test)]


def _collect(hub_set: HubSet, folder: Path, origin: str) -> Files:
    found = [sorted(folder.glob(pattern)) for pattern in _patterns(hub_set)]
    for pattern, files in zip(_patterns(hub_set), found, strict=True):
        if not files:
            raise DataError(
                f"{hub_set.name}: no file matches {pattern} in {folder} ({origin}); "
                "complete or remove that folder"
            )
    return Files(origin, *found)
