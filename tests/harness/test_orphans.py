"""A grid that is edited after its start: its former runs are kept, not published."""

import dataclasses

import pytest

from harness import command
from harness.command import Request
from harness.corpus import Corpus
from harness.executors.events import Outcome
from harness.generate import finish, prepare, run_job
from harness.merge import merge, merged_text
from harness.plan import Plan, PlannedRun
from harness.record import finished_ids, shard_path
from harness.verify import verify


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


def test_checkpoints_are_swept_once_all_but_orphans_are_finished(tmp_path, known):
    assert train(tmp_path, known, plan(known, 0, 1), replacing=True) == list(known)[:2]
    shard_path(tmp_path / "shards", next(iter(known))).unlink()
    left = tmp_path / "checkpoints" / "c-a.pt"
    left.touch()
    prepare(tmp_path, plan(known, 0, 1), replacing=True)
    assert left.exists()
    assert train(tmp_path, known, plan(known, 1), replacing=True) == []
    assert not left.exists()


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


@pytest.fixture
def apart(tmp_path, known):
    """Two folders: "new", where runs 0 and 3 left the grid, and "old", before that."""
    train(tmp_path / "new", known, plan(known, 0, 3), replacing=True)
    train(tmp_path / "new", known, plan(known, 1, 2), replacing=True)
    train(tmp_path / "old", known, plan(known, 0, 1), replacing=True)
    return tmp_path / "new", tmp_path / "old"


@pytest.mark.parametrize(
    ("order", "out"),
    [((0, 1), "all"), ((1, 0), "all"), ((1,), "new"), ((0,), "old")],
)
def test_what_left_the_grid_in_one_merged_folder_is_not_published(
    apart, tmp_path, known, order, out
):
    ids, folder = list(known), tmp_path / out
    done = merge([apart[i] for i in order], folder)
    assert {run.run_id for run in Plan.load(folder).orphans} == {ids[0], ids[3]}
    assert finished_ids(folder / "shards") == set(ids)
    (note,) = (note for note in done.notes if note.startswith("orphans: "))
    assert note.startswith(f"orphans: 1 of {apart[0]}, though other folders plan them")
    assert f"such as {ids[0]} in {apart[1]}, for t4/digits)" in note
    places = [apart[0]] if out == "new" else [apart[0], folder]
    assert f"planned again in {' and '.join(map(str, places))}, by" in note
    finish(folder)
    assert set(Corpus.open(folder).runs()["run_id"]) == set(ids[1:3])
    again = merge([apart[i] for i in order], folder)
    assert (again.added, again.orphans) == (0, 2)
    for place in (apart[0], folder):  # as the note says
        train(place, known, plan(known, 0, 1, 2), replacing=True)
    assert merge([apart[i] for i in order], folder).orphans == 1
    assert finish(folder)["rows"]["runs"] == 3


def test_a_merged_run_is_published_for_a_grid_that_it_never_left(apart, known):
    (_, old), label = apart, "t1/digits"
    train(old, known, plan(known, 0, label=label), replacing=True)
    merge([old], apart[0])
    runs = {run.run_id: run.grids for run in Plan.load(apart[0]).runs}
    assert runs[next(iter(known))] == (label,)


def test_orphans_of_a_merge_are_no_work_to_do(tmp_path, known):
    train(tmp_path / "part", known, plan(known, 0, 1, 2), replacing=True)
    train(tmp_path / "part", known, plan(known, 1), replacing=True)
    for run in Plan.load(tmp_path / "part").orphans[:1]:
        shard_path(tmp_path / "part" / "shards", run.run_id).unlink()
    done = merge([tmp_path / "part"], tmp_path / "all")
    assert (done.planned, done.finished, done.failed, done.orphans) == (1, 1, 0, 2)
    assert merged_text(done).splitlines() == [
        f"1 of 1 runs finished in {tmp_path / 'all'}, 2 records new there",
        "orphans: 2, of grids that have changed; kept and not published",
    ]
    (unfinished,) = verify(tmp_path / "all")
    assert "1 of 1 planned runs are finished" in unfinished.what


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
