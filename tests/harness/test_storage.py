import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness import storage
from harness.errors import CorpusError, StorageError
from harness.lease import Lease
from harness.storage import (
    ABANDONED_S,
    creating,
    open_parquet,
    read_parquet,
    replacing,
    sha256_of,
    sweep,
    time_in,
    write_parquet,
    write_text,
)

KILL_WRITERS = """
import itertools, os, random, signal, sys, time
from pathlib import Path
from harness.storage import creating, replacing

folder, trials, delays, seen = Path(sys.argv[1]), int(sys.argv[2]), random.Random(0), 0
for _ in range(trials):
    begun, begin = os.pipe()
    child = os.fork()
    for i in itertools.count() if child == 0 else ():
        for commit, name in ((replacing, "same"), (creating, f"new-{i}")):
            with commit(folder / name) as temporary:
                temporary.write_bytes(bytes([i % 251]) * 50_000)
        os.write(begin, b"." if i == 0 else b"")
    os.read(begun, 1)
    time.sleep(delays.uniform(0.001, 0.02))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    os.close(begun), os.close(begin)
    for path in folder.glob("[!.]*"):
        content = path.read_bytes()
        assert len(content) == 50_000 and len(set(content)) == 1, path
        path.unlink()
        seen += 1
print(seen, len(list(folder.glob(".tmp-*"))))
"""


def test_a_file_is_replaced_and_no_temporary_stays(tmp_path):
    write_text(tmp_path / "deep" / "a.txt", "old")
    write_text(tmp_path / "deep" / "a.txt", "new")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]
    assert (tmp_path / "deep" / "a.txt").read_text() == "new"


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with (
        pytest.raises(ZeroDivisionError, match="division"),
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text(str(1 / 0))
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_the_first_creator_wins(tmp_path):
    for text in ("first", "second"):
        with creating(tmp_path / "a.txt") as temporary:
            temporary.write_text(text)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["first"]


def kill_writers(folder: Path, trials: int) -> tuple[int, int]:
    """Kill a writing process at random times; return whole files seen, and leftovers.

    The child itself fails at the first visible file that is not whole.
    """
    command = [sys.executable, "-c", KILL_WRITERS, str(folder), str(trials)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen, left = map(int, done.stdout.split())
    return seen, left


def test_visible_files_are_whole_after_kill(tmp_path):
    seen, left = kill_writers(tmp_path, 40)
    assert seen > 20  # the writers did write ...
    assert left > 4  # ... and were killed in the middle of it


@pytest.mark.slow
def test_visible_files_are_whole_after_a_thousand_kills(tmp_path):
    seen, left = kill_writers(tmp_path, 1000)
    assert seen > 500
    assert left > 100


def test_a_full_disk_names_the_path_and_leaves_no_trace(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*a\.txt.*too large"):
            write_text(tmp_path / "a.txt", "x" * 20_000)
        noise = pa.table({"x": np.random.default_rng(0).random(10_000)})
        with (
            pytest.raises(StorageError, match=r"cannot write .*t\.parquet"),
            replacing(tmp_path / "t.parquet") as temporary,
        ):
            write_parquet(temporary, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_storage_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="mend the permissions"):
        write_text(tmp_path / "a.txt", "")


def test_a_file_in_place_of_a_folder_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "")


@pytest.fixture
def later(monkeypatch) -> float:
    """Let so much time go by for files that what they hold is abandoned."""
    later = time.time() + 2 * ABANDONED_S
    monkeypatch.setattr(storage, "time_in", lambda folder: later)
    return later


def test_old_temporaries_are_swept_and_young_ones_stay(tmp_path, later):
    for place in (tmp_path, tmp_path / "shards"):
        (place / ".tmp-old" / "runs").mkdir(parents=True)
        (place / ".tmp-young").mkdir()
        (place / ".tmp-file").touch()
        (place / ".tmp-link").symlink_to("nowhere")
        os.utime(place / ".tmp-young", (later, later))
    (tmp_path / "keep").touch()
    sweep(tmp_path)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
    assert left == [".tmp-young", "keep", "shards", "shards/.tmp-young"]


@pytest.mark.parametrize("skew_s", [-2 * ABANDONED_S, 2 * ABANDONED_S])
def test_whether_a_temporary_is_abandoned_the_clock_of_the_files_tells(
    tmp_path, monkeypatch, skew_s
):
    (tmp_path / ".tmp-living").touch()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + skew_s)
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".tmp-living"]
    monkeypatch.setattr(storage, "time_in", lambda folder: now + 2 * ABANDONED_S)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_that_was_linked_is_as_young_as_the_link(tmp_path):
    record, linked = tmp_path / "record", tmp_path / ".tmp-linked"
    record.touch()
    os.utime(record, (0.0, 0.0))
    os.link(record, linked)
    sweep(tmp_path)
    assert linked.exists()


def test_nothing_is_written_to_a_folder_without_temporaries(tmp_path, monkeypatch):
    (tmp_path / "shards" / ".tmp-a").mkdir(parents=True)
    (tmp_path / "leases" / "c-1").mkdir(parents=True)
    (tmp_path / ".tmp-b" / ".tmp-c").mkdir(parents=True)
    asked = []
    monkeypatch.setattr(storage, "time_in", lambda folder: asked.append(folder))
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path)
    assert sorted(asked) == [tmp_path, tmp_path / "shards"]
    assert sorted(tmp_path.rglob("*")) == before  # as no time could be told


def test_the_time_of_a_folder_is_that_of_its_file_system_and_leaves_nothing(tmp_path):
    (tmp_path / "before").touch()
    now = time_in(tmp_path)
    (tmp_path / "after").touch()
    before, after = ((tmp_path / n).stat().st_mtime for n in ("before", "after"))
    assert before <= now <= after
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before"]


def test_a_temporary_that_cannot_be_removed_does_not_hide_what_went_wrong(tmp_path):
    folder = tmp_path / "folder"

    def lose() -> None:
        folder.rmdir()
        folder.symlink_to(folder)  # from here on every call fails, removal too

    message = r"cannot write .*a\.txt: Too many levels of symbolic links"
    with (
        pytest.raises(StorageError, match=message),
        replacing(folder / "a.txt"),
    ):
        lose()


@pytest.mark.parametrize("name", ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"])
def test_a_file_system_without_hard_links_is_named(tmp_path, monkeypatch, name):
    def refuse(source: Path, target: Path) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(os, "link", refuse)
    message = r"cannot write .*a\.txt: .* makes no hard links.* another folder"
    with (
        pytest.raises(StorageError, match=message),
        creating(tmp_path / "a.txt") as temporary,
    ):
        temporary.touch()
    with pytest.raises(StorageError, match=r"c-1\.lease: .* makes no hard links"):
        Lease.acquire(tmp_path, "c-1")
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_fails_otherwise_is_no_lack_of_hard_links(tmp_path, monkeypatch):
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", refuse)
    with (
        pytest.raises(StorageError, match=r"No space left .* make room"),
        creating(tmp_path / "a.txt") as temporary,
    ):
        temporary.touch()


def test_parquet_pages_are_checked_when_read(tmp_path):
    path = tmp_path / "t.parquet"
    values = np.random.default_rng(0).random(1000)
    write_parquet(path, pa.table({"x": values}))
    assert read_parquet(path)["x"].to_numpy().tobytes() == values.tobytes()
    damaged = bytearray(path.read_bytes())
    damaged[2000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorpusError, match=r"t\.parquet is damaged: .*[Cc]hecksum|CRC"):
        read_parquet(path)


def test_what_is_not_parquet_is_a_corpus_error(tmp_path):
    for content in (b"", b"PAR1", b"x" * 100):
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(CorpusError, match="not readable Parquet"):
            open_parquet(tmp_path / "t")


@pytest.mark.parametrize(
    "encodings",
    [None, {"x.list.element": "BYTE_STREAM_SPLIT"}],
)
def test_floats_survive_bit_for_bit(tmp_path, encodings):
    bits = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1, 0])
    values = bits.astype(np.uint32).view(np.float32)
    table = pa.table({"x": pa.array([values], pa.list_(pa.float32()))})
    write_parquet(tmp_path / "t", table, encodings=encodings)
    back = read_parquet(tmp_path / "t")["x"][0].values.to_numpy()
    if encodings:
        assert back.tobytes() == values.tobytes()
    else:  # a dictionary holds one NaN
        assert np.array_equal(back, values, equal_nan=True)
        assert np.signbit(back[4])


def test_row_groups_are_as_asked(tmp_path):
    table = pa.table({"x": list(range(10))})
    write_parquet(tmp_path / "t", table, [table.slice(0, 3), table.slice(3)])
    with open_parquet(tmp_path / "t") as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(2)]
        assert sizes == [3, 7]
        assert file.read().equals(table)


def test_an_empty_table_has_no_row_group(tmp_path):
    table = pa.table({"x": pa.array([], pa.int32())})
    write_parquet(tmp_path / "t", table)
    with open_parquet(tmp_path / "t") as file:
        assert file.num_row_groups == 0
    assert read_parquet(tmp_path / "t").equals(table)


def test_sha256_is_that_of_the_standard(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == expected
