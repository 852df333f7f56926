"""Stratified splits and subsets: fixed by labels and a seed, the same for every run.

Every data set cuts its parts here, so that no library's version can move an image from
one part to another.
"""

from collections.abc import Sequence

import numpy as np

from harness.datasets.base import Array
from harness.seeds import stream


def stratified_split(labels: Array, sizes: Sequence[int], seed: int) -> list[Array]:
    """Cut indices into parts of the given sizes, and the rest, class by class.

    Every class count of every part, the rest included, is within 1 of proportional:
    the table of proportional counts is rounded down, and the missing ones are placed
    as a 0/1 matrix with the right margins (Gale 1957, "A theorem on flows in
    networks", section 3; one exists because the fractional parts are such a matrix
    with entries between 0 and 1). Which examples of a class go where is random.

    Args:
        labels: Class of every example, integers `[num_examples]`.
        sizes: Number of examples of each part but the last.
        seed: Names the random order within the classes.

    Returns:
        One increasing int64 index array for each size and one for the rest.

    Raises:
        ValueError: A part, or the rest, would have no example.

    Example:
        >>> [part.size for part in stratified_split(np.zeros(5, int), [2, 1], 0)]
        [2, 1, 2]
    """
    rest = len(labels) - sum(sizes)
    if any(not isinstance(size, int) or size < 1 for size in (*sizes, rest)):
        raise ValueError(
            f"parts of {list(sizes)} examples cannot be cut from {len(labels)}; "
            "expected positive integers with a sum below that"
        )
    classes, class_sizes = np.unique(labels, return_counts=True)
    counts = _rounded_shares(class_sizes, np.array([*sizes, rest]))
    parts: list[list[Array]] = [[] for _ in counts.T]
    for label, row in zip(classes, counts, strict=True):
        members = np.flatnonzero(labels == label)
        members = stream(seed, "stratified_split", int(label)).permutation(members)
        for part, piece in zip(
            parts, np.split(members, np.cumsum(row)[:-1]), strict=True
        ):
            part.append(piece)
    return [np.sort(np.concatenate(part)) for part in parts]


def stratified_subset(labels: Array, size: int, seed: int) -> Array:
    """Return a stratified subset that lies within every larger one of the same seed.

    It is the start of one fixed order, in which the k-th example of a class of n
    stands at (k - 1/2) / n of the way (the divisor method of Webster): for equally
    large classes every start holds each class in proportion, within 1.

    Args:
        labels: Class of every example, integers `[num_examples]`.
        size: Number of examples, from 1 to `num_examples`.
        seed: Names the order.

    Returns:
        Increasing int64 indices `[size]`; for all examples, every index in order.

    Raises:
        ValueError: The size is out of range.
    """
    if not isinstance(size, int) or not 1 <= size <= len(labels):
        raise ValueError(
            f"a subset of {size!r} examples cannot be taken; expected an integer from "
            f"1 to {len(labels)}"
        )
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = stream(seed, "stratified_subset", int(label)).permutation(members)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    ties = stream(seed, "stratified_subset ties").random(len(labels))
    return np.sort(np.lexsort((ties, position))[:size])


def _rounded_shares(rows: Array, columns: Array) -> Array:
    """Round rows x columns / total to integers that keep both margins."""
    counts: Array = np.outer(rows, columns) // rows.sum()
    missing = columns - counts.sum(axis=0)
    for row in range(len(rows)):
        places = np.argsort(-missing, kind="stable")[: rows[row] - counts[row].sum()]
        counts[row, places] += 1
        missing[places] -= 1
    assert not missing.any(), "the margins must hold"
    return counts
