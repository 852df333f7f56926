import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.corpus import Corpus
from harness.manifest import manifest_text
from harness.plan import Plan, PlannedRun
from harness.record import shard_path
from harness.storage import sha256_of
from harness.verify import verify


def covered(folder):
    """Return the files that no single byte may be changed in."""
    published = [p for p in folder.rglob("*") if p.is_file()]
    assert len(published) > 20
    return sorted(published)


def kinds(folder):
    return [problem.kind for problem in verify(folder)]


def silent_flips(folder, trials):
    """Flip one random bit in one file and ask `verify`; return what it did not find."""
    missed = []
    rng = np.random.default_rng(0)
    files = covered(folder)
    for trial in range(trials):
        path = files[trial % len(files)]
        intact = path.read_bytes()
        position = int(rng.integers(len(intact)))
        damaged = bytearray(intact)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        found = [(p.path, p.kind) for p in verify(folder)]
        if found not in ([(path, "bytes")], [(path, "unreadable")]):
            missed.append((path, position, found))
        path.write_bytes(intact)
    return missed


def test_a_new_corpus_has_no_problem(corpus_folder):
    assert verify(corpus_folder) == []


def test_every_flipped_bit_is_found(corpus_folder):
    assert silent_flips(corpus_folder, 240) == []
    assert verify(corpus_folder) == []


@pytest.mark.slow
def test_a_thousand_flipped_bits_are_found(corpus_folder):
    assert silent_flips(corpus_folder, 1200) == []


def test_every_truncation_and_loss_is_found(corpus_folder):
    for path in covered(corpus_folder):
        intact = path.read_bytes()
        for content in (b"", intact[:-1], intact + b"\0"):
            path.write_bytes(content)
            problems = verify(corpus_folder)
            assert [p.path for p in problems] == [path]
            assert problems[0].kind in ("size", "bytes", "unreadable")
        path.unlink()
        assert {p.kind for p in verify(corpus_folder)} <= {"missing", "unfinished"}
        assert len(verify(corpus_folder)) == 1
        path.write_bytes(intact)


def test_swapped_files_are_found(corpus_folder):
    first, second = (
        corpus_folder / "curves" / f"segment-{k}-00000.parquet" for k in "01"
    )
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert {p.path for p in verify(corpus_folder)} == {first, second}


def test_swapped_shards_are_found(corpus_folder):
    first, second = sorted((corpus_folder / "shards").glob("*.parquet"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert {p.path for p in verify(corpus_folder)} == {first, second}


@pytest.mark.parametrize(
    "name", ["notes.txt", "runs/part-00001.parquet", "data/a.csv", "shards/x.txt"]
)
def test_extra_files_are_found(corpus_folder, name):
    path = corpus_folder / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert [(p.path, p.kind) for p in verify(corpus_folder)] == [(path, "extra")]


def test_work_state_is_no_problem(corpus_folder):
    for name in ("leases/c-1.lease", "checkpoints/c-1.pt", "shards/.tmp-1", ".tmp-2/x"):
        path = corpus_folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert verify(corpus_folder) == []


def test_a_new_shard_makes_the_tables_outdated(corpus_folder, make_record):
    path = make_record(99).save(corpus_folder / "shards")
    assert [(p.path, p.kind) for p in verify(corpus_folder)] == [(path, "outdated")]


@pytest.mark.parametrize("is_planned", [True, False])
def test_a_record_trained_again_makes_the_tables_outdated(
    corpus_folder, some_records, command_line, is_planned
):
    grids = ("t4/digits",)
    runs = [PlannedRun(r.config, r.config.run_id, "c-a", grids) for r in some_records]
    if is_planned:
        Plan(tuple(runs)).save(corpus_folder)
    path = shard_path(corpus_folder / "shards", runs[0].run_id)
    path.unlink()
    replace(some_records[0], costs={"train_s": 9.0}).save(path.parent)
    (problem,) = verify(corpus_folder)
    assert (problem.path, problem.kind) == (path, "outdated")
    # without a plan, `harness tables` would leave all runs out
    assert ("`harness tables` takes it in" in problem.what) is is_planned
    Plan(tuple(runs)).save(corpus_folder)
    assert command_line("tables", str(corpus_folder))[0] == 0
    assert verify(corpus_folder) == []
    assert Corpus.open(corpus_folder).runs()["cost.train_s"].max() == 9


def test_a_failed_run_that_finished_makes_the_tables_outdated(
    corpus_folder, some_records, make_record
):
    failed = next(r for r in some_records if r.status == "failed")
    done = make_record(2, optimizer="adamw", lr=1.0)
    assert done.config.run_id == failed.config.run_id
    done.save(corpus_folder / "shards")
    assert kinds(corpus_folder) == ["outdated"]


def test_a_published_corpus_needs_no_shards(corpus_folder):
    for path in (corpus_folder / "shards").iterdir():
        path.unlink()
    (corpus_folder / "shards").rmdir()
    assert verify(corpus_folder) == []


def test_all_problems_are_collected(corpus_folder):
    (corpus_folder / "extra").touch()
    (corpus_folder / "README.md").unlink()
    (corpus_folder / "ood" / "part-00000.parquet").write_bytes(b"")
    (corpus_folder / "signals" / "part-00000.parquet").unlink()
    assert sorted(kinds(corpus_folder)) == ["extra", "missing", "missing", "size"]


def test_an_unfinished_folder_says_how_far_it_is(tmp_path, make_record):
    make_record().save(tmp_path / "shards")
    (problem,) = verify(tmp_path)
    assert problem.kind == "unfinished"
    assert "1 of 0 planned runs" in problem.what
    assert "harness generate" in problem.what
    assert str(problem).startswith(f"{tmp_path}: ")


def test_what_is_no_folder_is_one_problem(tmp_path):
    assert kinds(tmp_path / "nothing") == ["unreadable"]


def rewritten(folder, table, change):
    """Change a table and make the manifest agree, as a careless editor would."""
    path = next(iter(sorted((folder / table).glob("*.parquet"))))
    frame = change(pl.from_arrow(pq.read_table(path)))
    pq.write_table(frame.to_arrow().cast(pq.read_schema(path)), path)
    manifest = json.loads((folder / "corpus.json").read_text())
    name = path.relative_to(folder).as_posix()
    manifest["files"][name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    (folder / "corpus.json").write_text(manifest_text(manifest))
    return [problem.what for problem in verify(folder)]


FIRST = pl.int_range(pl.len()) == 0
CONTRADICTIONS = {
    "rows": ("ood", lambda f: f.head(3), "has 3 rows, the manifest says 99"),
    "id": (
        "runs",
        lambda f: f.with_columns(
            config_json=pl.col("config_json").str.replace("32", "33")
        ),
        "ids differ from those of config_json",
    ),
    "family": (
        "runs",
        lambda f: f.with_columns(family_id=pl.lit("f-0")),
        "ids differ from those of config_json",
    ),
    "double": ("runs", lambda f: pl.concat([f.head(11), f.head(1)]), "listed twice"),
    "unknown": (
        "events",
        lambda f: f.with_columns(run_id=pl.lit("r-0")),
        "unknown run: r-0",
    ),
    "too many": (
        "ood",
        lambda f: f.with_columns(correct=pl.when(FIRST).then(201).otherwise(0)),
        "correct is not between 0 and n",
    ),
    "negative": (
        "ood",
        lambda f: f.with_columns(correct=pl.when(FIRST).then(-1).otherwise(0)),
        "correct is not between 0 and n",
    ),
    "target": (
        "runs",
        lambda f: f.with_columns(pl.col("final.test_correct") + 100),
        "final.test_correct is not between 0 and final.test_n",
    ),
    "uneven": (
        "curves",
        lambda f: f.with_columns(pl.col("values").list.head(1)),
        "steps and values differ in length",
    ),
    "order": (
        "curves",
        lambda f: f.with_columns(pl.col("steps").list.reverse()),
        "steps do not ascend",
    ),
    "twice": (
        "curves",
        lambda f: f.with_columns(pl.col("run_id").first()),
        "segment listed twice",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_rows_that_contradict_each_other_are_found(corpus_folder, name):
    table, change, expected = CONTRADICTIONS[name]
    found = rewritten(corpus_folder, table, change)
    assert any(expected in what for what in found), found


def test_a_table_of_another_schema_is_a_problem(corpus_folder):
    path = corpus_folder / "ood" / "part-00000.parquet"
    pq.write_table(pa.table({"run_id": ["r-0"]}), path)
    manifest = json.loads((corpus_folder / "corpus.json").read_text())
    entry = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    manifest["files"]["ood/part-00000.parquet"] = entry
    (corpus_folder / "corpus.json").write_text(manifest_text(manifest))
    (wrong, fewer) = verify(corpus_folder)
    assert (
        wrong.what == "lacks the column(s) set, corruption, severity, correct, n, loss"
    )
    assert fewer.kind == "rows"


def test_verify_and_status_do_not_load_torch(corpus_folder):
    code = (
        "import sys; from pathlib import Path\n"
        "from harness.verify import verify; from harness.status import status\n"
        f"assert not verify(Path({str(corpus_folder)!r}))\n"
        f"status(Path({str(corpus_folder)!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0
