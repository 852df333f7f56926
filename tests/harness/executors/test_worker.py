"""What a worker makes of failures, of checkpoints of others and of requests to stop."""

import dataclasses
import gc
import os
import time
import weakref

import pytest
import torch

from harness.attempts import load
from harness.datasets.source import Source
from harness.device import Setting
from harness.executors.work import CohortWorker
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, same_outcome
from harness.spec import Part
from tests.harness.tiny import profile

ALIVE: "weakref.WeakSet[torch.nn.Module]" = weakref.WeakSet()


def hungry_model(in_shape, num_classes):
    """Fill the memory: there is room for two of these networks."""
    gc.collect()
    if len(ALIVE) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    return small_model(in_shape, num_classes)


def small_model(in_shape, num_classes):
    """Return a network that no cohort stacks."""
    width = in_shape[0] * in_shape[1] * in_shape[2]
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(width, num_classes))
    ALIVE.add(net)
    return net


def spoiling_model(in_shape, num_classes):
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.fixture
def begin(tmp_path):
    """Plan runs as one cohort; return a worker of their folder."""

    def begin(*runs, name="c-a", **options):
        before = Plan.load(tmp_path).runs
        runs = [run.resolve() for run in runs]
        planned = (PlannedRun(run, run.run_id, name, ("grid",)) for run in runs)
        Plan((*before, *planned)).save(tmp_path)
        source = Source(data_dir=None, cache_dir=tmp_path / "cache")
        return CohortWorker(tmp_path, source, Setting(device="cpu"), **options)

    return begin


def run(seed=0, model=None, **changes):
    base = profile().run(seed=seed, batch_size=128)
    parts = {} if model is None else {"model": Part(f"{__name__}:{model}")}
    return dataclasses.replace(base, **parts, **changes)


def records(folder):
    return {p.name: RunRecord.load(p) for p in (folder / "shards").glob("r-*")}


def stop_after(count):
    """Return an answer that is yes from the `count`-th question on."""
    asked = iter([False] * (count - 1))
    return lambda: next(asked, True)


def test_where_memory_does_not_suffice_runs_train_in_smaller_parts(begin, tmp_path):
    runs = [run(seed, "hungry_model") for seed in range(3)]
    worker = begin(*runs, checkpoint_s=0.0)
    report = worker.work("c-a")
    assert (report.ending, report.statuses) == ("done", ("completed",) * 3)
    found = records(tmp_path)
    packings = [each.environment["packing"] for each in found.values()]
    assert sorted(packings) == [1, 2, 2]
    assert list((tmp_path / "checkpoints").iterdir()) == []
    alone = begin(*(run(seed, "small_model") for seed in range(3)), name="c-b")
    assert alone.work("c-b").ending == "done"
    losses = {
        (each.config.model.name.rpartition(":")[2], each.config.seed): each.curves[
            "train_loss"
        ].values.tobytes()
        for each in records(tmp_path).values()
    }
    for seed in range(3):
        assert losses["hungry_model", seed] == losses["small_model", seed]


def test_one_run_that_does_not_fit_alone_is_out_of_memory(begin, tmp_path):
    kept = [small_model((1, 8, 8), 10) for _ in range(2)]  # somebody else's
    report = begin(run(0, "hungry_model")).work("c-a")
    assert len(kept) == len(ALIVE)
    assert (report.ending, report.kind, report.spoiled) == ("failed", "oom", False)
    assert "Tried to allocate 2 GiB" in report.error
    assert [each.ending for each in load(tmp_path, "c-a")] == ["oom"]
    assert records(tmp_path) == {}


def test_a_broken_device_spoils_the_worker(begin, tmp_path):
    report = begin(run(0, "spoiling_model")).work("c-a")
    assert (report.ending, report.kind, report.spoiled) == ("failed", "device", True)
    assert records(tmp_path) == {}


@pytest.mark.parametrize("after", [1, 2, 7])
def test_a_worker_that_is_stopped_keeps_its_state_at_any_update(begin, tmp_path, after):
    worker = begin(run(0), run(1), name="c-a")
    report = worker.work("c-a", interrupted=stop_after(after))
    assert (report.ending, records(tmp_path)) == ("interrupted", {})
    assert load(tmp_path, "c-a")[0].step == after
    assert begin(run(0), run(1), name="c-b").work("c-a").ending == "done"
    assert load(tmp_path, "c-a")[1].resumed_from == after
    resumed = records(tmp_path)
    for path in (tmp_path / "shards").iterdir():
        path.unlink()
    assert worker.work("c-a").ending == "done"
    for name, record in records(tmp_path).items():
        assert same_outcome(record, resumed[name])
        assert record.environment["earlier_attempts"] == 2


def test_a_stop_while_scoring_keeps_the_trained_state(begin, tmp_path):
    whole = begin(run(0))
    assert whole.work("c-a").ending == "done"
    (expected,) = records(tmp_path).values()
    next((tmp_path / "shards").iterdir()).unlink()
    report = whole.work("c-a", interrupted=stop_after(expected.num_steps + 3))
    assert report.ending == "interrupted"
    assert records(tmp_path) == {}  # no mean over a part of the cells
    assert load(tmp_path, "c-a")[-1].step == expected.num_steps
    assert whole.work("c-a").ending == "done"
    assert load(tmp_path, "c-a")[-1].resumed_from == expected.num_steps
    (resumed,) = records(tmp_path).values()
    assert same_outcome(resumed, expected)
    assert len(resumed.ood) == len(expected.ood) > 3


def test_checkpoints_that_were_swapped_are_not_used(begin, tmp_path, caplog):
    first = begin(run(0), name="c-a")
    second = begin(run(1), name="c-b")
    for worker, name in ((first, "c-a"), (second, "c-b")):
        assert worker.work(name, interrupted=stop_after(4)).ending == "interrupted"
    folder = tmp_path / "checkpoints"
    (folder / "c-a.pt").rename(folder / "kept")
    (folder / "c-b.pt").rename(folder / "c-a.pt")
    assert first.work("c-a").ending == "done"
    assert "the checkpoint does not hold r-" in caplog.text
    assert load(tmp_path, "c-a")[1].resumed_from == 0


def test_with_both_checkpoints_damaged_training_begins_anew(begin, tmp_path, caplog):
    worker = begin(run(0), checkpoint_s=0.0)
    worker.work("c-a", interrupted=stop_after(5))
    paths = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in paths] == ["c-a.old.pt", "c-a.pt"]
    for path, data in zip(paths, (b"", paths[1].read_bytes()[:-1]), strict=True):
        path.write_bytes(data)
    assert worker.work("c-a").ending == "done"
    assert caplog.text.count("checkpoint is not used") == 2
    assert [each.resumed_from for each in load(tmp_path, "c-a")] == [0, 0]
    (record,) = records(tmp_path).values()
    steps = record.curves["train_loss"].steps
    assert steps.tolist() == list(range(1, record.num_steps + 1))


def test_finished_runs_of_a_cohort_are_not_trained_again(begin, tmp_path):
    worker = begin(run(0), run(1))
    assert worker.work("c-a").statuses == ("completed", "completed")
    gone, kept = sorted((tmp_path / "shards").iterdir())
    before = kept.stat().st_mtime_ns
    gone.unlink()
    assert worker.work("c-a").statuses == ("completed",)
    assert kept.stat().st_mtime_ns == before
    assert worker.work("c-a").statuses == ()


def test_two_workers_at_one_cohort_commit_each_run_once(begin, tmp_path):
    """A claim that another host takes over in error, as its clock is an hour off."""
    slow, quick = begin(run(0)), begin(name="c-none")
    committed = []

    def steal():
        if not committed:
            claim = tmp_path / "leases" / "c-a.lease"
            claim.write_text('{"host": "elsewhere", "pid": 1, "start": "1"}')
            os.utime(claim, (time.time() - 3600,) * 2)
            assert quick.work("c-a").statuses == ("completed",)
            (path,) = (tmp_path / "shards").iterdir()
            committed.append((path, path.read_bytes()))
        return False

    assert slow.work("c-a", interrupted=steal).ending == "done"
    ((path, data),) = committed
    assert list((tmp_path / "shards").iterdir()) == [path]
    assert path.read_bytes() == data


def test_where_a_record_cannot_be_written_the_worker_says_so(begin, tmp_path):
    (tmp_path / "shards").write_text("a file where a folder is needed")
    report = begin(run(0)).work("c-a")
    assert report.ending == "no-space"
    assert "cannot write" in report.error
