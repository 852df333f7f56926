import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.datasets import stratified_split, stratified_subset


@settings(max_examples=200, deadline=None)
@given(
    class_sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    weights=st.lists(st.integers(1, 50), min_size=2, max_size=4),
    seed=st.integers(0, 9),
)
def test_every_part_is_proportional_within_one(class_sizes, weights, seed):
    labels = np.repeat(np.arange(len(class_sizes)), class_sizes)
    total = len(labels)
    sizes = [w * total // sum(weights) for w in weights[:-1]]
    if min(sizes) < 1 or sum(sizes) >= total:
        return
    parts = stratified_split(labels, sizes, seed)
    assert [len(p) for p in parts] == [*sizes, total - sum(sizes)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(total))
    for part in parts:
        counts = np.bincount(labels[part], minlength=len(class_sizes))
        share = np.array(class_sizes) * len(part) / total
        assert np.abs(counts - share).max() <= 1
        assert np.all(np.diff(part) > 0)


def test_a_split_depends_on_its_seed_alone():
    labels = np.arange(100) % 10
    first, again, other = (
        stratified_split(labels, [30, 20], seed) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_pinned_split_does_not_move_between_releases():
    labels = np.arange(12) % 3
    parts = stratified_split(labels, [3, 3], 0)
    assert [p.tolist() for p in parts] == [[2, 4, 9], [1, 3, 11], [0, 5, 6, 7, 8, 10]]


@pytest.mark.parametrize("sizes", [[0], [10], [6, 5], [-1, 3], [2.0]])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="cannot be cut from 10"):
        stratified_split(np.arange(10) % 2, sizes, 0)


def test_subsets_are_nested_and_proportional():
    labels = np.arange(1000) % 10
    larger = stratified_subset(labels, 1000, 3)
    assert np.array_equal(larger, np.arange(1000))
    for size in range(999, 0, -7):
        smaller = stratified_subset(labels, size, 3)
        assert len(smaller) == size
        assert np.isin(smaller, larger).all()
        assert np.abs(np.bincount(labels[smaller], minlength=10) - size / 10).max() <= 1
        larger = smaller


def test_nested_subsets_of_unequal_classes_stay_near_their_shares():
    labels = np.repeat(np.arange(4), [700, 200, 90, 10])
    for size in (1, 10, 57, 123, 500, 999):
        counts = np.bincount(labels[stratified_subset(labels, size, 0)], minlength=4)
        assert np.abs(counts - size * np.array([0.7, 0.2, 0.09, 0.01])).max() < 2


@pytest.mark.parametrize("size", [0, 11, 2.5])
def test_impossible_subsets_are_refused(size):
    with pytest.raises(ValueError, match="integer from 1 to 10"):
        stratified_subset(np.arange(10), size, 0)
