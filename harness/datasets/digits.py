"""scikit-learn's handwritten digits: the data set of the laptop profile.

1,797 images of 8 x 8 pixels that come with scikit-learn, so nothing is downloaded
(Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI, test part).
"""

from typing import Final

import numpy as np

from harness.datasets.base import Array, DataSet, Source, Split
from harness.datasets.cache import cached
from harness.datasets.decode import fingerprint
from harness.datasets.resample import area_resize
from harness.datasets.split import stratified_split, stratified_subset
from harness.errors import DataError
from harness.registry import DATASETS
from harness.seeds import derive

FINGERPRINT: Final = "cf910a12b3751802"
"""Expected `decode.fingerprint` of the decoded arrays."""
RESOLUTIONS: Final = (4, 6, 8)
SPLIT_SEED: Final = derive(0, "parts of the digits")
SUBSET_SEED: Final = derive(0, "subset of a training part")


@DATASETS.register("digits")
def digits(
    source: Source,
    *,
    train_size: int = 512,
    validation_size: int = 256,
    subset: int | None = None,
    resolution: int = 8,
) -> DataSet:
    """Load the digits, cut into fixed stratified parts.

    Args:
        source: Where the decoded copy is kept (importing scikit-learn takes seconds).
        train_size: Number of training images.
        validation_size: Number of validation images; the rest is the test part.
        subset: Number of training images used, nested and stratified; changes neither
            of the other parts. None: all.
        resolution: 8, or 6 or 4 by exact area averages of the uint8 images.

    Returns:
        uint8 images `[num_examples, 1, resolution, resolution]` of 10 classes.

    Raises:
        ValueError: A size or the resolution is out of range.
    """
    if resolution not in RESOLUTIONS:
        raise ValueError(f"resolution is {resolution!r}, expected one of {RESOLUTIONS}")
    arrays = cached(source.cache_dir, "digits", {"set": "digits"}, decode_digits)
    whole = Split(area_resize(arrays["inputs"], resolution), arrays["labels"])
    parts = stratified_split(whole.labels, [train_size, validation_size], SPLIT_SEED)
    train, validation, test = (whole.take(part) for part in parts)
    if subset is not None:
        train = train.take(stratified_subset(train.labels, subset, SUBSET_SEED))
    return DataSet("digits", train, validation, test, num_classes=10)


def decode_digits() -> dict[str, Array]:
    """Read the digits from scikit-learn as uint8.

    A stored value v counts the set pixels of a 4 x 4 block, 0 to 16, and becomes
    255 v / 16 rounded half up: (255 v + 8) // 16.

    Returns:
        `inputs`, uint8 `[1797, 1, 8, 8]`, and `labels`, int64 `[1797]`.

    Raises:
        DataError: This scikit-learn holds other images.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    counts = np.asarray(bunch.images).astype(np.int64)
    arrays: dict[str, Array] = {
        "inputs": ((255 * counts + 8) // 16).astype(np.uint8)[:, np.newaxis],
        "labels": np.asarray(bunch.target).astype(np.int64),
    }
    if (found := fingerprint(arrays)) != FINGERPRINT:
        raise DataError(
            f"scikit-learn's digits have fingerprint {found}, expected {FINGERPRINT}: "
            "install a release of scikit-learn from 1.5 on"
        )
    return arrays
