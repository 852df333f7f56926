"""Divisions of a corpus's runs."""

import polars as pl
import pytest

from tasks.splits import SPLITS, Division, grouped, held_out_level


def table(families: int = 1000, seeds: int = 3) -> pl.DataFrame:
    rows = [
        (f"r-{f:04d}-{s}", f"f-{f:04d}", ("sgd", "adamw", "lion")[f % 3])
        for f in range(families)
        for s in range(seeds)
    ]
    return pl.DataFrame(
        rows, schema=["run_id", "family_id", "optimizer.name"], orient="row"
    )


def families(division: Division) -> list[set[str]]:
    return [{run_id[:6] for run_id in part} for part in division]


def test_families_stay_whole_and_every_run_is_in_one_part():
    runs = table()
    division = grouped(runs)
    train, validation, test = families(division)
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert sorted(sum(division, ())) == sorted(runs["run_id"])
    assert all(
        len(part) == 3 * len(f)
        for part, f in zip(division, families(division), strict=True)
    )


def test_the_shares_are_those_of_the_families():
    counts = [len(part) for part in families(grouped(table(4000)))]
    # binomial: sd of a share of .6 among 4000 is .008
    assert counts[0] / 4000 == pytest.approx(0.6, abs=0.03)
    assert counts[1] / 4000 == pytest.approx(0.2, abs=0.025)


def test_a_larger_corpus_and_another_order_leave_every_family_in_its_part():
    small, large = (
        grouped(table(100)),
        grouped(table(500).sample(fraction=1, seed=0, shuffle=True)),
    )
    for few, many in zip(small, large, strict=True):
        assert set(few) <= set(many)


def test_another_salt_is_another_division():
    assert grouped(table()) != grouped(table(), salt="2")


def test_a_held_out_level_is_tested_alone():
    division = held_out_level(table(), column="optimizer.name", level="lion")
    runs = dict(table().select("run_id", "optimizer.name").rows())
    assert {runs[r] for r in division.test} == {"lion"}
    assert {runs[r] for r in division.train} == {"sgd", "adamw"}
    assert not families(division)[0] & families(division)[1]
    assert len(division.validation) / (2 * len(division.test)) == pytest.approx(
        0.2, abs=0.05
    )


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="no column 'width'"):
        held_out_level(table(), column="width", level=1)
    with pytest.raises(ValueError, match="nothing to test on"):
        held_out_level(table(), column="optimizer.name", level="adam")
    with pytest.raises(ValueError, match="leave some for the test"):
        grouped(table(), train=0.8, validation=0.2)


def test_splits_are_registered_by_name():
    assert SPLITS.names() == ["grouped", "held_out_level"]
