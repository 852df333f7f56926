"""Sealed Parquet: ordinary to every reader, and no changed byte passes."""

import subprocess
import sys

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from harness.errors import CorpusError
from harness.sealed import check_seal, read_sealed, write_sealed
from harness.seeds import stream
from harness.storage import read_parquet, write_parquet
from tests.conftest import ROOT


@pytest.fixture
def table():
    values = stream(0, "test/sealed").random(200)
    return pa.table({"id": [f"r-{i}" for i in range(200)], "value": values})


@pytest.fixture
def sealed(tmp_path, table):
    path = tmp_path / "t.parquet"
    write_sealed(path, table)
    return path


def test_what_is_read_is_what_was_written(sealed, table):
    assert read_sealed(sealed).equals(table)
    assert read_sealed(sealed, ["value"]).equals(table.select(["value"]))


def test_reading_leaves_no_thread_that_could_abort_the_process_at_its_end(sealed):
    script = (
        "import sys; from pathlib import Path; from harness.sealed import read_sealed\n"
        "tasks = Path('/proc/self/task')\n"
        "before = len([*tasks.iterdir()])\n"
        "read_sealed(Path(sys.argv[1]))\n"
        "print(before, len([*tasks.iterdir()]))"
    )
    command = [sys.executable, "-c", script, sealed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = done.stdout.split()
    assert after == before


def test_every_reader_takes_it_for_ordinary_parquet(sealed, table):
    assert read_parquet(sealed).equals(table)
    values = table["value"].to_numpy()
    assert pl.read_parquet(sealed)["value"].to_list() == values.tolist()
    ((total,),) = duckdb.sql(f"select sum(value) from '{sealed}'").fetchall()
    assert total == pytest.approx(np.sum(values), rel=1e-12)


def test_the_metadata_of_the_schema_stays(tmp_path, table):
    path = tmp_path / "t.parquet"
    write_sealed(path, table.replace_schema_metadata({"runcast": "1.2"}))
    assert read_sealed(path).schema.metadata[b"runcast"] == b"1.2"


def test_every_changed_byte_is_told(sealed, table):
    """Each of the file's bytes, with one of its bits flipped."""
    data = sealed.read_bytes()
    bits = stream(1, "test/sealed").integers(0, 8, len(data))
    undetected = []
    for place, bit in enumerate(bits):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(bit)
        sealed.write_bytes(damaged)
        try:
            check_seal(sealed)
        except CorpusError:
            continue
        undetected.append(place)
    assert undetected == []
    assert len(data) > 2000


def test_every_shorter_file_is_told(sealed):
    data = sealed.read_bytes()
    undetected = []
    for length in range(len(data)):
        sealed.write_bytes(data[:length])
        try:
            read_sealed(sealed)
        except CorpusError:
            continue
        undetected.append(length)
    assert undetected == []


def test_what_carries_no_digest_is_refused(tmp_path, table):
    write_parquet(tmp_path / "plain", table)
    with pytest.raises(CorpusError, match=r"carries no digest"):
        read_sealed(tmp_path / "plain")
    (tmp_path / "empty").touch()
    with pytest.raises(CorpusError, match=r"empty"):
        read_sealed(tmp_path / "empty")
    for name in ("nothing", "."):
        with pytest.raises(CorpusError, match=r"missing or no regular file"):
            check_seal(tmp_path / name)
