"""Training in this process: a cohort that breaks the device does not stop others."""

import dataclasses
import json

import pytest

from harness.attempts import FOLDER, load
from harness.datasets.source import Source
from harness.device import Setting
from harness.errors import RuncastError
from harness.executors.crew import Crew
from harness.executors.here import HereExecutor
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, failed_ids, shard_path
from harness.spec import Part
from tests.harness.tiny import profile

BREAKING = "tests.harness.executors.test_worker:spoiling_model"
FAILING = "tests.harness.tiny:broken_model"
LOST = r"cannot use cpu any more \(.*illegal memory access.*same command again"


@pytest.fixture
def crew(tmp_path):
    """A folder that plans c-bad, which breaks the device, and c-good, which fails."""
    planned = []
    for cohort, model in (("c-bad", BREAKING), ("c-good", FAILING)):
        run = dataclasses.replace(profile().run(), model=Part(model)).resolve()
        planned.append(PlannedRun(run, run.run_id, cohort, ("grid",)))
    Plan(tuple(planned)).save(tmp_path)
    return Crew(
        folder=tmp_path,
        source=Source(data_dir=None, cache_dir=tmp_path / "cache"),
        devices=("cpu",),
        jobs=1,
        setting=Setting(device="cpu"),
    )


def run(crew, cohorts, told):
    """Train as one process does, noting what becomes of cohorts."""

    def on_event(event):
        if event.kind != "progress":
            told.append((event.kind, event.cohort, event.reason))

    return HereExecutor(crew).run(cohorts, on_event=on_event, interrupted=lambda: False)


def lose_the_device(crew, cohorts):
    told = []
    with pytest.raises(RuncastError, match=LOST):
        run(crew, cohorts, told)
    return told


def test_a_cohort_that_breaks_the_device_comes_last_and_is_given_up_at_last(crew):
    cohorts = ["c-bad", "c-good"]
    assert lose_the_device(crew, cohorts) == [("retried", "c-bad", "device")]
    again = [("failed", "c-good", "error"), ("retried", "c-bad", "device")]
    assert lose_the_device(crew, cohorts) == again
    assert failed_ids(crew.folder / "shards").isdisjoint(ids(crew, "c-bad"))
    assert lose_the_device(crew, ["c-bad"]) == [("failed", "c-bad", "device")]
    (run_id,) = ids(crew, "c-bad")
    record = RunRecord.load(shard_path(crew.folder / "shards", run_id, failed=True))
    assert record.events[0].detail == {"reason": "device", "attempts": 3}
    assert "illegal memory access" in record.error
    # Asked for once more it has all its attempts again.
    assert lose_the_device(crew, ["c-bad"]) == [("retried", "c-bad", "device")]


def test_what_others_gave_up_meanwhile_does_not_break_this_process_too(crew):
    told = []

    def on_event(event):
        if (event.kind, event.cohort) == ("failed", "c-good"):
            for _ in range(3):
                lose_the_device(crew, ["c-bad"])  # in processes beside this one
        if event.kind != "progress":
            told.append((event.kind, event.cohort, event.error))

    HereExecutor(crew).run(
        ["c-good", "c-bad"], on_event=on_event, interrupted=lambda: False
    )
    assert told[-1] == ("failed", "c-bad", "another process gave it up")
    assert len(load(crew.folder, "c-bad")) == 3


@pytest.mark.parametrize(("saved_s", "first"), [(0.0, "c-good"), (300.0, "c-bad")])
def test_what_took_its_process_down_before_it_saved_anything_comes_last(
    crew, saved_s, first
):
    here = {"host": "here", "pid": 1, "device": "cpu", "started": ""}
    died = {**here, "seconds": 310.0, "saved_s": saved_s, "ending": None}
    (crew.folder / FOLDER).mkdir()
    (crew.folder / FOLDER / "c-bad.json").write_text(json.dumps([died]))
    told = []
    with pytest.raises(RuncastError, match=LOST):
        run(crew, ["c-bad", "c-good"], told)
    assert told[0][1] == first


def test_where_nobody_reads_its_progress_the_state_is_kept(crew):
    (planned,) = Plan.load(crew.folder).cohorts()["c-good"]
    sound = dataclasses.replace(planned.config, model=profile().model).resolve()
    Plan((PlannedRun(sound, sound.run_id, "c-a", ("grid",)),)).save(crew.folder)

    def on_event(event):
        raise BrokenPipeError(event.kind)

    executor = HereExecutor(crew)
    with pytest.raises(BrokenPipeError, match=r"interrupted"):
        executor.run(["c-a"], on_event=on_event, interrupted=lambda: False)
    (attempt,) = load(crew.folder, "c-a")
    assert attempt.ending == "interrupted"
    assert attempt.saved_s > 0
    assert (crew.folder / "checkpoints" / "c-a.pt").exists()


def ids(crew, cohort):
    return {run.run_id for run in Plan.load(crew.folder).cohorts()[cohort]}
