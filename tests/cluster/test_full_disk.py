"""A real file system that is full, or read-only, and mended under the same folder."""

import subprocess

import pytest

from harness.corpus import Corpus
from harness.verify import verify
from tests.harness.test_cli import GRID, TINY, environment, harness

__all__ = ["environment"]  # a fixture

pytestmark = pytest.mark.root


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


@pytest.fixture
def disk(tmp_path):
    """A file system of 160 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=160k", "none", place)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_disk_that_is_full_or_read_only_stops_the_grid_until_it_is_mended(
    environment, disk
):
    arguments = ["generate", *GRID, *TINY, "--out", str(disk / "corpus"), "--jobs", "1"]
    code, out, err = harness(environment, *arguments)
    assert code == 1, err
    assert "No space left on device (0 bytes free)" in " ".join((out + err).split())
    finished = {p: p.read_bytes() for p in (disk / "corpus/shards").glob("r-*")}
    assert 0 < len(finished) < 12

    mount("-o", "remount,ro", disk)
    code, out, err = harness(environment, *arguments)
    assert code == 1, err
    assert "Read-only file system" in out + err
    assert harness(environment, "status", str(disk / "corpus"))[0] == 0

    mount("-o", "remount,rw,size=50m", disk)
    code, out, err = harness(environment, *arguments)
    assert code == 0, err
    assert verify(disk / "corpus") == []
    assert Corpus.open(disk / "corpus").runs().height == 12
    assert all(path.read_bytes() == data for path, data in finished.items())
