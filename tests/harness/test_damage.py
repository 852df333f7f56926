"""Records are set aside only if their bytes differ, by whoever comes first."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import damage
from harness.damage import record_fault, set_damaged_aside
from harness.errors import CorpusError
from harness.record import RunRecord, same_outcome

REFUSALS: dict[str, tuple[object, str, BaseException]] = {
    "stale": (Path, "is_file", OSError(errno.ESTALE, os.strerror(errno.ESTALE))),
    "disk": (Path, "read_bytes", OSError(errno.EIO, os.strerror(errno.EIO))),
    "memory": (pq, "ParquetFile", pa.ArrowMemoryError("malloc of size 64 failed")),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_record_that_cannot_be_read_now_keeps_its_name(
    tmp_path, make_record, monkeypatch, kind
):
    place, name, error = REFUSALS[kind]
    record = make_record(1)
    path = record.save(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(place, name, refuse)
        with pytest.raises(CorpusError, match=rf"{path.name} .*{error.args[-1]}"):
            RunRecord.load(path)
        assert record_fault(path).bytes_differ is False
        message = (
            rf"{path.name} .*{error.args[-1]}: .*nothing was renamed.*same command"
        )
        with pytest.raises(CorpusError, match=message):
            set_damaged_aside(tmp_path, [record.config.run_id])
    assert list(tmp_path.iterdir()) == [path]
    assert set_damaged_aside(tmp_path, [record.config.run_id]) == []
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def at_the_call(monkeypatch) -> Callable[[object, str, Callable[[], object]], None]:
    """Let another process act right before the next call of a function."""

    def arrange(place: Any, name: str, act: Callable[[], object]) -> None:
        real = getattr(place, name)

        def call(*given: object) -> object:
            monkeypatch.setattr(place, name, real)
            act()
            return real(*given)

        monkeypatch.setattr(place, name, call)

    return arrange


MOMENTS = {"looking": (damage, "sha256_of"), "renaming": (Path, "rename")}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("trained", [False, True])
def test_of_two_that_set_one_record_aside_the_second_changes_nothing(
    tmp_path, make_record, at_the_call, moment, failed, trained
):
    record = make_record(1, status="failed" if failed else "completed")
    path = record.save(tmp_path)
    path.write_bytes(b"damaged")
    ids = [record.config.run_id]
    told = []

    def other_driver() -> None:
        told.extend(set_damaged_aside(tmp_path, ids))
        if trained:
            record.save(tmp_path)
        if moment == "looking":  # what is seen to be another file keeps its name
            at_the_call(Path, "rename", lambda: pytest.fail("renamed"))

    at_the_call(*MOMENTS[moment], other_driver)
    assert set_damaged_aside(tmp_path, ids) == []
    assert len(told) == 1
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == b"damaged"
    assert sorted(tmp_path.iterdir()) == sorted([aside, *([path] if trained else [])])
    if trained:
        assert same_outcome(RunRecord.load(path), record)


def test_a_newer_record_is_not_replaced_by_one_that_was_renamed_by_mistake(
    tmp_path, make_record, at_the_call, monkeypatch
):
    record = make_record(1)
    path = record.save(tmp_path)
    path.write_bytes(b"damaged")
    ids = [record.config.run_id]

    def other_driver() -> None:
        set_damaged_aside(tmp_path, ids)
        record.save(tmp_path)
        at_the_call(damage, "link", lambda: path.write_bytes(b"newer"))

    at_the_call(Path, "rename", other_driver)
    assert set_damaged_aside(tmp_path, ids) == []
    assert path.read_bytes() == b"newer"
    assert len(list(tmp_path.iterdir())) == 2
