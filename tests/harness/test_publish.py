import dataclasses
import json
import shutil
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import publish
from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.publish import build, curve_segments
from harness.record import Curve
from harness.run_table import run_row, run_table
from harness.schema import CURVES, EVENTS, OOD_TABLE, RUNS, segment_of


def naive_segments(records):
    """Return {(segment, signal, run_id): [(step, value), ...]} one value at a time."""
    cells = defaultdict(list)
    for record in records:
        for signal, curve in record.curves.items():
            for step, value in zip(*curve, strict=True):
                key = segment_of(int(step), record.num_steps), signal
                cells[*key, record.config.run_id].append((int(step), float(value)))
    return cells


def flattened(segments):
    rows = [
        row for groups in segments.values() for g in groups for row in g.to_pylist()
    ]
    return {
        (r["segment"], r["signal"], r["run_id"]): list(
            zip(r["steps"], r["values"], strict=True)
        )
        for r in rows
    }


@pytest.mark.parametrize("num_steps", [5, 35, 100, 130])
def test_segments_are_those_of_a_loop_over_every_step(make_record, num_steps):
    records = [make_record(s, num_steps=num_steps) for s in range(3)]
    segments = curve_segments(records)
    assert flattened(segments) == naive_segments(records)
    for segment, groups in segments.items():
        keys = [(r["signal"], r["run_id"]) for g in groups for r in g.to_pylist()]
        assert keys == sorted(keys)
        for group in groups:
            assert set(group["segment"].to_pylist()) == {segment}
            assert len(set(group["signal"].to_pylist())) == 1


def test_a_long_signal_is_cut_into_row_groups(make_record, monkeypatch):
    records = [make_record(s) for s in range(7)]
    whole = flattened(curve_segments(records))
    monkeypatch.setattr(publish, "GROUP_VALUES", 100)
    segments = curve_segments(records)
    assert flattened(segments) == whole
    last = [g for g in segments[5] if g["signal"][0].as_py() == "train_loss"]
    assert [len(g) for g in last] == [2, 2, 2, 1]  # 50 values a run


def test_runs_without_curves_have_no_segment(make_record):
    record = make_record()
    empty = Curve(np.empty(0, np.int32), np.empty(0, np.float32))
    assert curve_segments([]) == {}
    assert curve_segments([make_record(status="failed")]) == {}
    bare = dataclasses.replace(record, curves={"train_loss": empty})
    assert curve_segments([bare]) == {}


def test_building_twice_gives_the_same_bytes(corpus_folder, tmp_path, some_records):
    second = tmp_path / "second"
    for record in reversed(some_records):
        record.save(second / "shards")
    grids = {r.config.run_id: ("t4/digits",) for r in some_records}
    again = build(second, name="test-corpus", grids=grids)
    first = Corpus.open(corpus_folder).manifest
    assert again["files"] == first["files"]
    assert build(second, name="test-corpus", grids=grids) == again
    assert not list(second.glob(".tmp-*"))


def test_many_small_blocks_hold_the_same_rows(corpus_folder, monkeypatch):
    before = Corpus.open(corpus_folder)
    tables = [before.curves(), before.runs(), before.ood(), before.events()]
    monkeypatch.setattr(publish, "BLOCK_VALUES", 1000)
    build(corpus_folder, name="b", grids={})
    after = Corpus.open(corpus_folder)
    assert len([f for f in after.manifest["files"] if "segment-0" in f]) > 3
    keys = ["segment", "signal", "run_id"]
    assert after.curves().sort(keys).equals(tables[0].sort(keys), null_equal=True)
    assert after.runs().drop("grids").equals(tables[1].drop("grids"), null_equal=True)
    assert after.ood().equals(tables[2])
    assert after.events().equals(tables[3])


def test_row_counts_and_targets_are_those_of_the_records(corpus_folder, some_records):
    corpus = Corpus.open(corpus_folder)
    done = [r for r in some_records if r.status != "failed"]
    assert corpus.manifest["rows"] == {
        "runs": 12,
        "curves": len(naive_segments(done)),
        "ood": sum(len(r.ood) for r in done),
        "events": 2,
        "signals": 8,
    }
    rows = {row["run_id"]: row for row in corpus.runs().to_dicts()}
    for record in some_records:
        row = rows[record.config.run_id]
        assert row["status"] == record.status
        assert row["family_id"] == record.config.family_id
        assert row["optimizer.lr"] == record.config.optimizer.params["lr"]
        assert row["optimizer.betas"] == "[0.9, 0.99]"
        assert row["grids"] == ["t4/digits"]
        if record.status == "failed":
            assert row["final.test_accuracy"] is row["ood.corrupted_accuracy"] is None
            assert row["error"].endswith("out of memory")
            continue
        assert row["final.test_accuracy"] == record.final["test_correct"] / 200
        mean = np.mean([cell.correct / 200 for cell in record.ood])
        assert row["ood.corrupted_accuracy"] == pytest.approx(mean, abs=1e-12)
        assert (row["final.test_loss"] is None) == (record.status == "diverged")
        assert row["cost.train_s"] == 1.5
        assert row["environment.threads"] == 1


def test_a_rebuild_takes_in_what_was_finished_since(corpus_folder, make_record):
    make_record(77).save(corpus_folder / "shards")
    assert build(corpus_folder, name="c", grids={})["rows"]["runs"] == 13


def test_a_damaged_shard_stops_the_build_and_keeps_the_old_tables(corpus_folder):
    path = next(iter(sorted((corpus_folder / "shards").iterdir())))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorpusError, match=path.name):
        build(corpus_folder, name="c", grids={})
    assert not list(corpus_folder.glob(".tmp-*"))
    assert len(Corpus.open(corpus_folder).runs()) == 12


@pytest.mark.parametrize("status", [None, "failed", "completed", "diverged"])
def test_small_corpora_have_every_table_with_its_columns(tmp_path, make_record, status):
    if status:
        make_record(status=status, ood=False).save(tmp_path / "shards")
    build(tmp_path, name="small", grids={})
    corpus = Corpus.open(tmp_path)
    assert corpus.curves().columns == CURVES.names
    assert corpus.ood().columns == OOD_TABLE.names
    assert corpus.events().columns == EVENTS.names
    assert set(RUNS.names) <= set(corpus.runs().columns)
    assert len(corpus.runs()) == (status is not None)
    assert "# small" in (tmp_path / "README.md").read_text()


def test_no_file_carries_schema_metadata_of_another_library(corpus_folder):
    paths = list(corpus_folder.rglob("*.parquet"))
    assert len(paths) > 20
    for path in paths:
        assert pq.read_schema(path).metadata is None
        assert set(pq.read_metadata(path).metadata or {}) <= {b"ARROW:schema"}


def test_columns_hold_one_type_whatever_runs_say():
    rows = [
        {"run_id": "a", "a": 1, "b": 1, "c": None, "cost.x": 1, "final.y_correct": 3},
        {"run_id": "b", "a": 0.5, "b": "[1]", "d": True, "cost.x": None},
    ]
    table = run_table(rows)
    assert table["a"].to_pylist() == [1.0, 0.5]
    assert table["b"].to_pylist() == ["1", "[1]"]
    assert table["c"].type == pa.null()
    assert table["d"].to_pylist() == [None, True]
    assert table["cost.x"].to_pylist() == [1.0, None]
    assert table.schema.field("final.y_correct").type == pa.int64()
    assert table["grids"].type == pa.list_(pa.string())


def test_nested_environments_are_flattened(make_record):
    record = dataclasses.replace(make_record(), environment={"a": {"b": [1, 2]}})
    assert run_row(record)["environment.a.b"] == "[1, 2]"


def test_the_card_lists_every_table_for_the_hub(corpus_folder):
    text = (corpus_folder / "README.md").read_text()
    front = text.split("---")[1]
    for table in ("runs", "curves", "ood", "events", "signals"):
        assert f"path: {table}/*.parquet" in front
    assert "| sgd | cosine | 6 |" in text


def test_the_manifest_hashes_every_published_file(corpus_folder):
    manifest = json.loads((corpus_folder / "corpus.json").read_text())
    published = {
        p.relative_to(corpus_folder).as_posix()
        for p in corpus_folder.rglob("*")
        if p.is_file() and p.parent.name != "shards" and p.name != "corpus.json"
    }
    assert set(manifest["files"]) == published
    shutil.rmtree(corpus_folder / "shards")
    assert len(Corpus.open(corpus_folder).runs()) == 12  # as downloaded
