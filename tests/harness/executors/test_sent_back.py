"""Files of cohorts that are trained where the corpus folder is not seen."""

import pytest
import torch

from harness import attempts
from harness.checkpoint import CheckpointFile
from harness.errors import CorpusError
from harness.executors.ray.sent_back import (
    Desk,
    discard_checkpoints,
    handed_out,
    take_in,
)
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, same_outcome

COHORT = "c-0123456789"


@pytest.fixture
def desk():
    found = Desk()
    yield found
    found.remove()


def test_what_appears_at_the_desk_arrives_once_and_as_it_was(
    desk, make_record, tmp_path
):
    record, state = make_record(0), {"step": 7, "weights": torch.arange(5.0)}
    for part in ("shards", "checkpoints"):
        (tmp_path / part).mkdir()
    desk.lay_out({})
    record.save(desk.folder / "shards")
    CheckpointFile(desk.folder / "checkpoints", COHORT).save(state)
    attempts.Logbook(desk.folder, COHORT, device="cpu").end("done")
    files, stamps = desk.changed()
    assert [name.split("/")[0] for name in files] == [
        "shards",
        "checkpoints",
        "attempts",
    ]
    assert desk.changed()[0] == files  # until it is known to have arrived
    for name, data in files.items():
        take_in(tmp_path, COHORT, name, data)
    desk.accept(stamps)
    assert desk.changed()[0] == {}
    (path,) = (tmp_path / "shards").iterdir()
    assert same_outcome(RunRecord.load(path), record)
    there = CheckpointFile(tmp_path / "checkpoints", COHORT)
    assert torch.equal(there.load()["weights"], state["weights"])
    assert [each.ending for each in attempts.load(tmp_path, COHORT)] == ["done"]
    discard_checkpoints(tmp_path, COHORT)
    assert there.load() is None


def test_a_worker_elsewhere_goes_on_from_what_it_is_handed(desk, make_record, tmp_path):
    record = make_record(0)
    run_id = record.config.run_id
    Plan((PlannedRun(record.config, run_id, COHORT, ("t4/digits",)),)).save(tmp_path)
    record.save(tmp_path / "shards")
    kept = CheckpointFile(tmp_path / "checkpoints", COHORT)
    for step in (3, 4):
        kept.save({"step": step})
    attempts.Logbook(tmp_path, COHORT, device="cpu").end("died")
    desk.lay_out(handed_out(tmp_path, COHORT, [run_id, "r-of-nobody"]))
    assert Plan.load(desk.folder) == Plan.load(tmp_path)
    found = CheckpointFile(desk.folder / "checkpoints", COHORT)
    assert found.load()["step"] == 4
    assert found.load(lambda state: state["step"] < 4)["step"] == 3
    assert attempts.load(desk.folder, COHORT) == attempts.load(tmp_path, COHORT)
    assert desk.changed()[0] == {}  # it came from there
    desk.forget()
    assert f"shards/{run_id}.parquet" in desk.changed()[0]  # for a driver anew


def test_the_newer_of_two_checkpoints_makes_the_older_the_second(desk, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    desk.lay_out({})
    for step in (1, 2):
        CheckpointFile(desk.folder / "checkpoints", COHORT).save({"step": step})
        files, stamps = desk.changed()
        for name, data in files.items():
            take_in(tmp_path, COHORT, name, data)
        desk.accept(stamps)
    arrived = CheckpointFile(tmp_path / "checkpoints", COHORT)
    assert arrived.load()["step"] == 2
    assert arrived.load(lambda state: state["step"] < 2)["step"] == 1


@pytest.mark.parametrize("part", ["shards", "checkpoints"])
def test_a_file_damaged_on_its_way_is_refused_and_leaves_no_trace(
    desk, make_record, tmp_path, part
):
    (tmp_path / part).mkdir()
    desk.lay_out({})
    make_record(0).save(desk.folder / "shards")
    CheckpointFile(desk.folder / "checkpoints", COHORT).save({"step": 1})
    files, _ = desk.changed()
    (name,) = (name for name in files if name.startswith(part))
    data = bytearray(files[name])
    data[len(data) // 2] ^= 1
    with pytest.raises(CorpusError, match=r"is damaged: it differs from"):
        take_in(tmp_path, COHORT, name, bytes(data))
    assert not list((tmp_path / part).iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "../shards/r-00.parquet",
        "plan.parquet",
        "manifest.json",
        "checkpoints/c-other.pt",
        "checkpoints/../../x.pt",
        f"attempts/../{COHORT}.json",
        "shards/r-00.failed.parquet",
    ],
)
def test_only_files_of_the_cohort_are_taken(tmp_path, name):
    with pytest.raises(CorpusError, match=r"which is no file of c-0123456789"):
        take_in(tmp_path, COHORT, name, b"anything")
    assert not list(tmp_path.rglob("*"))
