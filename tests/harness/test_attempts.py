"""The history of attempts at a cohort."""

import json
import os
import socket

import pytest

from harness import attempts
from harness.attempts import BEAT_S, Attempt, Logbook, load
from harness.lease import Lease


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(attempts.time, "monotonic", lambda: now[0])
    return now


def test_an_attempt_tells_where_it_runs_and_how_far_it_is(tmp_path, clock):
    log = Logbook(tmp_path, "c-a", device="cuda:1")
    (begun,) = load(tmp_path, "c-a")
    assert (begun.host, begun.pid) == (socket.gethostname(), os.getpid())
    assert (begun.device, begun.phase, begun.ending) == ("cuda:1", "loading", None)
    assert begun.started.endswith("+00:00")
    log.resumed(40)
    clock[0] = 3.0
    log.beat("training", 50, 100)
    (now,) = load(tmp_path, "c-a")
    assert (now.resumed_from, now.step, now.num_steps, now.seconds) == (40, 50, 100, 3)
    log.end("done")
    assert load(tmp_path, "c-a")[0].ending == "done"


def test_beats_are_written_now_and_then(tmp_path, clock):
    log = Logbook(tmp_path, "c-a", device="cpu")
    log.beat("training", 1, 100)
    clock[0] = BEAT_S - 1
    log.beat("training", 2, 100)
    assert load(tmp_path, "c-a")[0].step == 1
    clock[0] = BEAT_S + 1
    log.beat("training", 3, 100)
    assert load(tmp_path, "c-a")[0].step == 3


def test_what_was_worked_after_the_last_checkpoint_is_lost_by_a_death(tmp_path, clock):
    log = Logbook(tmp_path, "c-a", device="cpu")
    clock[0] = 10.0
    log.saved(5)
    assert load(tmp_path, "c-a")[0].step == 5
    clock[0] = 17.0
    log.beat("training", 7, 100)  # and nothing more is heard of it
    again = Logbook(tmp_path, "c-a", device="cpu")
    assert again.lost_s == 7.0
    clock[0] = 20.0
    again.end("oom", "no memory")  # 3 s, of which no checkpoint holds any
    third = Logbook(tmp_path, "c-a", device="cpu")
    assert third.lost_s == 10.0
    assert [each.ending for each in third.earlier] == [None, "oom"]
    third.end("interrupted")
    assert Logbook(tmp_path, "c-a", device="cpu").lost_s == 10.0


def test_the_driver_notes_how_a_worker_ended_that_could_not(tmp_path):
    Logbook(tmp_path, "c-a", device="cpu")
    attempts.close(tmp_path, "c-a", ending="timeout", error="silent")
    assert [(a.ending, a.error) for a in load(tmp_path, "c-a")] == [
        ("timeout", "silent")
    ]
    attempts.close(tmp_path, "c-a", ending="died", error="later")
    assert load(tmp_path, "c-a")[0].ending == "timeout"
    attempts.close(tmp_path, "c-b", ending="died", error="it never began")
    assert load(tmp_path, "c-b") == ()


def test_nothing_is_noted_where_another_worker_has_taken_over(tmp_path):
    with Lease.acquire(tmp_path / "leases", "c-a"):
        Logbook(tmp_path, "c-a", device="cpu")
        attempts.close(tmp_path, "c-a", ending="died", error="late news")
        assert load(tmp_path, "c-a")[0].ending is None


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", '[{"host": "a"}]', "\x00"])
def test_a_damaged_history_is_none(tmp_path, text):
    (tmp_path / "attempts").mkdir()
    (tmp_path / "attempts" / "c-a.json").write_text(text)
    assert load(tmp_path, "c-a") == ()
    assert Logbook(tmp_path, "c-a", device="cpu").earlier == ()


def test_the_file_is_plain_json(tmp_path):
    Logbook(tmp_path, "c-a", device="cpu").end("done")
    (entry,) = json.loads((tmp_path / "attempts" / "c-a.json").read_text())
    assert Attempt(**entry).ending == "done"
