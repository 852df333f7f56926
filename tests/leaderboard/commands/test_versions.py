"""A task that was mended, and what was submitted before."""

import dataclasses

import pytest

from leaderboard.boards import Asked, board
from leaderboard.intake.files import read_folder
from leaderboard.intake.validate import validate
from leaderboard.problems import Rejected
from leaderboard.store import stored

TASK = "final-acc/w04"


def mended(asked, **changes):
    """Return the board with another version of a task."""
    task = dataclasses.replace(asked.tasks[TASK].task, version="2", **changes)
    examples = asked.tasks[TASK].examples
    tasks = dict(asked.tasks) | {TASK: Asked(task=task, examples=examples)}
    return dataclasses.replace(asked, tasks=tasks)


def test_s24_stored_predictions_are_scored_anew_where_the_scoring_was_mended(
    blind, entered
):
    asked = board(blind, hidden=False)
    before = {one.folder: one.valid for one in stored(entered, asked)}
    after = {
        one.folder: one.valid for one in stored(entered, mended(asked, rescored=("1",)))
    }
    assert len(before) == 2
    assert {name: one.sha256 for name, one in after.items()} == {
        name: one.sha256 for name, one in before.items()
    }
    assert {TASK in one.tables for one in after.values()} == {True}


def test_s24_of_another_question_old_answers_are_left_out_and_new_ones_refused(
    blind, entered, mine
):
    other = mended(board(blind, hidden=False))
    found = list(stored(entered, other))
    assert len(found) == 2
    for one in found:
        assert TASK not in one.valid.tables
        assert "curve/w20" in one.valid.tables
    with pytest.raises(Rejected, match=r"\[wrong_version\] final-acc/w04 has version"):
        validate(read_folder(mine), other)
