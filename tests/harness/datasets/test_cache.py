import hashlib
import json
import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from harness.datasets import cached
from harness.errors import StorageError
from harness.lease import Lease

ARRAYS = {
    "inputs": np.arange(600, dtype=np.uint8).reshape(20, 30),
    "labels": np.ones(5),
}


class Builder:
    """Counts how often it is asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return ARRAYS


def assert_equal(arrays):
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert array.dtype == arrays[name].dtype
        assert np.array_equal(array, arrays[name])


def test_arrays_are_built_once_for_each_identity(tmp_path):
    build = Builder()
    for _ in range(3):
        assert_equal(cached(tmp_path, "set", {"revision": "a"}, build))
    assert build.calls == 1
    cached(tmp_path, "set", {"revision": "b"}, build)
    assert build.calls == 2
    assert len(list(tmp_path.glob("set-*"))) == 2


@pytest.mark.parametrize("file", ["inputs.npy", "labels.npy"])
def test_every_flipped_bit_of_an_array_is_found_and_mended(tmp_path, caplog, file):
    build = Builder()
    cached(tmp_path, "set", {}, build)
    (entry,) = tmp_path.glob("set-*")
    size = (entry / file).stat().st_size
    for count, position in enumerate([0, 7, 60, 127, size // 2, size - 1], start=2):
        data = bytearray((entry / file).read_bytes())
        data[position] ^= 1
        (entry / file).write_bytes(data)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert_equal(cached(tmp_path, "set", {}, build))
        assert "is damaged" in caplog.text
        assert str(entry) in caplog.text
        assert build.calls == count
    caplog.clear()
    assert_equal(cached(tmp_path, "set", {}, build))
    assert not caplog.records


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "inputs.npy").unlink(),
        lambda entry: (entry / "inputs.npy").write_bytes(b""),
        lambda entry: (entry / "manifest.json").unlink(),
        lambda entry: (entry / "manifest.json").write_text('{"sha256": ["inputs"]}'),
        lambda entry: (entry / "manifest.json").write_bytes(b"\xff\x00"),
        lambda entry: (entry / "labels.npy").write_bytes(
            (entry / "inputs.npy").read_bytes()
        ),
    ],
)
def test_incomplete_and_swapped_files_are_found(tmp_path, caplog, damage):
    build = Builder()
    cached(tmp_path, "set", {}, build)
    (entry,) = tmp_path.glob("set-*")
    damage(entry)
    assert_equal(cached(tmp_path, "set", {}, build))
    assert "is damaged" in caplog.text
    assert build.calls == 2
    assert_equal(cached(tmp_path, "set", {}, build))
    assert build.calls == 2


def test_no_flipped_byte_of_the_manifest_changes_the_arrays(tmp_path):
    cached(tmp_path, "set", {}, Builder())
    (entry,) = tmp_path.glob("set-*")
    manifest = entry / "manifest.json"
    whole = manifest.read_bytes()
    for position in range(0, len(whole), 11):
        manifest.write_bytes(
            whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :]
        )
        assert_equal(cached(tmp_path, "set", {}, Builder()))


def test_leftovers_of_a_crash_are_ignored_and_swept_after_a_day(tmp_path):
    old, young = tmp_path / ".building-old", tmp_path / ".building-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "inputs.npy").write_bytes(b"half")
    day_ago = time.time() - 90_000
    os.utime(old, (day_ago, day_ago))
    assert_equal(cached(tmp_path, "set", {}, Builder()))
    assert not old.exists()
    assert young.exists()


@pytest.mark.slow
def test_a_builder_killed_at_any_moment_leaves_no_damaged_entry(tmp_path):
    script = (
        "import sys, pathlib, numpy as np\n"
        "from harness.datasets import cached\n"
        "print('up', flush=True)\n"
        "cached(pathlib.Path(sys.argv[1]), 's', {}, lambda: {str(i): np.full(10**7, i)"
        " for i in range(4)})\n"
    )
    for delay in np.linspace(0.0, 0.6, 13):
        folder = tmp_path / f"{delay:.3f}"
        command = [sys.executable, "-c", script, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
        for entry in folder.glob("s-*"):
            arrays = cached(folder, "s", {}, lambda: pytest.fail("entry is damaged"))
            assert entry.exists()
            assert len(arrays) == 4


def test_a_cache_that_cannot_be_written_says_how_to_mend_it(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="RUNCAST_CACHE_DIR"):
        cached(tmp_path / "file", "set", {}, Builder())


def test_the_manifest_tells_what_the_entry_holds(tmp_path):
    cached(tmp_path, "set", {"revision": "a"}, Builder())
    (entry,) = tmp_path.glob("set-*")
    manifest = json.loads((entry / "manifest.json").read_text())
    assert manifest["identity"] == {"revision": "a"}
    for name, expected in manifest["sha256"].items():
        data = (entry / f"{name}.npy").read_bytes()
        assert hashlib.sha256(data).hexdigest() == expected


SLOW_BUILD = (
    "import os, sys, time, pathlib, numpy as np\n"
    "from harness.datasets import cached\n"
    "folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])\n"
    "def build():\n"
    "    with (folder / 'built').open('a') as log:\n"
    "        log.write(f'{os.getpid()} ')\n"
    "    time.sleep(seconds)\n"
    "    return {'x': np.arange(10**5)}\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "print(cached(folder / 'cache', 's', {}, build)['x'].sum(), flush=True)\n"
)
SUM = f"{sum(range(10**5))}\n"


def callers(folder, count, seconds):
    """Start processes that will ask for one entry; each waits for a line."""
    command = [sys.executable, "-c", SLOW_BUILD, str(folder), str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(count)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * count
    return started


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.02)


def test_of_concurrent_callers_one_builds_and_all_get_its_arrays(tmp_path):
    started = callers(tmp_path, 5, seconds=0.5)
    for process in started:
        go(process)
    assert [process.communicate(timeout=60)[0] for process in started] == [SUM] * 5
    assert len((tmp_path / "built").read_text().split()) == 1
    assert [p.name[:2] for p in (tmp_path / "cache").iterdir()] == ["s-"]


def test_the_work_of_a_killed_builder_is_taken_over_by_one_of_those_who_wait(tmp_path):
    first, *others = callers(tmp_path, 4, seconds=0.7)
    go(first)
    wait_for(tmp_path / "built")
    for process in others:
        go(process)
    first.kill()
    first.communicate()
    assert [process.communicate(timeout=60)[0] for process in others] == [SUM] * 3
    builders = (tmp_path / "built").read_text().split()
    assert len(builders) == 2
    assert builders[0] == str(first.pid)
    assert [p.name[:2] for p in (tmp_path / "cache").iterdir()] == ["s-"]


def test_nobody_waits_for_ever_for_a_builder_that_hangs(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("harness.datasets.cache.WAIT_S", 0.3)
    build = Builder()
    cached(tmp_path / "elsewhere", "set", {}, Builder())
    (entry,) = (tmp_path / "elsewhere").glob("set-*")
    claim = Lease.acquire(tmp_path, f".{entry.name}")
    assert claim is not None
    with claim:
        assert_equal(cached(tmp_path, "set", {}, build))
    assert build.calls == 1
    assert "still being built elsewhere" in caplog.text


def test_one_that_waits_reads_the_entry_as_soon_as_it_is_there(tmp_path):
    first, second = callers(tmp_path, 2, seconds=1.0)
    go(first)
    wait_for(tmp_path / "built")
    go(second)
    assert second.communicate(timeout=60)[0] == SUM
    assert first.communicate(timeout=60)[0] == SUM
    assert (tmp_path / "built").read_text().split() == [str(first.pid)]


def test_a_builder_that_fails_gives_its_claim_back(tmp_path):
    def fail():
        raise OSError("the mirror is gone")

    with pytest.raises(OSError, match=r"the mirror is gone"):
        cached(tmp_path, "set", {}, fail)
    assert list(tmp_path.iterdir()) == []
    assert_equal(cached(tmp_path, "set", {}, Builder()))


def test_claims_of_crashed_builders_are_swept_after_a_day(tmp_path):
    old, young = tmp_path / ".other-1.lease", tmp_path / ".other-2.lease"
    for claim in (old, young):
        claim.write_text("{}")
    day_ago = time.time() - 90_000
    os.utime(old, (day_ago, day_ago))
    cached(tmp_path, "set", {}, Builder())
    assert not old.exists()
    assert young.exists()
