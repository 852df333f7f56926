"""What an open hidden board tells of a submission: in the ledger, and on its page."""

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from harness.spec import Part
from leaderboard.boards import board
from leaderboard.hidden.announced import open_board
from leaderboard.hidden.ledger import Line, overall
from leaderboard.hidden.version import announce, public_skills, truth_of_half
from leaderboard.ranking.standing import Entrant
from tasks.prediction import Charge
from tasks.submission import Submission

SHA = "1" * 64


def line(asked, team, score, sha256=SHA):
    subject = overall({name: one.task.version for name, one in asked.tasks.items()})
    return Line(
        time="2026-01-01T00:00:00Z", team=team, name="forest", sha256=sha256,
        board=asked.name, version=asked.place, free=False, scores={subject: score},
    )  # fmt: skip


def entrant(blind, asked, tables):
    charge = Charge(signals=(), settings=False, curves=True)
    card = Submission(
        name="My forest", predictor=Part("forest"), charge=charge, corpus=blind.name,
        corpus_version=asked.version, corpus_sha256=asked.sha256,
        tasks={name: asked.tasks[name].task.version for name in tables},
        runcast="", seconds={}, hidden=True,
    )  # fmt: skip
    return Entrant(
        name="My forest", folder="forest", submission=card, tables=tables, sha256=SHA,
        submitted=None,
    )  # fmt: skip


def skills(blind, told):
    """Return the skills that the board shows, by name."""
    asked = board(blind, hidden=True)
    one = entrant(blind, asked, {})
    lines = [line(asked, *row) for row in told]
    shown, _ = open_board(blind, asked, [one], lines)
    return {row["name"]: row["skill"][0] for row in shown["pools"]["settings"]}


def test_s20_the_last_word_about_the_very_files_is_shown(blind):
    assert skills(blind, []) == {}
    assert skills(blind, [("ada", 0.1, "2" * 64)]) == {}
    assert skills(blind, [("ada", 0.1), ("ada", 0.3)]) == {"My forest": 0.3}


def test_s20_another_team_that_copies_files_changes_no_score(blind):
    assert skills(blind, [("ada", 0.3), ("eve", -0.5)]) == {"My forest": 0.3}


def answered(asked, value):
    """Return a table of one value for everything that is asked."""
    rows = asked.examples.with_columns(
        epoch=pl.int_ranges("first", pl.col("last") + 1, dtype=pl.Int32),
        prediction=pl.lit(value, pl.Float32),
        reason=pl.lit(None, pl.String),
    ).explode("epoch")
    epoch = ["epoch"] * (asked.task.kind == "curve")
    return rows.select("id", *epoch, "prediction", "reason")


def test_s20_nothing_but_whole_steps_leaves_the_scoring(blind, made, tmp_path, capfd):
    asked = board(blind, hidden=True)
    tables = {name: answered(one, 0.5) for name, one in asked.tasks.items()}
    one = entrant(blind, asked, tables)
    truth = truth_of_half(blind, made.targets, "public")
    told = announce(
        one, asked, truth, tmp_path / "ledger", team="ada", now=datetime.now(UTC)
    )
    raw = [skill for skill in public_skills(one, asked, truth).values() if skill]
    assert any(abs(20 * skill - round(20 * skill)) > 0.01 for skill in raw)
    text = (tmp_path / "ledger").read_text() + repr(told)
    numbers = [float(found) for found in re.findall(r"-?\d+\.\d+", text)]
    assert len(numbers) >= 2 * len(raw)
    assert [20 * number for number in numbers] == pytest.approx(
        [round(20 * number) for number in numbers], abs=1e-9
    )
    assert tuple(capfd.readouterr()) == ("", "")
