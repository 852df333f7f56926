"""Whole groups of families are hidden, by the key alone."""

import polars as pl
import pytest

from harness.errors import DataError
from tasks.base import TASKS
from tasks.blind.dealing import deal
from tasks.blind.windows import windows_of
from tests.tasks.blind.making import KEY

ASKED = ("curve/w20", "final-acc/w04", "final-acc/w20")
WINDOWS = windows_of([TASKS.get(name)() for name in ASKED])


def test_a_family_is_in_one_window_and_windows_are_alike_in_size(whole):
    link = deal(whole, WINDOWS, key=KEY, hide=0.7)
    families = link.group_by("family_id").agg(pl.col("window").n_unique(), pl.len())
    assert (families["window"] == 1).all()
    sizes = link.unique("family_id")["window"].value_counts()["count"]
    assert (sizes.sum(), sizes.min(), sizes.max()) == (17, 5, 6)
    assert link["id"].is_sorted()
    assert link["id"].str.contains(r"^x-[0-9a-f]{20}$").all()


def test_failed_runs_are_not_among_them(whole):
    link = deal(whole, WINDOWS, key=KEY, hide=None)
    runs = whole.runs().filter(pl.col("status") != "failed")
    assert set(link["run_id"]) == set(runs["run_id"])
    assert len(runs) < len(whole.runs())


def test_another_key_hides_others_under_other_names(whole):
    one, two = (deal(whole, WINDOWS, key=key, hide=0.7) for key in (KEY, KEY[::-1]))
    assert not set(one["id"]) & set(two["id"])
    assert set(one["family_id"]) != set(two["family_id"])
    assert one.equals(deal(whole, WINDOWS, key=KEY, hide=0.7))


def test_few_families_a_window_are_refused_with_what_would_do(whole):
    match = r"12 hidden families of 24 \(a share of 0.5\).*gets 4, expected 5 or more"
    with pytest.raises(ValueError, match=match):
        deal(whole, WINDOWS, key=KEY, hide=0.5)


def test_families_that_begin_alike_cannot_be_hidden_apart(everything):
    # of each optimizer all runs of a seed have one curve
    with pytest.raises(DataError, match=r"begin alike in 3 groups"):
        deal(everything, WINDOWS, key=KEY, hide=0.8)
