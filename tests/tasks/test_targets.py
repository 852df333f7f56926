"""Targets, compared with the tables they come from."""

import math

import polars as pl
import pytest

from harness.errors import DataError
from tasks.targets import TARGETS, column, deviation, failed_to_learn, plateau

ACCURACY = "final.test_accuracy"


def test_a_column_is_that_of_the_runs_that_did_not_fail(corpus):
    runs = corpus.runs().filter(pl.col("status") != "failed")
    found = dict(column(corpus, name=ACCURACY).rows())
    assert found == dict(runs.select("run_id", ACCURACY).rows())
    assert len(found) == 17


def test_a_logarithm_leaves_out_what_has_none(corpus):
    runs = dict(corpus.runs().select("run_id", "final.test_loss").rows())
    found = dict(column(corpus, name="final.test_loss", log=True).rows())
    for run_id, value in found.items():
        loss = runs[run_id]  # null for the diverged run
        assert value == (None if loss is None else pytest.approx(math.log(loss)))
    assert None in found.values()


def test_divergence_is_a_failure_to_learn_and_so_is_a_low_accuracy(corpus):
    runs = corpus.runs().filter(pl.col("status") != "failed")
    found = dict(failed_to_learn(corpus, below=0.0).rows())
    diverged = set(runs.filter(pl.col("status") == "diverged")["run_id"])
    assert {run_id for run_id, bad in found.items() if bad} == diverged
    middle = runs[ACCURACY].median()
    low = dict(failed_to_learn(corpus, below=middle).rows())
    assert sum(low.values()) > len(low) / 3


def test_a_deviation_is_from_the_mean_of_the_other_seeds(corpus):
    runs = corpus.runs().filter(pl.col("status") != "failed").to_dicts()
    found = dict(deviation(corpus).rows())
    for run in runs:
        others = [
            other[ACCURACY]
            for other in runs
            if other["family_id"] == run["family_id"]
            and other["run_id"] != run["run_id"]
        ]
        expected = run[ACCURACY] - sum(others) / len(others)
        assert found[run["run_id"]] == pytest.approx(expected)


def test_a_corpus_without_what_is_asked_says_so(corpus):
    with pytest.raises(DataError, match=r"no values of 'ood\.cinic10_accuracy'"):
        column(corpus, name="ood.cinic10_accuracy")
    with pytest.raises(DataError, match="does not record 'lambda_1'"):
        plateau(corpus)
    with pytest.raises(DataError, match="nothing to tell apart"):
        failed_to_learn(corpus, below=2.0)


def test_a_curve_that_never_settles_has_no_plateau(corpus):
    found = plateau(corpus, signal="val_loss")
    assert found.columns == ["run_id", "value"]
    assert len(found) == 17


def test_targets_are_registered_by_name():
    assert TARGETS.names() == ["column", "deviation", "failed_to_learn", "plateau"]
