"""The set `corrupted`: our own corruption suite applied to a run's test images."""

import hashlib

import numpy as np
import torch

from harness.datasets.base import Array, DataSet, Source, Split
from harness.datasets.cache import cached
from harness.ood.base import OodCell
from harness.ood.suite import SUITE, SUITE_VERSION, corrupt, kept
from harness.registry import OOD_SETS

CACHED_BYTES = 4 << 20
"""Cells this large are kept on disk: 10,000 CIFAR images (31 MB) take 0.5 to 16 s to
corrupt and 0.05 s to read, 1000 digits (64 kB) take 0.004 s."""


@OOD_SETS.register("corrupted")
def corrupted(
    source: Source,
    dataset: DataSet,
    device: torch.device,
    *,
    corruptions: tuple[str, ...] = (),
    severities: tuple[int, ...] = (1, 2, 3, 4, 5),
    num_images: int | None = None,
) -> list[OodCell]:
    """Corrupt the test images of `dataset`, corruption by corruption.

    Args:
        source: Large cells are kept in its cache folder.
        dataset: Whose test part is corrupted; labels stay.
        device: Where images are corrupted.
        corruptions: Names from `suite.SUITE`; empty: all that `suite.kept` keeps for
            images of this shape.
        severities: Of 1 to 5.
        num_images: First so many of the test set; None: all.

    Returns:
        One cell for each corruption and severity, of the set "<data set>-corrupted";
        "-c" is left to the official files.

    Raises:
        ValueError: The data set has no square grey or colour images, or an argument
            is out of range.
    """
    shape = dataset.in_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise ValueError(
            f"corruptions need square images of 1 or 3 channels, but inputs of "
            f"{dataset.name} have shape {list(shape)}; leave the set 'corrupted' out"
        )
    names = kept(shape[0], shape[1])
    _check(names, corruptions, severities, num_images, dataset)
    test = dataset.test.take(np.arange(len(dataset.test))[:num_images])
    key = hashlib.sha256(np.ascontiguousarray(test.inputs).data).hexdigest()

    def cell(name: str, severity: int) -> OodCell:
        def make() -> dict[str, Array]:
            return {"inputs": corrupt(test.inputs, name, severity, device)}

        def load() -> Split:
            if test.inputs.nbytes < CACHED_BYTES:
                return Split(make()["inputs"], test.labels)
            identity = {"suite": SUITE_VERSION, "clean": key, "severity": severity}
            folder = f"{dataset.name}-c-{name}-{severity}"
            kept_copy = cached(
                source.cache_dir, folder, identity | {"name": name}, make
            )
            return Split(kept_copy["inputs"], test.labels)

        set_name = f"{dataset.name}-corrupted"
        return OodCell(set_name=set_name, corruption=name, severity=severity, load=load)

    return [
        cell(n, s) for n in names if n in (corruptions or names) for s in severities
    ]


def _check(
    names: tuple[str, ...],
    corruptions: tuple[str, ...],
    severities: tuple[int, ...],
    num_images: int | None,
    dataset: DataSet,
) -> None:
    """Raise ValueError on an argument of `corrupted` that is out of range."""
    for wrong in (name for name in corruptions if name not in names):
        reason = "makes no sense for" if wrong in SUITE else "is unknown, not one for"
        raise ValueError(
            f"corruption {wrong!r} {reason} images of shape "
            f"{list(dataset.in_shape)} (use: {', '.join(names)})"
        )
    if not severities or set(severities) - {1, 2, 3, 4, 5}:
        raise ValueError(f"severities are {severities}; use some of 1 to 5")
    if num_images is not None and not 1 <= num_images <= len(dataset.test):
        raise ValueError(
            f"num_images is {num_images}, but the test set has {len(dataset.test)}"
        )
