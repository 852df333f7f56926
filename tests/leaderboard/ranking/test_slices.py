"""Slices and negative controls, by hand."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from leaderboard.ranking.controls import negative_controls, told
from leaderboard.ranking.joint import Draws
from leaderboard.ranking.slices import levels, slices
from tasks.checked import checked


def given(found, **tables):
    said = checked(
        found.task, found.answers, {found.task.reference: found.reference} | tables
    )
    return {n: one.filled(said[found.task.reference]) for n, one in said.items()}


def draws_of(found):
    families = tuple(sorted(set(found.answers.families)))
    return Draws(families=families, resamples=100, seed=0)


def test_a_slice_has_the_skill_of_its_runs_alone(truths):
    found = truths["final-acc/w20"]
    half = found.reference.with_columns(prediction=pl.lit(0.4, pl.Float32))
    drawn = draws_of(found)
    seen = list(slices(found, given(found, half=half), drawn))
    runs = found.answers.runs.join(
        found.reference.select("id", "prediction"), on="id"
    ).sort("id")
    for one in seen:
        mine = runs.filter(pl.col(one.by).cast(pl.String) == one.level)
        assert (one.n, one.families) == (len(mine), mine["family_id"].n_unique())
        value = mine["value"].to_numpy()
        reference = np.abs(mine["prediction"].cast(pl.Float64).to_numpy() - value)
        error = np.abs(float(np.float32(0.4)) - value)
        skill = one.errors.skill()
        at = one.errors.names.index("half")
        expected = 1 - error.mean() / reference.mean()
        assert skill.value[at] == pytest.approx(expected)
        assert np.isfinite(skill.low[at]) == (one.families > 1)
    counts = {by: sum(s.n for s in seen if s.by == by) for by in {s.by for s in seen}}
    assert counts == dict.fromkeys(
        ("optimizer.name", "schedule.name", "batch_size", "status"), len(runs)
    )


@pytest.mark.parametrize("name", ["curve/w20", "rank/pairs/w20", "ckpt-prune/w20"])
def test_every_kind_of_metric_has_slices(truths, name):
    found = truths[name]
    seen = list(slices(found, given(found), draws_of(found)))
    assert {one.by for one in seen} >= {"optimizer.name", "batch_size"}
    for one in seen:
        assert one.errors.names == (found.task.reference,)
        something_to_gain = one.errors.value[0] > 0
        assert np.isfinite(one.errors.skill().value[0]) == something_to_gain
    assert any(one.errors.value[0] > 0 for one in seen)


def test_a_column_of_one_level_divides_nothing_and_twelve_are_enough(truths):
    answers = truths["final-acc/w20"].answers
    many = answers.runs.with_columns(batch_size=pl.int_range(pl.len()), same=pl.lit(1))
    wide = dataclasses.replace(answers, runs=many)
    assert levels(wide, "batch_size") == list(range(12))
    assert levels(wide, "same") == []
    assert levels(wide, "no such column") == []


def test_a_control_is_the_median_of_its_level_in_other_folds(truths):
    answers = truths["final-acc/w20"].answers
    said = told(answers, "optimizer.name", probability=False)
    rows = answers.runs.select("optimizer.name", "fold", "value").rows()
    for mine, (name, fold, _) in zip(said, rows, strict=True):
        others = [v for n, f, v in rows if n == name and f != fold]
        assert mine == pytest.approx(np.median(others))
    mean = told(answers, "optimizer.name", probability=True)
    others = [v for n, f, v in rows if n == rows[0][0] and f != rows[0][1]]
    assert mean[0] == pytest.approx(np.mean(others))


def test_where_there_is_one_fold_a_control_knows_the_other_families(truths):
    answers = truths["shift/opt=lion"].answers
    assert answers.runs["fold"].n_unique() == 1
    said = told(answers, "schedule.name", probability=False)
    rows = answers.runs.select("schedule.name", "family_id", "value").rows()
    for mine, (name, family, _) in zip(said, rows, strict=True):
        others = [v for n, f, v in rows if n == name and f != family]
        assert mine == pytest.approx(np.median(others))


def test_a_level_that_no_other_fold_has_falls_back_on_all_levels(truths):
    answers = truths["final-acc/w20"].answers
    alone = (
        pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.lit("only"))
        .otherwise(pl.lit("by"))
    )
    odd = dataclasses.replace(answers, runs=answers.runs.with_columns(by=alone))
    rows = odd.runs.select("fold", "value").rows()
    others = [v for f, v in rows if f != rows[0][0]]
    assert told(odd, "by", probability=False)[0] == pytest.approx(np.median(others))


def test_curves_have_no_control_and_a_task_of_one_optimizer_no_such(truths):
    assert negative_controls(truths["curve/w20"]) == {}
    assert set(negative_controls(truths["shift/opt=lion"])) == {
        "[schedule.name alone]",
        "[batch_size alone]",
    }
    assert len(negative_controls(truths["final-acc/w20"])) == 4
