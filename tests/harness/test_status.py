import dataclasses
import json
import os
import socket
import time

import pytest

from harness.errors import CorpusError
from harness.lease import Lease
from harness.plan import Plan, PlannedRun
from harness.publish import build
from harness.status import STATES, status, status_text


@pytest.fixture
def planned_folder(corpus_folder, some_records, make_record):
    """The finished corpus with a plan: 12 runs of grid a, one more of a and b."""
    extra = make_record(50).config
    configs = [(r.config, ("a/x",)) for r in some_records] + [(extra, ("a/x", "b/x"))]
    runs = tuple(
        PlannedRun(config, config.run_id, f"c-{i // 4}", grids)
        for i, (config, grids) in enumerate(configs)
    )
    Plan(runs).save(corpus_folder)
    return corpus_folder


def counts(completed=0, diverged=0, failed=0, running=0, pending=0):
    return dict(
        zip(STATES, (completed, diverged, failed, running, pending), strict=True)
    )


def test_runs_are_counted_by_state_and_grid(planned_folder):
    found = status(planned_folder)
    assert found.planned == 13
    assert found.counts == counts(completed=9, diverged=2, failed=1, pending=1)
    assert found.grids == {"a/x": found.counts, "b/x": counts(pending=1)}
    assert (found.tables, found.workers, found.is_done) == ("current", 0, False)
    assert [f.error for f in found.failures] == ["RuntimeError: out of memory"]


def test_runs_of_a_living_worker_are_running(planned_folder):
    with Lease.acquire(planned_folder / "leases", "c-3"):
        found = status(planned_folder)
    assert found.counts == counts(completed=9, diverged=2, failed=1, running=1)
    assert found.workers == 1
    assert status(planned_folder).counts["running"] == 0


def test_a_dead_workers_lease_does_not_count(planned_folder):
    path = planned_folder / "leases" / "c-3.lease"
    path.parent.mkdir(exist_ok=True)
    gone = {"host": socket.gethostname(), "pid": 2**22 + 1, "start": "1"}
    path.write_text(json.dumps(gone))
    assert status(planned_folder).workers == 0
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": "1"}))
    assert status(planned_folder).workers == 1
    os.utime(path, (time.time() - 3600,) * 2)
    assert status(planned_folder).workers == 0


def test_shards_beyond_the_tables_are_read(planned_folder, make_record):
    make_record(50, status="diverged").save(planned_folder / "shards")
    make_record(2, optimizer="adamw", lr=1.0).save(planned_folder / "shards")
    found = status(planned_folder)
    assert found.counts == counts(completed=10, diverged=3)
    assert (found.tables, found.is_done) == ("outdated", False)
    build(planned_folder, name="x", grids={})
    assert status(planned_folder).is_done


def test_a_folder_before_its_first_run_is_all_pending(tmp_path, planned_folder):
    Plan.load(planned_folder).save(tmp_path / "new")
    found = status(tmp_path / "new")
    assert found.counts == counts(pending=13)
    assert found.tables == "missing"


def test_a_downloaded_corpus_has_neither_plan_nor_shards(corpus_folder):
    for path in (corpus_folder / "shards").iterdir():
        path.unlink()
    (corpus_folder / "shards").rmdir()
    found = status(corpus_folder)
    assert found.counts == counts(completed=9, diverged=2, failed=1)
    assert found.grids == {}
    assert found.tables == "current"


def test_damaged_tables_are_told(planned_folder):
    (planned_folder / "corpus.json").write_text("{}")
    found = status(planned_folder)
    assert found.tables == "damaged"
    assert found.counts["completed"] == 9


def test_a_folder_of_nothing_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="neither a plan nor a corpus"):
        status(tmp_path)


def test_the_text_names_every_grid_and_failure_in_80_columns(planned_folder):
    found = status(planned_folder)
    text = status_text(found)
    table = [line.split() for line in text.splitlines()[3:6]]
    assert table == [
        ["a/x", "13", "9", "2", "1", "-", "1"],
        ["b/x", "1", "-", "-", "-", "-", "1"],
        ["total", "13", "9", "2", "1", "-", "1"],
    ]
    assert "RuntimeError: out of memory" in text
    assert "the same `harness generate` command goes on" in text
    assert max(map(len, text.splitlines()[1:])) <= 80
    many = dataclasses.replace(found, failures=found.failures * 15, workers=2)
    assert "and 5 more" in status_text(many)
    assert "2 at work" in status_text(many)
