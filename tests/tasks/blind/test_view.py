"""A blind corpus shows of a run what the whole corpus shows of it."""

import numpy as np
import polars as pl
import pytest

from harness.errors import DataError
from tasks.base import TASKS
from tasks.blind.view import ask_hidden, hidden_tasks
from tasks.observations import observe
from tasks.question import ask
from tests.tasks.blind.making import TASKS as ASKED


@pytest.mark.parametrize("name", ASKED)
def test_observations_are_those_of_the_whole_corpus(whole, blind, made, name):
    task = TASKS.get(name)()
    question = ask_hidden(blind, task)
    ((_, tested),) = question.rounds
    link = made.made.link.filter(pl.col("id").is_in(tested))
    run_of = dict(link.select("id", "run_id").rows())
    assert set(run_of) == set(tested)
    whole, names = observe(whole, task, list(run_of.values()))
    example_of = {run: example for example, run in names.items()}
    seen = question.everyone.of(tested)
    assert seen.asked == whole.asked
    (mine,), (theirs,) = seen.blocks, whole.blocks
    assert mine.num_steps == theirs.num_steps
    row = {example: at for at, example in enumerate(theirs.run_ids)}
    order = [row[example_of[run_of[name]]] for name in mine.run_ids]
    np.testing.assert_array_equal(mine.loss, theirs.loss[order])
    np.testing.assert_array_equal(mine.rate, theirs.rate[order])
    assert list(mine.recorded) == list(theirs.recorded)
    for signal, curve in mine.recorded.items():
        other = theirs.recorded[signal]
        for at, before in enumerate(order):
            here = slice(*curve.offsets[at : at + 2])
            there = slice(*other.offsets[before : before + 2])
            np.testing.assert_array_equal(curve.steps[here], other.steps[there])
            np.testing.assert_array_equal(curve.values[here], other.values[there])
    if task.visibility.planned_rate:
        np.testing.assert_array_equal(seen.planned[0], whole.planned[0][order])
        assert np.isfinite(seen.planned[0]).all()
    mine, theirs = seen.settings.sort("id"), whole.settings
    theirs = theirs.with_columns(
        id=pl.col("id").replace_strict({v: k for k, v in run_of.items()
                                        for v in [example_of[v]]})
    ).sort("id")  # fmt: skip
    assert mine.columns == theirs.columns
    assert mine.equals(theirs)


def test_public_runs_teach_and_hidden_ones_are_asked_about(blind, made):
    task = TASKS.get("final-acc/w04")()
    question = ask_hidden(blind, task)
    ((targets, tested),) = question.rounds
    own = made.made.link.filter(window="w04")
    assert set(tested) == set(own["id"])
    assert len(targets.ids) == len(blind.runs().drop_nulls("final.test_accuracy"))
    ordinary = ask(blind, task)[0]
    assert sorted(targets.values) == sorted(
        np.concatenate([r.values for r, _ in ordinary.rounds])[
            np.unique(
                np.concatenate([r.ids for r, _ in ordinary.rounds]), return_index=True
            )[1]
        ]
    )
    assert question.hidden
    assert not ordinary.hidden


def test_a_task_that_hides_nothing_is_refused(blind, whole):
    task = TASKS.get("prune/w20")()
    with pytest.raises(DataError, match=r"full-blind hides no runs for it"):
        ask_hidden(blind, task)
    with pytest.raises(DataError, match=r"full hides no runs for it"):
        ask_hidden(whole, task)
    assert hidden_tasks(whole) == {}
