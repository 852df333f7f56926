"""Divisions of a corpus's runs."""

import hashlib

import polars as pl
import pytest

from tasks.splits import (
    SPLITS,
    Division,
    grouped,
    grouped_folds,
    held_out_level,
    held_out_top,
    lowest,
)


def table(families: int = 1000, seeds: int = 3) -> pl.DataFrame:
    rows = [
        (
            f"r-{f:04d}-{s}",
            f"f-{f:04d}",
            ("sgd", "adamw", "lion")[f % 3],
            (64, 128)[f // 3 % 2],
            (0.1, 0.3, 1.0)[f // 6 % 3] * (f % 3 + 1),
            1 / (f + 1) + 0.001 * s,
        )
        for f in range(families)
        for s in range(seeds)
    ]
    names = [
        "run_id",
        "family_id",
        "optimizer.name",
        "batch_size",
        "optimizer.lr",
        "final.train_loss",
    ]
    return pl.DataFrame(rows, schema=names, orient="row")


def families(division: Division) -> list[set[str]]:
    return [{run_id[:6] for run_id in part} for part in division]


ARGUMENTS = {
    "grouped": {},
    "grouped_folds": {"folds": 4},
    "held_out_level": {"column": "optimizer.name", "level": "lion"},
    "held_out_top": {"column": "optimizer.lr", "within": ("optimizer.name",)},
    "lowest": {},
}


@pytest.mark.parametrize("name", SPLITS.names())
def test_families_stay_whole_and_no_run_is_tested_twice(name):
    runs = table(30)
    divisions = SPLITS.get(name)(runs, **ARGUMENTS[name])
    shuffled = runs.sample(fraction=1, shuffle=True, seed=0)
    assert divisions == SPLITS.get(name)(shuffled, **ARGUMENTS[name])
    tested = [run for division in divisions for run in division.test]
    assert len(tested) == len(set(tested)) > 0
    for division in divisions:
        train, validation, test = families(division)
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert division.train
        assert len(sum(division, ())) == 3 * len(train | validation | test)


def test_the_shares_are_those_of_the_families():
    counts = [len(part) for part in families(grouped(table(4000))[0])]
    # binomial: sd of a share of .6 among 4000 is .008
    assert counts[0] / 4000 == pytest.approx(0.6, abs=0.03)
    assert counts[1] / 4000 == pytest.approx(0.2, abs=0.025)


def test_a_larger_corpus_and_another_order_leave_every_family_in_its_part():
    (small,) = grouped(table(100))
    (large,) = grouped(table(500).sample(fraction=1, seed=0, shuffle=True))
    for few, many in zip(small, large, strict=True):
        assert set(few) <= set(many)


def test_another_salt_is_another_division():
    assert grouped(table()) != grouped(table(), salt="2")
    assert grouped_folds(table()) != grouped_folds(table(), salt="2")


def test_folds_are_dealt_in_the_order_of_the_hash_and_differ_by_one_family():
    runs = table(24)
    ranked = sorted(
        runs["family_id"].unique(),
        key=lambda name: hashlib.sha256(f"1/{name}".encode()).hexdigest()[:16],
    )
    divisions = grouped_folds(runs)
    assert [len(families(d)[2]) for d in divisions] == [5, 5, 5, 5, 4]
    for fold, division in enumerate(divisions):
        tested = {name.replace("f-", "r-") for name in ranked[fold::5]}
        assert families(division)[2] == tested
        assert not division.validation
        assert len(division.train) + len(division.test) == 72
    assert len({run for d in divisions for run in d.test}) == 72


def test_a_held_out_level_is_tested_alone():
    (division,) = held_out_level(table(60), column="optimizer.name", level="lion")
    runs = dict(table(60).select("run_id", "optimizer.name").rows())
    assert {runs[r] for r in division.test} == {"lion"}
    assert {runs[r] for r in division.train} == {"sgd", "adamw"}
    assert len(division.test) + len(division.train) == len(runs)


def test_the_level_max_is_the_largest_number_and_levels_have_a_type():
    runs = table(60)
    assert held_out_level(runs, column="batch_size", level="max") == held_out_level(
        runs, column="batch_size", level=128.0
    )
    text = runs.with_columns(pl.col("batch_size").cast(pl.String))
    assert held_out_level(text, column="batch_size", level=128) == held_out_level(
        runs, column="batch_size", level="128"
    )
    flags = runs.with_columns(flag=pl.col("batch_size") == 128)
    assert held_out_level(flags, column="flag", level=True) == held_out_level(
        runs, column="batch_size", level=128
    )


def test_a_family_with_a_held_out_run_is_not_trained_on():
    # Possible in imported corpora, where families are given.
    runs = pl.DataFrame(
        {"run_id": ["a", "b", "c"], "family_id": ["f", "f", "g"], "depth": [2, 1, 1]}
    )
    (division,) = held_out_level(runs, column="depth", level=2)
    assert division == Division(("c",), (), ("a",))


def test_the_largest_of_a_column_is_held_out_in_each_group():
    within = ("optimizer.name", "batch_size")
    (division,) = held_out_top(table(90), column="optimizer.lr", within=within)
    rows = {row["run_id"]: row for row in table(90).to_dicts()}
    for run_id, row in rows.items():
        alike = [r for r in rows.values() if all(r[c] == row[c] for c in within)]
        is_top = row["optimizer.lr"] == max(r["optimizer.lr"] for r in alike)
        assert (run_id in division.test) == is_top
        assert (run_id in division.train) == (not is_top)


def test_a_group_with_one_value_is_trained_on():
    runs = pl.DataFrame(
        {
            "run_id": list("abcd"),
            "family_id": list("abcd"),
            "lr": [0.1, 0.2, 0.7, None],
            "kind": ["x", "x", "y", "y"],
        }
    )
    (division,) = held_out_top(runs, column="lr", within=("kind",))
    assert division == Division(("a", "c", "d"), (), ("b",))
    (division,) = held_out_top(runs, column="lr")
    assert division.test == ("c",)


def test_the_lowest_families_are_tested():
    (division,) = lowest(table(10))  # family f ends at 1 / (f + 1)
    assert families(division)[2] == {"r-0008", "r-0009"}
    assert len(families(division)[0]) == 8
    gone = table(10).with_columns(
        pl.when(pl.col("family_id") != "f-0009").then("final.train_loss").name.keep()
    )
    (division,) = lowest(gone, share=0.01)
    assert families(division)[2] == {"r-0008"}
    assert "r-0009" not in families(division)[0]


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="no column 'width'"):
        held_out_level(table(9), column="width", level=1)
    with pytest.raises(ValueError, match=r"0 of 27 runs have .*nothing to test on"):
        held_out_level(table(9), column="optimizer.name", level="adam")
    with pytest.raises(ValueError, match="nothing to train on"):
        held_out_level(table(3), column="batch_size", level="max")
    with pytest.raises(ValueError, match="leave some for the test"):
        grouped(table(9), train=0.8, validation=0.2)
    with pytest.raises(ValueError, match="4 families of runs cannot be dealt to 5"):
        grouped_folds(table(4))
    with pytest.raises(ValueError, match="cannot be dealt to 1 folds"):
        grouped_folds(table(4), folds=1)
    with pytest.raises(ValueError, match="no column 'width'"):
        held_out_top(table(9), column="optimizer.lr", within=("width",))
    with pytest.raises(ValueError, match="holds no numbers"):
        held_out_top(table(9), column="optimizer.name")
    with pytest.raises(ValueError, match="nothing to test on"):
        held_out_top(table(3), column="batch_size")
    with pytest.raises(ValueError, match="1 families have a "):
        lowest(table(1))


def test_splits_are_registered_by_name():
    assert SPLITS.names() == sorted(ARGUMENTS)
