"""Random streams by name."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.seeds import derive, stream


def test_a_derived_seed_is_the_documented_hash():
    digest = hashlib.sha256(b"7/order/3").digest()
    assert derive(7, "order", 3) == int.from_bytes(digest[:8], "little") // 2


@given(st.integers(-(2**70), 2**70), st.integers(0, 1000))
def test_any_integer_seed_gives_distinct_streams_by_purpose_and_epoch(seed, epoch):
    names = {derive(seed, p, e) for p in ("init", "order") for e in (epoch, epoch + 1)}
    assert len(names) == 4
    assert all(0 <= name < 2**63 for name in names)


def test_counters_are_not_run_together():
    assert derive(1, "x", 1, 23) != derive(1, "x", 12, 3)


def test_a_stream_does_not_depend_on_other_draws():
    first = stream(3, "augment", 5).random(4)
    stream(3, "order", 5).random(100)
    np.testing.assert_array_equal(first, stream(3, "augment", 5).random(4))


def test_streams_of_neighbouring_seeds_are_uncorrelated():
    one, other = (stream(seed, "augment", 0).random(20_000) for seed in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(20_000)
