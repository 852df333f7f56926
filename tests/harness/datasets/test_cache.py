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


def test_concurrent_builders_leave_one_entry_and_all_read_the_same(tmp_path):
    script = (
        "import sys, time, pathlib, numpy as np\n"
        "from harness.datasets import cached\n"
        "def build():\n"
        "    time.sleep(0.3)\n"
        "    return {'x': np.arange(10**6)}\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "assert cached(folder, 's', {}, build)['x'].sum() == 499999500000\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert [p.name[:2] for p in tmp_path.iterdir()] == ["s-"]


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
