"""The queue of cohorts: order, retries by kind of failure, cohorts held elsewhere."""

import dataclasses

import pytest

from harness.executors import waiting
from harness.executors.failure import ATTEMPTS, KINDS
from harness.executors.waiting import Waiting
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, shard_path

DONE = {"ending": "done", "statuses": ["completed", "diverged"], "error": ""}
BUSY = {"ending": "busy", "statuses": [], "error": ""}


def failed(kind):
    return {"ending": "failed", "statuses": [], "error": "boom", "kind": kind}


@pytest.fixture
def folder(tmp_path, make_record):
    """A folder that plans the cohorts a and b, of two runs each."""
    runs = [make_record(seed=seed).config for seed in range(4)]
    cohorts = ["a", "a", "b", "b"]
    planned = (
        PlannedRun(run, run.run_id, cohort, ("grid",))
        for run, cohort in zip(runs, cohorts, strict=True)
    )
    Plan(tuple(planned)).save(tmp_path)
    return tmp_path


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    return now


def test_cohorts_are_handed_out_in_order_and_once(folder):
    queue = Waiting(folder, ["a", "b"])
    assert [queue.take(), queue.take(), queue.take()] == ["a", "b", None]
    assert not queue


def test_a_finished_cohort_becomes_an_event_with_its_statuses(folder):
    queue = Waiting(folder, ["a"])
    event = queue.after_report(queue.take(), DONE)
    assert (event.kind, event.cohort) == ("done", "a")
    assert event.statuses == ("completed", "diverged")


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_cohort_comes_again_behind_the_others_as_often_as_its_kind_may(
    folder, kind
):
    queue = Waiting(folder, ["a", "b"])
    seen = []
    while (cohort := queue.take()) is not None:
        report = failed(kind) if cohort == "a" else DONE
        event = queue.after_report(cohort, report)
        seen.append((cohort, event.kind, event.reason))
    again = [("a", "retried", kind)] * (ATTEMPTS[kind] - 1)
    assert [each for each in seen if each[0] == "a"] == [*again, ("a", "failed", kind)]
    assert seen.index(("b", "done", None)) == min(1, len(again)) or not again


def test_only_failures_of_the_machines_are_tried_again():
    retried = {kind for kind, count in ATTEMPTS.items() if count > 1}
    assert retried == {"data", "oom", "device", "died", "timeout"}
    assert max(ATTEMPTS.values()) == 3  # two retries
    assert ATTEMPTS["timeout"] == 2


def test_a_cohort_that_is_given_up_is_recorded_with_the_reason(folder):
    queue = Waiting(folder, ["a"])
    for _ in range(3):
        event = queue.after_loss(queue.take(), "died", "exit status -9", "cuda:0")
    assert (event.kind, event.reason) == ("failed", "died")
    ids = [run.run_id for run in Plan.load(folder).cohorts()["a"]]
    paths = [shard_path(folder / "shards", i, failed=True) for i in ids]
    assert sorted(paths) == sorted((folder / "shards").iterdir())
    for record in map(RunRecord.load, paths):
        assert (record.status, record.error) == ("failed", "exit status -9")
        (event,) = record.events
        assert event.detail == {"reason": "died", "attempts": 3}


def test_runs_of_the_cohort_that_finished_are_not_failed(folder, make_record):
    finished = make_record(seed=0)
    finished.save(folder / "shards")
    queue = Waiting(folder, ["a"])
    assert queue.after_report(queue.take(), failed("error")).kind == "failed"
    names = sorted(path.name for path in (folder / "shards").iterdir())
    other = make_record(seed=1).config.run_id
    expected = [f"{finished.config.run_id}.parquet", f"{other}.failed.parquet"]
    assert names == sorted(expected)


def test_orphans_of_the_cohort_are_not_failed(folder):
    first, *others = Plan.load(folder).runs
    Plan((dataclasses.replace(first, grids=()), *others)).save(folder)
    queue = Waiting(folder, ["a"])
    assert queue.after_report(queue.take(), failed("error")).kind == "failed"
    (path,) = (folder / "shards").iterdir()
    assert path.name == f"{others[0].run_id}.failed.parquet"


def test_a_cohort_goes_back_to_where_it_failed_once_it_failed_everywhere(folder, clock):
    queue = Waiting(folder, ["a"], lambda: {"cuda:0": "cuda:0", "cuda:1": "cuda:1"})
    queue.after_report(queue.take("cuda:0"), failed("device"), "cuda:0")
    clock[0] += 1e6  # however long the other one is busy
    assert queue.take("cuda:0") is None
    assert queue.take("cuda:1") == "a"
    queue.after_report("a", failed("device"), "cuda:1")
    assert queue.take("cuda:1") == "a"


def test_a_cohort_goes_back_to_where_it_failed_once_other_places_are_gone(folder):
    places = {"cuda:0": "cuda:0", "cuda:1": "cuda:1"}
    queue = Waiting(folder, ["a"], lambda: places)
    queue.after_report(queue.take("cuda:0"), failed("died"), "cuda:0")
    assert queue.take("cuda:0") is None
    del places["cuda:1"]
    assert queue.take("cuda:0") == "a"


def fail_in_a_row(queue, place, kinds):
    for kind in kinds:
        queue.after_report(queue.take(place), failed(kind), place)


def test_a_place_where_cohorts_fail_in_a_row_rests_longer_each_time(
    folder, clock, capsys
):
    cohorts = [f"c-{i}" for i in range(9)]
    queue = Waiting(folder, cohorts, lambda: {"1": "node-a", "2": "node-b"})
    fail_in_a_row(queue, "1", ["device", "oom"])
    queue.after_report(queue.take("1"), DONE, "1")  # and is counted anew
    fail_in_a_row(queue, "1", ["died", "timeout"])
    assert capsys.readouterr().err == ""
    fail_in_a_row(queue, "1", ["device"])
    said = "node-a rests for 10 min, others go on: 3 cohorts in a row failed there"
    assert said in capsys.readouterr().err
    assert queue.take("1") is None
    assert queue.take("2") == "c-6"
    clock[0] += waiting.REST_S
    fail_in_a_row(queue, "1", ["data"])
    assert "node-a rests for 20 min" in capsys.readouterr().err
    clock[0] += 2 * waiting.REST_S - 1
    assert queue.take("1") is None
    clock[0] += 1
    assert queue.take("1") == "c-8"


def test_the_last_place_never_rests_and_one_that_rests_takes_its_part(
    folder, clock, capsys
):
    places = {"1": "node-a", "2": "node-b"}
    queue = Waiting(folder, [f"c-{i}" for i in range(9)], lambda: places)
    fail_in_a_row(queue, "1", ["device"] * 3)
    fail_in_a_row(queue, "2", ["device"] * 4)
    assert "node-b" not in capsys.readouterr().err
    assert queue.take("1") is None
    del places["2"]
    assert queue.take("1") == "c-7"


def test_mistakes_of_the_code_say_nothing_about_the_place(folder, make_record):
    names = [f"c-{i}" for i in range(5)]
    runs = [make_record(seed=seed).config for seed in range(5)]
    planned = zip(runs, names, strict=True)
    Plan(tuple(PlannedRun(r, r.run_id, c, ("grid",)) for r, c in planned)).save(folder)
    queue = Waiting(folder, names, lambda: {"1": "node-a", "2": "node-b"})
    fail_in_a_row(queue, "1", ["error"] * 4)
    assert queue.take("1") == "c-4"


def test_a_sick_device_takes_no_cohort_twice_and_none_is_given_up(tmp_path, clock):
    places = {f"cuda:{i}": f"cuda:{i}" for i in range(8)}
    cohorts = [f"c-{i}" for i in range(108)]
    queue = Waiting(tmp_path, cohorts, lambda: places)
    begun = clock[0]
    work, done, sick = {}, [], []
    while queue or work:
        for place in sorted(places.keys() - work.keys()):
            cohort = queue.take(place)
            if cohort is not None:
                seconds = 15 if place == "cuda:3" else 600
                work[place] = (cohort, clock[0] + seconds)
        clock[0] = min(end for _, end in work.values())
        for place, (cohort, end) in list(work.items()):
            if end == clock[0]:
                del work[place]
                report = failed("device") if place == "cuda:3" else DONE
                event = queue.after_report(cohort, report, place)
                (done if event.kind == "done" else sick).append(cohort)
    assert sorted(done) == sorted(cohorts)
    assert len(sick) == len(set(sick)) == 6  # three, then one after each rest
    assert clock[0] - begun == 16 * 600  # as seven sound devices take


def test_the_only_device_does_not_wait_for_another(folder):
    queue = Waiting(folder, ["a"], lambda: {"cpu": "cpu"})
    queue.after_report(queue.take("cpu"), failed("died"), "cpu")
    assert queue.take("cpu") == "a"


def test_a_cohort_whose_worker_was_stopped_comes_first_and_is_no_failure(folder):
    queue = Waiting(folder, ["a", "b"])
    queue.put_back(queue.take())
    assert [queue.take(), queue.take()] == ["a", "b"]
    event = queue.after_report("a", failed("timeout"))
    assert event.kind == "retried"


def test_a_cohort_held_elsewhere_waits_without_counting_as_a_failure(folder, clock):
    queue = Waiting(folder, ["a"])
    for _ in range(10):
        assert queue.after_report(queue.take(), BUSY) is None
        assert queue
        assert queue.take() is None
        clock[0] += waiting.BUSY_WAIT_S + 0.1
    assert queue.take() == "a"


def test_a_cohort_that_cannot_be_given_up_for_want_of_space_stops_the_grid(folder):
    (folder / "shards").write_text("a file where a folder is needed")
    queue = Waiting(folder, ["a"])
    event = queue.after_report(queue.take(), failed("error"))
    assert event.kind == "no-space"
    assert "cannot write" in event.error
