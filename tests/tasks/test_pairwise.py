import dataclasses

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from harness.spec import Part
from tasks.answering import answer
from tasks.base import TASKS
from tasks.pairwise import pairwise
from tasks.prediction import Charge
from tasks.question import ask
from tasks.sealed import Entry, judge, sealed
from tasks.statistics.bootstrap import family_draws

RESAMPLES = 200
PREDICTORS = ("sotl_e", "hyper_ridge", "zero")


@pytest.fixture(scope="module")
def judged(corpus):
    question, answers = ask(corpus, TASKS.get("final-acc/w20")())
    found = sealed(corpus, question, answers, answer(question, Part("median")))
    entries = {
        name: Entry(table=answer(question, Part(name)).table, charge=Charge(signals=()))
        for name in PREDICTORS
    }
    return found, entries


def test_a_difference_is_that_of_the_scores_and_declining_is_left_out(judged):
    found, entries = judged
    rows = pairwise(found, entries, resamples=RESAMPLES)
    pairs = {(row["first"], row["second"]) for row in rows.to_dicts()}
    assert pairs == {
        ("median", "hyper_ridge"),
        ("median", "sotl_e"),
        ("hyper_ridge", "sotl_e"),
    }
    main = judge(found, entries, resamples=RESAMPLES).filter("primary")
    value = dict(main.select("predictor", "value").rows())
    for row in rows.to_dicts():
        expected = value[row["first"]] - value[row["second"]]
        assert row["difference"] == pytest.approx(expected)


def test_what_was_asked_for_but_is_not_scored_changes_nothing(judged):
    found, entries = judged
    more = found.asked.with_columns(id=pl.col("id") + "-unscored")
    wider = dataclasses.replace(found, asked=pl.concat([found.asked, more]))

    def longer(table):
        return pl.concat([table, table.with_columns(id=pl.col("id") + "-unscored")])

    told = {
        name: dataclasses.replace(entry, table=longer(entry.table))
        for name, entry in entries.items()
    }
    wider = dataclasses.replace(wider, reference=longer(found.reference))
    rows = pairwise(wider, told, resamples=RESAMPLES)
    assert_frame_equal(rows, pairwise(found, entries, resamples=RESAMPLES))


def test_the_interval_is_that_of_paired_draws_by_hand(judged):
    found, entries = judged
    rows = pairwise(found, entries, resamples=RESAMPLES)
    row = rows.row(by_predicate=pl.col("first") == "hyper_ridge", named=True)
    truth = found.answers.values
    errors = [
        np.abs(entries[name].table.sort("id")["prediction"].to_numpy() - truth)
        for name in ("hyper_ridge", "sotl_e")
    ]
    families, index = np.unique(found.answers.families, return_inverse=True)
    sums = np.bincount(index, errors[0] - errors[1])
    sizes = np.bincount(index)
    drawn = family_draws(len(families), RESAMPLES)
    gaps = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    np.testing.assert_allclose(
        [row["low"], row["high"]], np.quantile(gaps, [0.025, 0.975]), rtol=1e-5
    )


def test_p_values_are_those_against_the_reference_and_adjusted_upwards(judged):
    found, entries = judged
    rows = pairwise(found, entries, resamples=RESAMPLES)
    main = judge(found, entries, resamples=RESAMPLES).filter("primary")
    told = dict(main.select("predictor", "p").rows())
    for row in rows.filter(pl.col("first") == "median").to_dicts():
        assert row["p"] == pytest.approx(told[row["second"]])
    assert (rows["p_holm"] >= rows["p"]).all()
