import dataclasses

import numpy as np
import pytest

from harness.errors import CorpusError
from harness.record import (
    Curve,
    RunRecord,
    failed_ids,
    finished_ids,
    same_outcome,
    shard_path,
)


def test_a_record_survives_bit_for_bit(tmp_path, make_record):
    tiny = np.nextafter(np.float32(0), np.float32(1))
    values = np.array([np.nan, np.inf, -np.inf, -0.0, tiny, 1e38], np.float32)
    curve = Curve(np.array([0, 1, 2, 3, 4, 9], np.int32), values)
    record = dataclasses.replace(
        make_record(status="diverged"),
        curves={"odd": curve, "none": Curve(curve.steps[:0], values[:0])},
        final={"a": None, "b": float("nan"), "c": float("-inf"), "d": 3, "e": 0.1},
        environment={"nested": {"list": [1, None]}, "text": "\u00fc"},
    )
    back = RunRecord.load(record.save(tmp_path))
    assert back.curves["odd"].values.tobytes() == values.tobytes()
    assert back.curves["odd"].steps.tolist() == [0, 1, 2, 3, 4, 9]
    assert back.curves["none"].values.dtype == np.float32
    assert len(back.curves["none"].steps) == 0
    assert np.isnan(back.final["b"])
    assert back.final["a"] is None
    assert {k: back.final[k] for k in "cde"} == {"c": -np.inf, "d": 3, "e": 0.1}
    assert type(back.final["d"]) is int
    for name in ("config", "status", "events", "ood", "costs", "environment"):
        assert getattr(back, name) == getattr(record, name)
    assert (back.num_steps, back.diverged_step) == (100, record.diverged_step)


def test_a_record_without_anything_measured_survives(tmp_path, make_record):
    record = dataclasses.replace(make_record(), curves={}, ood=(), final={}, costs={})
    assert same_outcome(RunRecord.load(record.save(tmp_path)), record)


def test_the_first_commit_of_a_run_wins(tmp_path, make_record):
    first = make_record()
    second = dataclasses.replace(first, costs={"train_s": 99.0})
    assert first.save(tmp_path) == second.save(tmp_path)
    assert (
        RunRecord.load(shard_path(tmp_path, first.config.run_id)).costs == first.costs
    )


def test_a_failed_run_gives_way_to_a_finished_one(tmp_path, make_record):
    failed, done = make_record(status="failed"), make_record()
    run_id = done.config.run_id
    failed.save(tmp_path)
    dataclasses.replace(failed, error="again").save(tmp_path)
    assert (finished_ids(tmp_path), failed_ids(tmp_path)) == (set(), {run_id})
    again = RunRecord.load(shard_path(tmp_path, run_id, failed=True))
    assert again.error == "again"
    done.save(tmp_path)
    assert (finished_ids(tmp_path), failed_ids(tmp_path)) == ({run_id}, set())
    failed.save(tmp_path)  # a worker that was slow to fail
    assert failed_ids(tmp_path) == set()


def test_foreign_files_are_no_runs(tmp_path, make_record):
    path = make_record().save(tmp_path)
    for name in (".tmp-1", "r-1.parquet", "r-x (copy).parquet", path.stem):
        (tmp_path / name).touch()
    assert finished_ids(tmp_path) == {path.stem}
    assert failed_ids(tmp_path) == set()


def test_a_renamed_record_is_refused(tmp_path, make_record):
    path = make_record().save(tmp_path)
    other = path.rename(path.with_name("r-00000000000000000000.parquet"))
    with pytest.raises(CorpusError, match="its name says r-0000"):
        RunRecord.load(other)


def test_a_damaged_record_is_refused_or_unchanged(tmp_path, make_record):
    record = make_record()
    path = record.save(tmp_path)
    intact = path.read_bytes()
    body = intact.index(b"PAR1") + 4, int(len(intact) * 0.4)
    refused = 0
    for position in np.random.default_rng(0).integers(*body, size=100):
        damaged = bytearray(intact)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            assert same_outcome(RunRecord.load(path), record)
        except CorpusError:
            refused += 1
    assert refused > 60


def test_outcomes_are_compared_without_costs(make_record):
    record = make_record(status="diverged")
    again = dataclasses.replace(record, costs={}, environment={"device": "cuda"})
    assert same_outcome(record, again)
    assert not same_outcome(record, make_record(1, status="diverged"))
    curves = {**record.curves}
    values = curves["train_loss"].values.copy()
    values[3] = np.nextafter(values[3], np.float32(9))
    curves["train_loss"] = curves["train_loss"]._replace(values=values)
    assert not same_outcome(record, dataclasses.replace(record, curves=curves))
