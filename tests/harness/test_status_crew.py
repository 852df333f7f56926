"""Who works, what was lost, how fast it goes: from made folders and by hand."""

import contextlib
import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from harness import held_for
from harness.attempts import Attempt
from harness.errors import CorpusError
from harness.held_for import Process
from harness.lease import STALE_S, Claim, Lease
from harness.plan import Plan, PlannedRun
from harness.record import Event
from harness.status import Reader, status
from harness.status.crews import now_for
from harness.status.rate import window_s
from harness.status.text import plain_line, status_text
from harness.storage import time_in

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600.0


def tried(**fields):
    told = {"host": "node3", "pid": 7, "device": "cuda:1", "started": "2026-01-01"}
    return Attempt(**(told | fields))


def note(folder, cohort, *attempts, age_s=0.0):
    path = folder / "attempts" / f"{cohort}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([dataclasses.asdict(one) for one in attempts]))
    os.utime(path, (time.time() - age_s,) * 2)


def claim(folder, cohort, *, host="node3", pid=7, age_s=0.0):
    path = folder / "leases" / f"{cohort}.lease"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"host": host, "pid": pid, "start": "1"}))
    os.utime(path, (time.time() - age_s,) * 2)


@pytest.fixture
def folder(tmp_path, make_record):
    """Three cohorts of four runs, the first one finished a minute ago, and an orphan.

    Five epochs with batches of 32: a cohort of n runs weighs 5 * (n + 64 / 32).
    """
    records = [make_record(seed) for seed in range(13)]
    runs = [
        PlannedRun(r.config, r.config.run_id, f"c-{i // 4}", ("g/x",) * (i < 12))
        for i, r in enumerate(records)
    ]
    for record in records[:4]:
        shard = record.save(tmp_path / "grid" / "shards")
        os.utime(shard, (time.time() - 60,) * 2)
    Plan(tuple(runs)).save(tmp_path / "grid")
    done = {"step": 100, "num_steps": 100, "seconds": 60.0, "ending": "done"}
    note(tmp_path / "grid", "c-0", tried(**done), age_s=60.0)
    return tmp_path / "grid"


def at_work(folder, *, age_s=0.0, **fields):
    """Let a worker of another machine be half-way in the second cohort."""
    half = {"step": 50, "num_steps": 100, "phase": "training", "seconds": 30.0}
    note(folder, "c-1", tried(**(half | fields)), age_s=age_s)
    claim(folder, "c-1", age_s=age_s)


def test_a_worker_is_shown_with_all_that_it_noted(folder):
    at_work(folder, age_s=4.0)
    found = status(folder)
    (worker,) = found.workers
    assert (worker.host, worker.pid, worker.device) == ("node3", 7, "cuda:1")
    assert (worker.cohort, worker.phase) == ("c-1", "training")
    assert (worker.step, worker.num_steps, worker.share) == (50, 100, 0.45)
    assert 34.0 <= worker.seconds < 60.0  # 30 noted, and 4 since
    assert 4.0 <= worker.heard_s < 30.0
    assert (worker.is_silent, found.counts["running"]) == (False, 4)
    assert "node3:7  cuda:1  c-1     50/100   45 %" in status_text(found)


def test_a_worker_that_beats_and_notes_nothing_is_marked(folder):
    at_work(folder, age_s=STALE_S + 150)
    claim(folder, "c-1")  # the heart beats in a thread of its own
    found = status(folder)
    assert [w.is_silent for w in found.workers] == [True]
    assert found.workers[0].heard_s < 30.0
    assert "SILENT 4 min" in status_text(found)


def test_a_worker_that_has_noted_nothing_yet_is_shown(folder):
    claim(folder, "c-2", pid=9)
    note(folder, "c-2", tried(ending="died", seconds=9.0))  # of the one before it
    found = status(folder)
    assert [(w.pid, w.device, w.share) for w in found.workers] == [(9, None, None)]
    assert "beginning" in status_text(found)


def by_driver(folder, worker, *, age_s=0.0, **fields):
    """Let a driver hold the claim for a worker that sends its results back."""
    at_work(folder, age_s=age_s, **fields)
    claim(folder, "c-1", host="head", pid=99)
    note = held_for.note_path(folder, "driver")
    held_for.write(note, Process("head", 99), {"c-1": worker})


def test_a_worker_for_whom_a_driver_holds_the_claim_is_shown_with_all_it_noted(folder):
    by_driver(folder, Process("node3", 7), seconds=200.0)
    found = status(folder)
    (worker,) = found.workers
    assert (worker.host, worker.pid, worker.device) == ("node3", 7, "cuda:1")
    assert (worker.step, worker.share, worker.is_silent) == (50, 0.45, False)
    assert found.spending.lost_device_s == 0.0
    assert found.rate.share == pytest.approx(43.5 / 90)  # see the time left, below
    assert "node3:7  cuda:1  c-1     50/100   45 %" in status_text(found)


def test_a_worker_for_whom_a_claim_is_held_is_marked_when_it_is_silent(folder):
    by_driver(folder, Process("node3", 7), age_s=STALE_S + 150)
    found = status(folder)
    assert [(w.host, w.is_silent) for w in found.workers] == [("node3", True)]


def test_what_another_left_behind_is_not_taken_for_the_work_of_who_came_after(folder):
    by_driver(folder, Process("node4", 8), age_s=HOUR)  # node3:7 died, unseen
    found = status(folder)
    told = [(w.host, w.pid, w.device, w.is_silent) for w in found.workers]
    assert told == [("node4", 8, None, False)]
    assert found.spending.lost_device_s == 30.0


@pytest.mark.parametrize("skew_s", [-HOUR, 0.0, HOUR])
def test_the_clock_of_the_observer_does_not_tell_the_living_from_the_dead(skew_s):
    here = time.time()
    held = Claim("c-1", "elsewhere", 1, "1", here + skew_s)
    assert not held.is_gone(here + skew_s + STALE_S - 1)
    assert held.is_gone(here + skew_s + STALE_S + 1)


@pytest.mark.parametrize(("shift_s", "living"), [(HOUR, 1), (0.0, 1), (-HOUR, 0)])
def test_a_shifted_claim_is_judged_as_the_lease_itself_judges_it(
    folder, shift_s, living
):
    at_work(folder, age_s=-shift_s)
    found = status(folder)
    assert len(found.workers) == living
    assert (Lease.acquire(folder / "leases", "c-1") is None) == bool(living)
    assert all(worker.heard_s >= 0 for worker in found.workers)


def test_where_nothing_can_be_written_now_is_not_before_the_newest_file(tmp_path):
    ahead = time.time() + HOUR
    assert time_in(tmp_path / "missing") is None
    assert now_for(tmp_path, [ahead, 0.0], held=True) == ahead
    assert abs(now_for(tmp_path, [0.0], held=True) - time.time()) < 60


def test_looking_changes_nothing_in_the_folder(folder):
    at_work(folder)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    status(folder)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before


def test_losses_are_told_by_kind_and_place(folder):
    died = tried(ending="died", seconds=100.0, saved_s=40.0, error="exit -9")
    killed = tried(host="node4", device="cpu", seconds=5.0)
    note(folder, "c-1", died, died, killed, tried(ending="interrupted", seconds=3.0))
    note(folder, "c-2", tried(ending="interrupted"), tried(ending="error"))
    found = status(folder)
    (one,) = found.retried  # an interruption and a last failure are no retries
    assert (one.cohort, one.attempts, one.lost_s) == ("c-1", 4, 60.0 + 60.0 + 5.0)
    assert [(x.kind, x.host, x.times) for x in one.losses] == [
        ("died", "node3", 2),
        ("killed", "node4", 1),
    ]
    text = status_text(found)
    assert (
        "retried: c-1 died twice on node3 cuda:1, was killed on node4 cpu; 2 min lost"
        in text
    )
    assert found.spending.lost_device_s == 125.0
    # 6 s accounted for by 4 runs (1.76 each), and what no record accounts for
    assert found.spending.spent_device_s == pytest.approx(4 * 1.76 + 208.0)


def test_a_failure_tells_kind_attempts_and_place(folder, make_record):
    failed = make_record(5, status="failed")
    event = Event(0, "failed", {"reason": "oom", "attempts": 3})
    dataclasses.replace(failed, events=(event,)).save(folder / "shards")
    note(folder, "c-1", *[tried(ending="oom", seconds=1.0)] * 3)
    (one,) = status(folder).failures
    assert (one.kind, one.attempts, one.host, one.device) == (
        "oom",
        3,
        "node3",
        "cuda:1",
    )
    lines = status_text(status(folder)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("failed: "))
    assert lines[at].endswith(", oom after 3 attempts on node3 cuda:1")
    assert lines[at + 1] == "        RuntimeError: out of memory"


def test_a_damaged_record_is_told_and_does_not_stop_the_telling(folder):
    path = sorted((folder / "shards").glob("r-*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found = status(folder)
    assert (found.counts["completed"], found.counts["failed"]) == (3, 1)
    assert [f.kind for f in found.failures] == ["damaged"]


def test_orphans_are_counted_apart(folder):
    found = status(folder)
    assert (found.planned, found.orphans) == (12, 1)
    assert "orphans: 1 run of grids that have changed" in status_text(found)


def test_time_left_counts_the_work_inside_running_cohorts(folder):
    at_work(folder)
    pace = status(folder).rate
    # 30 done in 60 s, and 30 * 0.9 * 50/100 = 13.5 in 30 s; 16.5 + 30 are left
    speed = (30 + 13.5) / 90
    assert pace.seconds_left == pytest.approx(46.5 / speed)
    assert pace.share == pytest.approx(43.5 / 90)
    ready = datetime.fromisoformat(pace.ready_at) - datetime.now().astimezone()
    assert abs(ready - timedelta(seconds=pace.seconds_left)) < timedelta(seconds=30)
    # four runs since the first was begun, two minutes ago
    assert pace.overall_runs_per_min == pytest.approx(4 / 2, rel=0.2)
    assert pace.recent_runs_per_min == pytest.approx(4 / 2, rel=0.2)
    spent = status(folder).spending
    whole = 4 * 1.76 + 30 + 46.5 / speed
    assert spent.expected_device_s == pytest.approx(whole, abs=30)


def test_two_workers_share_what_waits_and_a_resumed_one_is_not_credited(folder):
    at_work(folder, resumed_from=50, step=75, seconds=15.0)
    claim(folder, "c-2", pid=8)
    note(folder, "c-2", tried(pid=8, step=0, num_steps=100, seconds=0.0))
    # 30 in 60 s and 30 * 0.9 * 25/100 in 15 s; the second one has all 30 to do
    speed = (30 + 6.75) / 75
    assert status(folder).rate.seconds_left == pytest.approx(30 / speed)


def test_no_time_is_promised_where_nobody_works(folder):
    found = status(folder)
    assert (found.rate.seconds_left, found.rate.ready_at) == (None, None)
    assert (found.is_running, found.rate.recent_runs_per_min) == (False, None)
    text = status_text(found)
    assert "not running (last change" in text
    assert f"python -m harness.work {folder}" in text
    assert "nobody at work" in plain_line(found)


def test_the_last_while_grows_until_it_holds_ten_runs():
    seen = [-100.0 * k for k in range(100)]  # one in 100 s
    assert window_s(seen, 0.0, -1e6) == 1200.0
    assert window_s([-1.0] * 10, 0.0, -1e6) == 600.0
    assert window_s([-1.0] * 10, 0.0, -20.0) == 20.0
    assert window_s([], 0.0, None) == 600.0


def test_what_does_not_change_is_read_once(folder, make_record):
    told = []
    reader = Reader(folder, lambda done, total: told.append((done, total)))
    first = reader.look()
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    make_record(4).save(folder / "shards")
    second = reader.look()
    assert told[4:] == [(1, 1)]
    assert (first.finished, second.finished) == (4, 5)
    assert reader.look().costs == second.costs
    assert len(told) == 5


def test_the_answer_is_json_with_numbers_as_numbers(folder):
    at_work(folder)
    answer = json.loads(json.dumps(dataclasses.asdict(status(folder)), default=str))
    assert answer["workers"][0]["share"] == 0.45
    assert answer["rate"]["seconds_left"] == pytest.approx(96.2, abs=0.1)
    assert answer["spending"]["lost_device_s"] == 0.0


CHURN = """
import json, os, random, shutil, sys
from pathlib import Path
from harness.lease import Lease
from harness.plan import Plan
from harness.publish import build
from harness.record import finished_ids

folder, spare, dice = Path(sys.argv[1]), Path(sys.argv[2]), random.Random(1)
plan = Plan.load(folder)

def record():
    source = dice.choice(sorted(spare.iterdir()))
    shutil.copy(source, folder / "shards" / ".tmp-x")
    os.replace(folder / "shards" / ".tmp-x", folder / "shards" / source.name)

def lose():
    for path in dice.sample(sorted((folder / "shards").glob("r-*")), 1):
        path.unlink()

def replan():
    (folder / "plan.parquet").unlink(missing_ok=True)
    plan.save(folder)

def note():
    path = folder / "attempts" / f"c-{dice.randrange(3)}.json"
    text = '[{"host": "n", "pid": 1, "device": "d", "started": "", "seconds": "x"}]'
    path.write_text(dice.choice([text, text[:30], "", "[[]]", "{}", "null"]))

def hold():
    lease = Lease.acquire(folder / "leases", f"c-{dice.randrange(3)}")
    (folder / "leases" / "c-9.lease").write_text(dice.choice(["", "[]", "{", "null"]))
    if lease:
        with lease:
            record()

def tables():
    build(folder, name="x", grids={}, only=finished_ids(folder / "shards"))

def mangle():
    (folder / "corpus.json").write_text(dice.choice(["", "{}", "[]"]))

for _ in range(60):
    weights = [8, 4, 2, 8, 6, 1, 1]
    dice.choices([record, lose, replan, note, hold, tables, mangle], weights)[0]()
    record()
"""


def test_a_folder_that_changes_all_the_time_never_stops_the_reader(
    folder, tmp_path, make_record
):
    for seed in range(12):
        state = random.Random(seed).choice(["completed", "diverged", "failed"])
        make_record(seed, status=state).save(tmp_path / "spare")
    at_work(folder)
    reader, looks = Reader(folder), 0
    reader.look()
    place = {"PYTHONPATH": str(ROOT)} | dict(os.environ)
    arguments = [sys.executable, "-c", CHURN, str(folder), str(tmp_path / "spare")]
    with subprocess.Popen(arguments, env=place) as churn:
        while churn.poll() is None:
            with contextlib.suppress(CorpusError):  # just then there was no plan
                found = reader.look()
                assert sum(found.counts.values()) == found.planned
                assert max(map(len, status_text(found).splitlines()[1:])) <= 80
                looks += 1
    assert churn.returncode == 0
    assert looks > 3
    assert reader.look().counts == status(folder).counts
