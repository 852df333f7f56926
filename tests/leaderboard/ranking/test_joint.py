"""Errors of a task over the draws of the whole board."""

import dataclasses

import numpy as np
import pytest

from leaderboard.ranking.joint import Draws, errors
from tasks.checked import checked
from tasks.evaluate import evaluate
from tasks.statistics.bootstrap import family_draws
from tests.tasks.asking import task
from tests.tasks.by_hand import IDENTITY, only, said, truths

RNG = np.random.default_rng(0)
FAMILIES = np.repeat([f"f{i:02}" for i in range(12)], 2)
TRUTH = RNG.uniform(0.2, 0.8, size=24)
MORE = (*sorted(set(FAMILIES)), "g1", "g2")


def filled(asked, answers, tables):
    found = checked(asked, answers, tables)
    return {name: one.filled(found["median"]) for name, one in found.items()}


def tables_of(answers):
    quantiles = np.sort(RNG.uniform(size=(24, 7)), axis=1)
    noisy = TRUTH + 0.1 * RNG.normal(size=24)
    return {
        "median": said(answers, 0.5, quantiles),
        "a": said(answers, noisy, quantiles / 2 + 0.2),
        "b": said(answers, 0.4 + 0.2 * TRUTH, quantiles**2),
        "twin": said(answers, noisy, quantiles / 2 + 0.2, ["why not"] * 24),
    }


@pytest.mark.parametrize("metric", ["mae", "r2", "crps", "coverage", "spearman"])
def test_one_less_the_ratio_of_errors_is_the_skill_of_evaluate(metric):
    answers = truths(TRUTH, FAMILIES)
    asked, tables = task(metrics=(metric,)), tables_of(answers)
    if metric == "spearman":
        tables["median"] = said(answers, TRUTH[::-1].copy())
    rows = evaluate(asked, answers, tables, **IDENTITY, resamples=80)
    own = Draws(families=MORE[:12], resamples=80, seed=0)
    found = errors(asked, answers, filled(asked, answers, tables), own)
    skill = found.skill()
    for at, name in enumerate(found.names):
        row = only(rows, name, metric)
        mine = [skill.value[at], skill.low[at], skill.high[at]]
        told = [row["skill"], row["skill_low"], row["skill_high"]]
        assert mine == pytest.approx(told, rel=1e-12, abs=1e-14)
        assert found.score[at] == pytest.approx(row["value"], rel=1e-14)


def test_an_optimum_that_varies_with_the_resample_is_taken_in_it(truths):
    from tasks.prediction import Charge
    from tasks.sealed import Entry, judge

    found = truths["ckpt-prune/w20"]
    answers = found.answers
    table = found.reference.with_columns(prediction=0.3 + 0.0 * found.reference.height)
    given = filled(found.task, answers, {"median": found.reference, "low": table})
    draws = Draws(families=tuple(sorted(set(answers.families))), resamples=50, seed=0)
    mine = errors(found.task, answers, given, draws)
    rows = judge(
        found, {"low": Entry(table=table, charge=Charge(signals=()))}, resamples=50
    )
    row = only(rows, "low", "checkpoints_saved")
    at = mine.names.index("low")
    skill = mine.skill()
    ends = [skill.value[at], skill.low[at], skill.high[at]]
    told = [row["skill"], row["skill_low"], row["skill_high"]]
    assert ends == pytest.approx(told, rel=1e-12)
    assert mine.value[at] == pytest.approx(row["optimum"] - row["value"])


def test_tasks_of_some_families_share_the_draws_of_all():
    some = np.arange(24) < 6  # of three families
    answers = truths(TRUTH[some], FAMILIES[some])
    tables = {"median": said(answers, 0.5), "a": said(answers, 0.4)}
    draws = Draws(families=MORE, resamples=300, seed=3)
    found = errors(task(), answers, filled(task(), answers, tables), draws)
    missed = np.abs(TRUTH[some] - 0.4)
    for drawn, sample in zip(
        family_draws(14, 300, 3), found.samples[found.names.index("a")], strict=True
    ):
        rows = [r for f in drawn if f < 3 for r in (2 * f, 2 * f + 1)]
        if rows:
            assert sample == pytest.approx(missed[rows].mean())
        else:
            assert np.isnan(sample)
    assert np.isnan(found.samples).any()


def test_equal_answers_have_equal_errors_bit_by_bit():
    answers = truths(TRUTH, FAMILIES)
    tables = tables_of(answers)
    tables |= {f"a{i}": tables["a"] for i in range(9)}
    draws = Draws(families=MORE, resamples=70, seed=0)
    found = errors(task(), answers, filled(task(), answers, tables), draws)
    names = ["a", "twin", *(f"a{i}" for i in range(9))]
    value, samples = found.of(names)
    assert len(set(value.tolist())) == 1
    assert (samples == samples[0]).all()


def test_who_is_not_there_has_no_error():
    answers = truths(TRUTH, FAMILIES)
    asked = dataclasses.replace(task(), metrics=("crps",))
    tables = tables_of(answers) | {"point": said(answers, 0.3)}
    draws = Draws(families=MORE, resamples=20, seed=0)
    found = errors(asked, answers, filled(asked, answers, tables), draws)
    value, samples = found.of(["a", "point", "nobody"])
    assert np.isfinite(value[0])
    assert np.isnan(value[1:]).all()
    assert np.isnan(samples[1:]).all()
