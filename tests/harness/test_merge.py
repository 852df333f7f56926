"""Folders that were trained apart, joined into one."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.compare import first_difference
from harness.corpus import Corpus
from harness.errors import CorpusError, RuncastError
from harness.generate import finish
from harness.lease import Lease
from harness.merge import merge, merged_text
from harness.plan import Plan, PlannedRun
from harness.record import Curve, RunRecord, same_outcome, shard_path
from harness.status import status
from harness.verify import verify


@pytest.fixture
def part(tmp_path, make_record):
    """A function that makes a folder in which some of the planned runs ended."""

    def make(name, ended, planned=range(4), grid="t4/digits", **factors) -> Path:
        configs = [make_record(seed, **factors).config for seed in planned]
        runs = (PlannedRun(c, c.run_id, f"c-{c.seed // 2}", (grid,)) for c in configs)
        Plan(tuple(runs)).save(tmp_path / name)
        for seed in ended:
            record = seed if isinstance(seed, RunRecord) else make_record(seed)
            record.save(tmp_path / name / "shards")
        return tmp_path / name

    return make


def shards(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "shards").glob("r-*")}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def trained_by(record: RunRecord, version: str) -> RunRecord:
    return dataclasses.replace(record, environment={"runcast": version})


def with_step(record: RunRecord, signal: str, index: int, value: float) -> RunRecord:
    steps, values = record.curves[signal]
    changed = values.copy()
    changed[index] = value
    curves = record.curves | {signal: Curve(steps, changed)}
    return dataclasses.replace(record, curves=curves)


def test_the_parts_of_an_array_become_one_corpus_that_verifies(
    part, tmp_path, make_record
):
    parts = [part("a", [0, 3]), part("b", [1]), part("c", [2])]
    before = [everything(folder) for folder in parts]
    done = merge(parts, tmp_path / "all")
    finish(tmp_path / "all")
    assert (done.planned, done.finished, done.failed, done.added) == (4, 4, 0, 4)
    assert verify(tmp_path / "all") == []
    assert status(tmp_path / "all").is_done
    ids = {make_record(seed).config.run_id for seed in range(4)}
    assert set(Corpus.open(tmp_path / "all").runs()["run_id"]) == ids
    assert [everything(folder) for folder in parts] == before


def test_grids_of_a_shared_run_are_united_and_cohorts_kept(part, tmp_path):
    parts = [part("a", [0], range(2)), part("b", [2], range(1, 3), "t8/digits")]
    merge(parts, tmp_path / "all")
    runs = {run.config.seed: run for run in Plan.load(tmp_path / "all").runs}
    assert {seed: run.grids for seed, run in runs.items()} == {
        0: ("t4/digits",),
        1: ("t4/digits", "t8/digits"),
        2: ("t8/digits",),
    }
    cohorts = {seed: run.cohort_id for seed, run in runs.items()}
    assert cohorts == {0: "c-0", 1: "c-0", 2: "c-1"}


@pytest.mark.parametrize("name", ["a", "all"])
def test_merging_again_adds_only_what_is_new(part, tmp_path, make_record, name):
    parts, out = [part("a", [0]), part("b", [1])], tmp_path / name
    merge(parts, out)
    before = shards(out)
    assert merge(parts, out).added == 0
    assert shards(out) == before
    make_record(2).save(parts[1] / "shards")
    assert merge(parts, out).added == 1
    assert len(shards(out)) == 3


def test_a_folder_named_twice_is_merged_once(part, tmp_path):
    folder = part("a", [0])
    done = merge([folder, folder / ".." / "a"], tmp_path / "all")
    assert (done.added, done.notes) == (1, ())


@pytest.mark.parametrize(
    ("order", "out", "kept"),
    [("aba", "all", "a"), ("bab", "all", "b"), ("ab", "b", "b"), ("bcab", "c", "b")],
)
def test_the_record_kept_is_of_out_and_else_of_the_folder_named_first(
    part, tmp_path, make_record, order, out, kept
):
    one, other = make_record(0), with_step(make_record(0), "train_loss", 36, 0.5)
    folders = {"a": part("a", [one]), "b": part("b", [other]), "c": part("c", [])}
    done = merge([folders[name] for name in order], tmp_path / out, keep="first")
    path = shard_path(tmp_path / out / "shards", one.config.run_id)
    expected = one if kept == "a" else other
    assert same_outcome(RunRecord.load(path), expected)
    (note,) = done.notes
    assert note.endswith(f"from {folders[kept] / 'shards' / path.name}, which was kept")


def test_a_run_that_failed_in_one_folder_and_finished_in_another_is_finished(
    part, tmp_path, make_record
):
    failed = [make_record(seed, status="failed") for seed in (0, 1)]
    out = part("out", failed)
    done = merge([part("a", [0]), part("b", failed)], out)
    assert (done.finished, done.failed) == (1, 1)
    finished, left = (record.config.run_id for record in failed)
    assert set(shards(out)) == {f"{finished}.parquet", f"{left}.failed.parquet"}
    assert "1 failed" in merged_text(done)


def test_an_equal_duplicate_is_kept_once_with_a_note(part, tmp_path, make_record):
    slower = dataclasses.replace(make_record(0), costs={"train_s": 99.0})
    parts = [part("a", [0]), part("b", [slower])]
    done = merge(parts, tmp_path / "all")
    path = next((tmp_path / "all" / "shards").iterdir())
    assert RunRecord.load(path).costs == make_record(0).costs
    (note,) = done.notes
    assert str(parts[0]) in note
    assert str(parts[1]) in note
    assert note.startswith("duplicate: ")


def test_a_conflicting_duplicate_is_refused_with_both_paths_and_the_step(
    part, tmp_path, make_record
):
    one = make_record(0)
    other = with_step(one, "train_loss", 36, 0.5)
    parts = [part("a", [one, 1]), part("b", [other, make_record(2)])]
    paths = [shard_path(p / "shards", one.config.run_id) for p in parts]
    with pytest.raises(CorpusError, match=r"conflicting_duplicate") as raised:
        merge(parts, tmp_path / "all")
    told = str(raised.value)
    assert all(str(path) in told for path in paths)
    assert one.config.run_id in told
    assert "train_loss at step 37: " in told
    assert " and 0.5" in told
    assert not (tmp_path / "all").exists()


def test_keep_first_keeps_what_the_merged_folder_has_and_says_so(
    part, tmp_path, make_record
):
    one, other = make_record(0), with_step(make_record(0), "train_loss", 36, 0.5)
    parts, out = [part("a", [one]), part("b", [other])], tmp_path / "all"
    for order in (parts, parts[::-1]):
        done = merge(order, out, keep="first")
        (path,) = (out / "shards").iterdir()
        assert same_outcome(RunRecord.load(path), one)
        assert any("differs from" in note for note in done.notes)


def test_all_problems_are_told_at_once_and_nothing_is_written(
    part, tmp_path, make_record
):
    parts = [part("a", [0, 1, 2]), part("b", [with_step(make_record(0), "lr", 0, 9)])]
    flipped, empty = (
        shard_path(parts[0] / "shards", make_record(seed).config.run_id)
        for seed in (1, 2)
    )
    data = bytearray(flipped.read_bytes())
    data[100] ^= 1
    flipped.write_bytes(data)
    empty.write_bytes(b"")
    plan = part("c", []) / "plan.parquet"
    plan.write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=r"nothing was merged") as raised:
        merge([*parts, plan.parent, tmp_path / "none"], tmp_path / "all")
    lines = str(raised.value).splitlines()[1:]
    assert len(lines) == 5
    for name in (flipped, empty, plan.parent, tmp_path / "none", "conflicting_dup"):
        assert any(line.startswith(str(name)) for line in lines), (name, lines)
    assert not (tmp_path / "all").exists()


def test_runs_of_another_minor_version_are_refused_unless_allowed(
    part, tmp_path, make_record
):
    old, patch = (
        trained_by(make_record(0), "0.0.9"),
        trained_by(make_record(1), "0.1.9"),
    )
    folder, out = part("a", [old, patch]), tmp_path / "all"
    with pytest.raises(CorpusError, match=r"was trained by runcast 0\.0\.9, this is"):
        merge([folder], out)
    assert not out.exists()
    merge([folder], out, allow_version=True)
    finish(out)
    rows = Corpus.open(out).runs().select("run_id", "environment.runcast").rows()
    assert dict(rows) == {old.config.run_id: "0.0.9", patch.config.run_id: "0.1.9"}
    with pytest.raises(CorpusError, match=r"--allow-version"):
        merge([part("b", [2])], out)


def test_a_folder_begun_by_another_minor_version_is_refused_unless_allowed(
    part, tmp_path
):
    script = (
        "import sys, harness; from pathlib import Path\n"
        "harness.__version__ = '0.7.1'\n"
        "from harness.plan import Plan\n"
        "Plan.load(Path(sys.argv[1])).save(Path(sys.argv[1]))"
    )
    folder = part("a", [0])
    subprocess.run([sys.executable, "-c", script, folder], check=True)
    with pytest.raises(CorpusError, match=r"a was begun by runcast 0\.7\.1, this is"):
        merge([folder], tmp_path / "all")
    assert merge([folder], tmp_path / "all", allow_version=True).added == 1


def test_records_in_no_plan_are_left_out_with_a_note(part, tmp_path, make_record):
    folder = part("a", [0])
    stranger = make_record(99).save(folder / "shards")
    done = merge([folder], tmp_path / "all")
    assert done.notes == (f"left out, as no plan has the run: {stranger}",)
    assert len(shards(tmp_path / "all")) == 1


@pytest.mark.parametrize("data", [b"", b"PAR1", None])
@pytest.mark.parametrize("name", ["a", "all"])
def test_a_damaged_plan_is_refused_with_the_one_cure_that_works(
    part, tmp_path, name, data
):
    parts, out = [part("a", [0, 1]), part("b", [2])], tmp_path / "all"
    merge(parts, out)
    plan = tmp_path / name / "plan.parquet"
    before = plan.read_bytes()
    plan.write_bytes(before[:-1] if data is None else data)
    with pytest.raises(CorpusError, match=r"delete it, and the same command") as raised:
        merge(parts, out)
    assert str(raised.value).count("plans again") == 1
    assert "--limit" not in str(raised.value)
    plan.unlink()
    if name == "a":
        part("a", [])  # the same command plans again
    assert merge(parts, out).finished == 3
    assert plan.read_bytes() == before


@pytest.mark.parametrize("kind", ["file", "corpus", "folder", "link"])
def test_a_place_that_cannot_hold_the_runs_is_refused(
    part, tmp_path, make_record, kind
):
    out = tmp_path / "all"
    if kind == "file":
        out.write_text("notes")
        told = r"all is no folder"
    elif kind == "corpus":
        out.mkdir()
        (out / "corpus.json").write_text("{}")
        told = r"without the records of its runs"
    else:
        path = shard_path(out / "shards", make_record(0).config.run_id)
        path.parent.mkdir(parents=True)
        elsewhere = make_record(0).save(tmp_path)
        path.mkdir() if kind == "folder" else path.symlink_to(elsewhere)
        told = r"is no file, where a record belongs: move it away"
    with pytest.raises(CorpusError, match=told):
        merge([part("a", [0])], out)


def test_no_folder_and_an_unknown_way_to_keep_are_bad_usage(part, tmp_path):
    with pytest.raises(ValueError, match=r"no folder is given"):
        merge([], tmp_path)
    with pytest.raises(ValueError, match=r"keep is 'last', expected one of equal, fi"):
        merge([part("a", [])], tmp_path / "all", keep="last")


def test_a_second_merge_into_a_folder_waits_for_no_one(part, tmp_path):
    lease = Lease.acquire(tmp_path / "all" / "leases", "plan")
    assert lease is not None
    with (
        lease,
        pytest.raises(RuncastError, match=r"another process merges or plans in"),
    ):
        merge([part("a", [0])], tmp_path / "all")
    assert merge([part("a", [0])], tmp_path / "all").added == 1


@pytest.mark.slow
def test_a_merge_killed_at_any_moment_and_run_again_ends_the_same(part, tmp_path):
    parts = [part(str(i), range(4 * i, 4 * i + 4), range(12)) for i in range(3)]
    merge(parts, tmp_path / "whole")
    out = tmp_path / "killed"
    script = (
        "import sys; from pathlib import Path; from harness.merge import merge\n"
        "merge([Path(p) for p in sys.argv[2:]], Path(sys.argv[1]))"
    )
    seen = []
    for wanted in (1, 6):  # killed once so many records are there
        process = subprocess.Popen([sys.executable, "-c", script, out, *parts])
        while process.poll() is None:
            time.sleep(0.001)
            if len([*out.glob("shards/r-*")]) >= wanted:
                os.kill(process.pid, signal.SIGKILL)
        process.wait()
        seen.append(len(shards(out)))
        assert set(shards(out).items()) - {*shards(tmp_path / "whole").items()} == set()
    merge(parts, out)
    assert seen == sorted(seen)
    assert shards(out) == shards(tmp_path / "whole")
    assert Plan.load(out) == Plan.load(tmp_path / "whole")


def test_records_are_copied_where_they_cannot_be_linked(part, tmp_path):
    other = Path("/dev/shm") / f"runcast-{os.getpid()}"
    folder = part("a", [0, 1])
    try:
        assert other.parent.stat().st_dev != folder.stat().st_dev
        assert merge([folder], other).added == 2
        assert shards(other) == shards(folder)
    finally:
        for path in sorted(other.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        other.rmdir()


def test_the_first_difference_of_two_records_is_found(make_record):
    one = make_record(0)
    late = with_step(one, "train_loss", 50, 1.0)
    early = with_step(late, "grad_norm", 3, np.nan)
    events = dataclasses.replace(one, final=one.final | {"test_correct": 7})
    shorter = Curve(one.curves["lr"].steps[:-1], one.curves["lr"].values[:-1])
    cut = dataclasses.replace(one, curves=one.curves | {"lr": shorter})
    costs = dataclasses.replace(one, costs={}, environment={"device": "cuda"})
    assert first_difference(one, costs) is None
    assert "train_loss at step 51: " in (first_difference(one, late) or "")
    assert " and nan" in (first_difference(one, early) or "")
    assert "grad_norm at step 4: " in (first_difference(one, early) or "")
    count = float(one.final["test_correct"])
    told = f"final.test_correct at step 100: {count} and 7.0"
    assert first_difference(one, events) == told
    last = one.curves["lr"].values[-1]
    assert first_difference(one, cut) == f"lr at step 100: {last!s} and no value"
    status = dataclasses.replace(one, status="diverged")
    told = "outcome at step 100: status completed and status diverged"
    assert first_difference(one, status) == told
    unknown = dataclasses.replace(one, error="another")
    assert "errors" in (first_difference(one, unknown) or "")


def test_the_command_merges_and_builds_the_tables(part, tmp_path, command_line):
    parts = [str(part("a", [0, 1])), str(part("b", [2]))]
    out = str(tmp_path / "all")
    code, text, err = command_line("merge", *parts, "--out", out)
    assert code == 0, err
    assert f"3 of 4 runs finished in {out}, 3 records new there" in text
    assert "1 not trained yet" in text
    code, text, _ = command_line("merge", *parts, "--out", out, "--json")
    assert (code, json.loads(text)["added"]) == (0, 0)
    assert json.loads(text)["rows"]["runs"] == 3
    assert command_line("verify", out)[0] == 0
    code, _, err = command_line("merge", str(tmp_path / "none"), "--out", out)
    assert code == 1
    assert "none is no folder" in err
    assert command_line("merge", *parts, "--out", out, "--keep", "last")[0] == 2
