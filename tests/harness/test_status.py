import dataclasses
import json
import os
import shutil
import socket
import time

import pytest

from harness.errors import CorpusError
from harness.lease import Lease
from harness.plan import Plan, PlannedRun
from harness.publish import build
from harness.status import STATES, status
from harness.status.text import status_text


def spent(record, costs, environment):
    return dataclasses.replace(record, costs=costs, environment=environment)


@pytest.fixture
def priced_folder(tmp_path, make_record):
    """Shards of three runs: two of one cohort as they are now, and an old one."""
    now = {"device": "GPU", "execution": "graph", "packing": 2}
    now["matmul_flops_per_s"] = 1e12
    costs = {"train_s": 4.0, "compile_s": 2.0, "wait_s": 0.0, "probe.hessian_s": 1.0}
    costs |= {"train_images": 8000.0, "train_flops": 2e12}
    records = [
        spent(make_record(0), costs, now),
        spent(make_record(1, status="diverged"), costs | {"train_s": 8.0}, now),
        spent(make_record(2), {"train_s": 5.0}, {"device": "cpu", "threads": 1}),
        make_record(3, status="failed"),
    ]
    for record in records:
        record.save(tmp_path / "priced" / "shards")
    runs = [PlannedRun(r.config, r.config.run_id, "c-0", ("g/x",)) for r in records]
    Plan(tuple(runs)).save(tmp_path / "priced")
    return tmp_path / "priced"


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
    assert (found.tables, found.workers, found.is_done) == ("current", (), False)
    assert [f.error for f in found.failures] == ["RuntimeError: out of memory"]
    assert sum(found.counts.values()) == found.planned


def test_runs_of_a_living_worker_are_running(planned_folder):
    with Lease.acquire(planned_folder / "leases", "c-3"):
        found = status(planned_folder)
    assert found.counts == counts(completed=9, diverged=2, failed=1, running=1)
    assert [worker.cohort for worker in found.workers] == ["c-3"]
    assert status(planned_folder).counts["running"] == 0


def test_a_dead_workers_lease_does_not_count(planned_folder):
    path = planned_folder / "leases" / "c-3.lease"
    path.parent.mkdir(exist_ok=True)
    gone = {"host": socket.gethostname(), "pid": 2**22 + 1, "start": "1"}
    path.write_text(json.dumps(gone))
    found = status(planned_folder)
    assert (found.workers, [g.pid for g in found.gone]) == ((), [2**22 + 1])
    assert found.counts["running"] == 0
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": "1"}))
    assert [w.host for w in status(planned_folder).workers] == ["elsewhere"]
    os.utime(path, (time.time() - 3600,) * 2)
    found = status(planned_folder)
    assert (found.workers, [g.host for g in found.gone]) == ((), ["elsewhere"])
    assert "the next start takes over" in status_text(found)


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


def test_commands_to_type_are_whole_and_alone_on_their_lines(
    planned_folder, make_record, tmp_path
):
    make_record(50).save(planned_folder / "shards")
    make_record(2, optimizer="adamw", lr=1.0).save(planned_folder / "shards")
    long = planned_folder.rename(tmp_path / f"a folder {'x' * 100}")
    told = status_text(status(long)).splitlines()
    at = told.index("the tables are built by")
    assert told[at + 1] == f"  harness tables '{long}'"


def test_of_a_downloaded_corpus_nothing_is_to_be_trained_or_built(corpus_folder):
    shutil.rmtree(corpus_folder / "shards")
    found = status(corpus_folder)
    assert found.counts["failed"] == 1
    told = status_text(found).splitlines()[1:]
    assert [line for line in told if "harness" in line] == []


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
    command = f"  python -m harness.work {planned_folder}"  # to be typed: never cut
    lines = [line for line in text.splitlines()[1:] if line != command]
    assert max(map(len, lines)) <= 80
    alike = dataclasses.replace(found, failures=found.failures * 15)
    assert f"{found.failures[0].run_id} and 14 more" in status_text(alike)
    (one,) = found.failures
    others = tuple(dataclasses.replace(one, error=f"E{i}") for i in range(15))
    many = dataclasses.replace(found, failures=others)
    assert "and 5 more like these" in status_text(many)


def test_costs_are_those_of_the_finished_runs(priced_folder):
    found = status(priced_folder).costs
    # training 4 + 8 + 5, compiling 2 + 2, waiting 0 + 0, the Hessian 1 + 1
    assert (found.runs, found.total_s) == (3, 23.0)
    by_name = {a.name: (a.runs, a.total_s, a.share) for a in found.accounts}
    assert by_name == {
        "train": (3, 17.0, 17 / 23),
        "compile": (2, 4.0, 4 / 23),
        "wait": (2, 0.0, 0.0),
        "probe.hessian": (2, 2.0, 2 / 23),
        **dict.fromkeys(("eval", "log", "save", "load", "lost"), (0, None, None)),
    }
    gpu, cpu = found.groups
    assert (gpu.device, gpu.execution, gpu.packing, gpu.runs) == ("GPU", "graph", 2, 2)
    assert (gpu.model, gpu.batch_size) == ("patchnet", 32)
    # 8000 images in 4 s and in 8 s, which is half of the cohort's
    assert (gpu.images_per_s, gpu.images_per_s_of_a_run) == (1500.0, 750.0)
    # 2e12 operations in 4 s and in 8 s, of 1e12 a second
    assert gpu.utilisation == (0.5 + 0.25) / 2
    assert (cpu.device, cpu.runs, cpu.images_per_s) == ("cpu", 1, None)


def test_costs_are_the_same_from_shards_and_from_tables(priced_folder, make_record):
    from_shards = status(priced_folder).costs
    build(priced_folder, name="x", grids={})
    assert status(priced_folder).costs == from_shards
    late = spent(make_record(3), {"train_s": 1.0, "save_s": 1}, {"device": "GPU"})
    late.save(priced_folder / "shards")
    both = status(priced_folder)
    assert both.tables == "outdated"
    build(priced_folder, name="x", grids={})
    assert status(priced_folder).costs == both.costs
    assert (both.costs.runs, both.costs.total_s) == (4, 25.0)


def test_costs_before_the_first_run_are_unknown(tmp_path, planned_folder):
    Plan.load(planned_folder).save(tmp_path / "new")
    found = status(tmp_path / "new")
    assert (found.costs.runs, found.costs.accounts) == (0, ())
    assert "spent on" not in status_text(found)


def test_the_answer_as_json_says_null_where_nothing_was_measured(priced_folder):
    answer = json.loads(
        json.dumps(dataclasses.asdict(status(priced_folder)), default=str)
    )
    assert answer["costs"]["accounts"][1] == {
        "name": "eval",
        "runs": 0,
        "total_s": None,
        "share": None,
    }
    assert answer["costs"]["groups"][1]["utilisation"] is None


def test_the_text_tells_costs(priced_folder):
    lines = [line.split() for line in status_text(status(priced_folder)).splitlines()]
    assert ["training", "3", "17.00", "73.9", "%"] in lines
    assert ["evaluation", "-", "-", "-"] in lines
    assert ["in", "all", "3", "23.00"] in lines
    at = lines.index(["training", "on", "GPU,", "execution", "graph"])
    assert lines[at + 2] == ["patchnet", "32", "2", "2", "1,500", "750", "37.5", "%"]
    assert lines[at + 6] == ["patchnet", "32", "-", "1", "-", "-", "-"]
