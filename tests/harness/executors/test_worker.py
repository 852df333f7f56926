"""What a worker makes of failures, of checkpoints of others and of requests to stop."""

import dataclasses
import gc
import itertools
import os
import threading
import time
import weakref

import pytest
import torch

from harness.attempts import load
from harness.datasets.source import Source
from harness.device import Setting
from harness.executors.process import Driver, serve
from harness.executors.work import CohortWorker
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, same_outcome
from harness.spec import Part, Recording
from harness.status.look import status
from harness.status.text import status_text
from tests.harness.tiny import profile

ALIVE: "weakref.WeakSet[torch.nn.Module]" = weakref.WeakSet()


def hungry_model(in_shape, num_classes, *, room=2):
    """Fill the memory: there is room for two of these networks."""
    if len(ALIVE) >= room:
        gc.collect()
    if len(ALIVE) >= room:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    return small_model(in_shape, num_classes)


def paired_model(in_shape, num_classes):
    """Leave room for two that train and one whose operations are counted."""
    return hungry_model(in_shape, num_classes, room=3)


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


@pytest.mark.parametrize("count", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_a_part_that_was_stopped_goes_on_where_it_was(begin, tmp_path, count):
    """The second part is stopped; of eight runs, two parts are still to come."""
    unscored = Recording(train_subset=8, evals_per_epoch=1)
    runs = [run(seed, "paired_model", recording=unscored) for seed in range(count)]
    worker = begin(*runs)
    asked = itertools.count(1)
    report = worker.work(
        "c-a", interrupted=lambda: len(records(tmp_path)) == 2 and next(asked) == 3
    )
    assert (report.ending, len(records(tmp_path))) == ("interrupted", 2)
    assert begin().work("c-a").statuses == ("completed",) * (count - 2)
    assert [each.resumed_from for each in load(tmp_path, "c-a")] == [0, 3]
    assert list((tmp_path / "checkpoints").iterdir()) == []
    resumed = records(tmp_path)
    assert [each.environment["packing"] for each in resumed.values()] == [2] * count
    for path in (tmp_path / "shards").iterdir():
        path.unlink()
    assert worker.work("c-a").ending == "done"
    for name, record in records(tmp_path).items():
        assert same_outcome(record, resumed[name])


def test_every_part_of_runs_that_do_not_fit_any_more_goes_on_where_all_were(
    begin, tmp_path
):
    worker = begin(*(run(seed, "paired_model") for seed in range(3)))
    assert worker.work("c-a", interrupted=stop_after(3)).ending == "interrupted"
    kept = small_model((1, 8, 8), 10)  # somebody else's: there is room for one less
    asked = []
    report = worker.work("c-a", interrupted=lambda: asked.append(kept) is not None)
    assert report.statuses == ("completed",) * 3
    found = list(records(tmp_path).values())
    assert sorted(each.environment["packing"] for each in found) == [1, 2, 2]
    left = found[0].num_steps - 1 - 3  # it asks after every update but the last
    assert len(asked) == 2 * (left + len(found[0].ood))
    assert list((tmp_path / "checkpoints").iterdir()) == []


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


def test_a_worker_whose_driver_is_dead_keeps_its_state_and_ends(begin, tmp_path):
    reader, writer = os.pipe()
    driver = Driver(os.fdopen(writer, "w", buffering=1))

    def lines():
        """Give an order and die, so that only the answers tell."""
        assert os.read(reader, 100) == b'{"ready": true}\n'
        os.close(reader)
        yield '{"cohort": "c-a"}'
        gone.wait()

    gone = threading.Event()
    listening = threading.Thread(target=driver.listen, args=(lines(),), daemon=True)
    listening.start()
    serve(begin(run(0)), driver)
    driver.close()
    gone.set()
    listening.join()
    (attempt,) = load(tmp_path, "c-a")
    assert (attempt.ending, attempt.step) == ("interrupted", 1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["c-a.pt"]


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


def test_where_a_checkpoint_cannot_be_removed_its_runs_are_no_failures(begin, tmp_path):
    (tmp_path / "checkpoints" / "c-a.pt").mkdir(parents=True)
    report = begin(run(0)).work("c-a")
    assert report.ending == "no-space"
    assert f"{tmp_path / 'checkpoints' / 'c-a.pt'}: " in report.error
    assert [each.status for each in records(tmp_path).values()] == ["completed"]


def test_an_attempt_that_could_not_write_its_record_is_told_from_a_killed_one(
    begin, tmp_path
):
    worker = begin(run(0))
    (tmp_path / "shards").write_text("a file where a folder is needed")
    error = worker.work("c-a").error
    (attempt,) = load(tmp_path, "c-a")
    assert (attempt.ending, attempt.error) == ("no-space", error)
    (tmp_path / "shards").unlink()
    assert worker.work("c-a").ending == "done"
    text = status_text(status(tmp_path))
    assert "retried: c-a could not write its files on " in text
    assert "was killed" not in text


def test_where_the_history_cannot_be_written_either_the_first_fault_is_told(
    begin, tmp_path
):
    def spoil():
        for part in ("attempts", "checkpoints"):
            if (tmp_path / part).exists():
                (tmp_path / part).rename(tmp_path / f"{part}-before")
            (tmp_path / part).write_text("a file where a folder is needed")
        return True

    report = begin(run(0)).work("c-a", interrupted=spoil)
    assert report.ending == "no-space"
    assert f"cannot write {tmp_path / 'checkpoints' / 'c-a.pt'}" in report.error
    assert list((tmp_path / "leases").glob("*.lease")) == []


def test_orphans_are_not_trained_and_their_neighbours_do_not_notice(begin, tmp_path):
    whole = begin(run(0), run(1))
    assert whole.work("c-a").ending == "done"
    expected = records(tmp_path)
    for path in (tmp_path / "shards").iterdir():
        path.unlink()
    orphan = leave_grid(tmp_path, run(0))
    assert begin().work("c-a").statuses == ("completed",)
    ((name, record),) = records(tmp_path).items()
    assert name != f"{orphan}.parquet"
    assert same_outcome(record, expected[name])
    assert begin().work("c-a").statuses == ()
    assert list((tmp_path / "shards").glob(f"{orphan}*")) == []


def test_an_orphan_that_comes_back_takes_no_state_from_its_neighbours(begin, tmp_path):
    planned = [run(seed) for seed in range(3)]
    assert begin(*planned).work("c-a", interrupted=stop_after(2)).ending == (
        "interrupted"
    )
    before = Plan.load(tmp_path)
    leave_grid(tmp_path, planned[0])
    assert begin().work("c-a", interrupted=stop_after(3)).ending == "interrupted"
    before.save(tmp_path)
    assert begin().work("c-a", interrupted=stop_after(1)).ending == "interrupted"
    assert begin().work("c-a").statuses == ("completed",) * 3
    resumed = [each.resumed_from for each in load(tmp_path, "c-a")]
    assert resumed == [0, 2, 5, 2]  # the last to go on was the orphan
    assert list((tmp_path / "checkpoints").iterdir()) == []


def leave_grid(folder, config):
    """Make an orphan of a planned run; return its id."""
    run_id = config.resolve().run_id
    runs = Plan.load(folder).runs
    left = (dataclasses.replace(r, grids=()) if r.run_id == run_id else r for r in runs)
    Plan(tuple(left)).save(folder)
    return run_id
