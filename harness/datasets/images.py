"""The image sets of the Hub as data sets: mnist, cifar10, cifar100 and others.

Decoded arrays come from the cache; validation part, subset and resolution are derived
on load, the same for every run that names the same arguments.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.datasets.base import Array, DataSet, Source, Split
from harness.datasets.cache import cached
from harness.datasets.decode import decode
from harness.datasets.hub import HUB_SETS, HubSet, hub_files, mirror_files
from harness.datasets.resample import area_resize, trim
from harness.datasets.split import stratified_split, stratified_subset
from harness.registry import DATASETS
from harness.seeds import derive

VALIDATION_SEED = derive(0, "validation part of an image set")
SUBSET_SEED = derive(0, "subset of a training part")
TEST_SEED = derive(0, "subset of a test part")


def load_arrays(hub_set: HubSet, source: Source) -> dict[str, Array]:
    """Return the complete decoded set, see `decode.decode`, from cache, mirror or Hub.

    The cache knows a mirror by path, size and time of its files, and the Hub by the
    pinned commit; with a Hub entry in the cache no network is needed.

    Raises:
        DataError: The set is nowhere, or not as described.
    """
    mirror = mirror_files(hub_set, source)
    identity: dict[str, Any] = {"set": dataclasses.asdict(hub_set)}
    if mirror is not None:
        identity["files"] = [_stamp(path) for path in (*mirror.train, *mirror.test)]
    return cached(
        source.cache_dir,
        hub_set.name,
        identity,
        lambda: decode(hub_set, mirror or hub_files(hub_set, source)),
    )


def load_images(
    hub_set: HubSet,
    source: Source,
    *,
    subset: int | None = None,
    validation_size: int | None = None,
    test_size: int | None = None,
    resolution: int | None = None,
    margin: int = 0,
) -> DataSet:
    """Load an image set and cut it.

    Args:
        hub_set: Which set.
        source: Where data come from.
        subset: Number of training examples: a stratified subset of the training part
            that holds every smaller one, the same for every run. None: all.
        validation_size: Examples carved out of the training split, stratified, before
            the subset is taken; so the subset never moves it. None: the set's default.
        test_size: Number of test examples, a stratified subset. None: all.
        resolution: Height and width after exact area down-sampling. None: as stored.
        margin: Pixels trimmed on each side before that; 4 leaves MNIST's 20 x 20 pixel
            digits, which at 8 pixels look like scikit-learn's (4 x 4 blocks of a
            size-normalised 32 x 32 digit).

    Returns:
        uint8 images `[num_examples, channels, height, width]` in three parts.

    Raises:
        DataError: The set is nowhere, or not as described.
        ValueError: A size, the resolution or the margin is out of range.
    """
    if validation_size is None:
        validation_size = hub_set.validation_size
    arrays = load_arrays(hub_set, source)
    whole = Split(arrays["train_inputs"], arrays["train_labels"])
    test = Split(arrays["test_inputs"], arrays["test_labels"])
    kept, rest = stratified_split(whole.labels, [validation_size], VALIDATION_SEED)
    if subset is not None:
        rest = rest[stratified_subset(whole.labels[rest], subset, SUBSET_SEED)]
    if test_size is not None:
        test = test.take(stratified_subset(test.labels, test_size, TEST_SEED))

    def resample(part: Split) -> Split:
        inputs = trim(part.inputs, margin)
        side = inputs.shape[-1] if resolution is None else resolution
        return Split(area_resize(inputs, side), part.labels)

    return DataSet(
        name=hub_set.name,
        train=resample(whole.take(rest)),
        validation=resample(whole.take(kept)),
        test=resample(test),
        num_classes=hub_set.num_classes,
    )


def _stamp(path: Path) -> list[str | int]:
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def _register(hub_set: HubSet) -> Callable[..., DataSet]:
    """File the factory of one set; its docstring names the set."""

    def factory(
        source: Source,
        *,
        subset: int | None = None,
        validation_size: int = hub_set.validation_size,
        test_size: int | None = None,
        resolution: int | None = None,
        margin: int = 0,
    ) -> DataSet:
        return load_images(
            hub_set,
            source,
            subset=subset,
            validation_size=validation_size,
            test_size=test_size,
            resolution=resolution,
            margin=margin,
        )

    factory.__name__ = hub_set.name.replace("-", "_")
    factory.__doc__ = f"Load {hub_set.name}; for the arguments see `load_images`."
    return DATASETS.register(hub_set.name)(factory)


for _hub_set in HUB_SETS:
    _register(_hub_set)
