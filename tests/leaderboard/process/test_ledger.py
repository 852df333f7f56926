"""S-20: what was announced is written down, counted and never said twice otherwise."""

import csv
import dataclasses
import io
import json
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CorpusError, StorageError
from leaderboard.hidden.ladder import announced
from leaderboard.hidden.ledger import A_DAY, A_VERSION, Attempt, overall, read, record
from tasks.base import TASKS
from tests.conftest import ROOT

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SUBJECT = overall({"final-acc/w20": "1"})
FIRST = Attempt(
    team="ada", name="forest", sha256="a" * 64, board="t4-hidden", version="1.0.0"
)


def attempt(number, **changes):
    return dataclasses.replace(FIRST, sha256=f"{number:064x}", **changes)


def put(path, one=FIRST, score=0.3, now=NOW, **changes):
    return record(path, one, lambda: {SUBJECT: score}, now=now, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


def test_s20_what_is_announced_is_what_is_written(path):
    told = put(path, score=0.3149, eta=0.01)
    assert told.line.scores == {SUBJECT: 0.31}
    assert read(path) == [told.line]
    assert json.loads(path.read_text()) == {
        "time": "2026-05-04T12:00:00Z", "team": "ada", "name": "forest",
        "sha256": "a" * 64, "board": "t4-hidden", "version": "1.0.0", "free": False,
        "scores": {SUBJECT: 0.31},
    }  # fmt: skip


def test_every_task_has_a_subject(path):
    subjects = [f"{name}@{TASKS.get(name)().version}" for name in TASKS.names()]
    told = record(path, FIRST, lambda: dict.fromkeys(subjects, 0.1), now=NOW)
    assert sorted(read(path)[0].scores) == sorted(told.line.scores) == sorted(subjects)


def test_s20_a_team_climbs_one_ladder_whatever_its_submissions_are_called(path):
    scores = [0.2, 0.206, 0.1, 0.25]
    told = [
        put(path, attempt(n, name=f"n{n}"), s).line.scores[SUBJECT]
        for n, s in enumerate(scores)
    ]
    assert told == list(announced(scores))


def test_s20_boards_versions_and_teams_have_ladders_of_their_own(path):
    put(path, attempt(0), 0.5)
    for n, change in enumerate([{"board": "b"}, {"version": "2.0.0"}, {"team": "bob"}]):
        assert put(path, attempt(n + 1, **change), 0.1).line.scores[SUBJECT] == 0.1


def test_s20_the_same_files_again_cost_nothing_and_are_not_scored(path):
    first = put(path)
    before = path.read_bytes()

    def scored():
        raise AssertionError("scored again")

    again = record(path, FIRST, scored, now=NOW + timedelta(days=9))
    assert again.repeated
    assert again.line == first.line
    assert again.left == first.left == A_VERSION - 1
    assert path.read_bytes() == before


def test_s20_the_sixth_on_a_day_waits_for_the_next_day_in_utc(path):
    for n in range(A_DAY):
        left = put(path, attempt(n)).left_today
        assert left == A_DAY - 1 - n
    east = timezone(timedelta(hours=14))
    same = datetime(2026, 5, 5, 13, 59, tzinfo=east)  # the 4th in UTC
    with pytest.raises(ValueError, match=r"ada has had 5 .* on 2026-05-04 \(UTC\)"):
        put(path, attempt(99), now=same)
    assert put(path, attempt(99), now=same + timedelta(minutes=1)).left_today == 4
    assert put(path, attempt(7, team="bob")).left_today == 4


def test_s20_the_twenty_first_on_a_version_waits_for_the_next_version(path):
    for n in range(A_VERSION):
        put(path, attempt(n), now=NOW + timedelta(days=n))
    later = NOW + timedelta(days=99)
    with pytest.raises(ValueError, match=r"20 submissions scored on t4-hidden 1\.0\.0"):
        put(path, attempt(99), now=later)
    assert len(read(path)) == A_VERSION
    assert put(path, attempt(99, version="1.1.0"), now=later).left == A_VERSION - 1


def test_s24_a_mended_task_begins_a_new_ladder_and_costs_nothing(path):
    put(path, score=0.5)
    mended = overall({"final-acc/w20": "2"})
    told = record(path, FIRST, lambda: {mended: 0.2}, now=NOW, free=True)
    assert told.line.scores == {mended: 0.2}
    assert told.left == A_VERSION - 1
    assert [line.scores for line in read(path)] == [{SUBJECT: 0.5}, {mended: 0.2}]


def test_s22_copies_and_near_duplicates_are_flagged_and_scored(path):
    put(path, dataclasses.replace(FIRST, team="ada-lovelace"))
    for team in ("ada-lovelace2", "adalovelace", "ada-lovelacee"):
        told = put(path, dataclasses.replace(FIRST, team=team))
        assert "the same files as those of ada-lovelace" in told.flags
        assert "the team's name is close to ada-lovelace" in told.flags
        assert "another team has a submission forest" in told.flags
        assert not told.repeated
    told = put(path, attempt(1, team="zoe", name="forest-2"))
    assert told.flags == ("the submission's name is close to forest of another team",)
    assert put(path, attempt(2, team="ken", name="lasso")).flags == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("team", "Ada"), ("team", "=cmd"), ("team", "-ada"), ("team", "a\n"),
        ("team", "a" * 40), ("name", "../x"), ("name", "@sum"), ("sha256", "A" * 64),
        ("board", "+1"), ("board", "\t1"), ("version", "=1"), ("team", "\uff1dada"),
    ],
)  # fmt: skip
def test_s10_no_text_that_a_sheet_would_calculate_gets_in(path, field, value):
    with pytest.raises(ValueError, match=rf"{field} is .*, expected "):
        put(path, dataclasses.replace(FIRST, **{field: value}))
    assert not path.exists()


def test_s10_numbers_stay_numbers_in_an_export(path):
    put(path, score=-0.3)
    rows = io.StringIO()
    csv.writer(rows).writerows(line.scores.values() for line in read(path))
    assert rows.getvalue() == "-0.3\r\n"


def test_a_torn_last_line_is_told_and_nothing_is_added(path):
    put(path)
    put(path, attempt(1))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorpusError, match=r"line 2 is torn, .*: delete that line"):
        read(path)
    before = path.read_bytes()
    with pytest.raises(CorpusError, match=r"line 2 is torn"):
        put(path, attempt(2))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("0.3", "NaN"),
        lambda t: t.replace("0.3", "1e400"),
        lambda t: t.replace("0.3", "true"),
        lambda t: t.replace("0.3", '"0.3"'),
        lambda t: t.replace('"free"', '"team":"eve","free"'),
        lambda t: t.replace('"free"', '"x":1,"free"'),
        lambda t: t.replace('"free":false,', ""),
        lambda t: t.replace("false", "0"),
        lambda t: t.replace(",", ", "),
        lambda t: t.replace("ada", "\u0430da"),
        lambda t: t.replace("ada", "Ada"),
        lambda t: "[" * 100_000 + "\n",
        lambda t: "\n" + t,
        lambda t: t.replace("\n", "\r\n"),
    ],
)
def test_a_line_that_was_edited_is_told(path, change):
    put(path)
    path.write_text(change(path.read_text()), encoding="utf-8", newline="")
    with pytest.raises(CorpusError, match=r"line 1 is not as it was written"):
        read(path)


@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
def test_any_bytes_are_lines_or_a_damaged_ledger(noise, at, whole):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        put(path)
        data = path.read_bytes()
        changed = noise if whole else data[:at] + noise + data[at:]
        path.write_bytes(changed)
        told = ""
        try:
            lines = read(path)
        except CorpusError as error:
            told, lines = str(error), []
        assert bool(told) == bool(re.search(r"line \d+ is (torn|not as it was)", told))
        assert bool(told) or changed.count(b"\n") == len(lines)


def test_a_time_without_a_zone_is_refused(path):
    with pytest.raises(ValueError, match=r"has no zone"):
        put(path, now=datetime(2026, 5, 4))


def test_a_ledger_that_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(StorageError, match=r"cannot open the ledger"):
        put(tmp_path / "missing" / "ledger.jsonl")


def test_a_score_that_fails_leaves_no_line(path):
    with pytest.raises(ValueError, match=r"the score is nan"):
        put(path, score=float("nan"))
    assert read(path) == []


MANY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from leaderboard.hidden.ledger import Attempt, record

for n in range(5):
    one = Attempt(
        team=sys.argv[2], name="n", sha256=f"{n:064x}", board="b", version="1.0.0"
    )
    record(Path(sys.argv[1]), one, lambda: {"a@1": n / 10}, now=datetime.now(UTC))
"""


def test_processes_that_write_at_once_lose_no_line(path):
    teams = ["ada", "bob", "cid", "dan"]
    command = [sys.executable, "-c", MANY, str(path)]
    work = [subprocess.Popen([*command, team], cwd=ROOT) for team in teams]
    assert [one.wait(60) for one in work] == [0] * 4
    lines = read(path)
    for team in teams:
        mine = [line.scores["a@1"] for line in lines if line.team == team]
        assert mine == [0.0, 0.1, 0.2, 0.3, 0.4]
