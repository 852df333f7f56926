"""A grid that is edited after its start: its former runs are kept, not published."""

import dataclasses

import pytest

from harness import command
from harness.command import Request
from harness.corpus import Corpus
from harness.executors.events import Outcome
from harness.generate import finish, prepare, run_job
from harness.plan import Plan, PlannedRun
from harness.record import finished_ids


class Recorder:
    """An executor that commits made-up records in place of trained ones."""

    def __init__(self, folder, records):
        self.folder, self.records = folder, records
        self.trained = []

    def run(self, cohorts, *, on_event, interrupted):
        plan = Plan.load(self.folder).cohorts()
        finished = finished_ids(self.folder / "shards")
        runs = [run for cohort in cohorts for run in plan[cohort]]
        for run in (run for run in runs if run.run_id not in finished):
            self.records[run.run_id].save(self.folder / "shards")
            self.trained.append(run.run_id)
        return Outcome.DONE


@pytest.fixture
def known(make_record):
    made = [make_record(seed=seed) for seed in range(4)]
    return {record.config.run_id: record for record in made}


def plan(known, *numbers, label="t4/digits"):
    runs = list(known.values())
    chosen = (runs[i].config for i in numbers)
    return Plan(tuple(PlannedRun(c, c.run_id, "c-a", (label,)) for c in chosen))


def train(folder, known, asked, **options):
    executor = Recorder(folder, known)
    job = prepare(folder, asked, **options)
    run_job(job, executor, on_event=lambda e, p: None, interrupted=lambda: False)
    return executor.trained


def test_runs_that_left_the_grid_are_kept_and_not_published(tmp_path, known):
    ids = list(known)
    assert train(tmp_path, known, plan(known, 0, 1), replacing=True) == ids[:2]
    assert finish(tmp_path)["rows"]["runs"] == 2
    assert train(tmp_path, known, plan(known, 1, 2), replacing=True) == [ids[2]]
    assert [run.run_id for run in Plan.load(tmp_path).orphans] == [ids[0]]
    assert finish(tmp_path)["rows"]["runs"] == 2
    assert set(Corpus.open(tmp_path).runs()["run_id"]) == set(ids[1:3])
    assert finished_ids(tmp_path / "shards") == set(ids[:3])


def test_a_run_that_came_back_is_no_orphan_and_not_trained_again(tmp_path, known):
    train(tmp_path, known, plan(known, 0, 1), replacing=True)
    train(tmp_path, known, plan(known, 1), replacing=True)
    assert len(Plan.load(tmp_path).orphans) == 1
    assert train(tmp_path, known, plan(known, 0, 1), replacing=True) == []
    assert Plan.load(tmp_path).orphans == []
    assert finish(tmp_path)["rows"]["runs"] == 2


def test_a_run_that_another_grid_holds_is_no_orphan(tmp_path, known):
    train(tmp_path, known, plan(known, 0, 1), replacing=True)
    train(tmp_path, known, plan(known, 0, label="t1/digits"), replacing=True)
    train(tmp_path, known, plan(known, 1), replacing=True)
    first, second = Plan.load(tmp_path).runs
    assert (first.grids, second.grids) == (("t1/digits",), ("t4/digits",))


def test_a_limit_makes_no_orphans(tmp_path, known):
    train(tmp_path, known, plan(known, 0, 1, 2), replacing=True)
    assert train(tmp_path, known, plan(known, 0)) == []
    assert Plan.load(tmp_path).orphans == []


def test_two_drivers_that_plan_at_once_lose_no_run(tmp_path, known):
    """The second joins what the first planned since it looked."""
    late = prepare(tmp_path, plan(known, 1, 2, 3, label="t1/digits"))
    train(tmp_path, known, plan(known, 0, 1, 2), replacing=True)
    executor = Recorder(tmp_path, known)
    run_job(late, executor, on_event=lambda e, p: None, interrupted=lambda: False)
    runs = Plan.load(tmp_path).runs
    assert [run.run_id for run in runs] == list(known)
    assert runs[1].grids == ("t1/digits", "t4/digits")
    assert finished_ids(tmp_path / "shards") == set(known)


def test_the_command_says_so(tmp_path, capsys):
    asked = Request(
        grid="tests.harness.tiny:grid",
        profile="tests.harness.tiny:profile",
        folder=tmp_path,
        device="cpu",
    )
    command.prepare(asked).job.merged.save(tmp_path)
    assert "orphans" not in capsys.readouterr().err
    job = command.prepare(dataclasses.replace(asked, evals_per_epoch=2)).job
    assert len(job.merged.orphans) == 12
    said = " ".join(capsys.readouterr().err.split())
    assert "12 runs of " in said
    assert "orphans, kept and not published" in said
