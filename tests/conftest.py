"""Fixtures shared by all tests."""

import fcntl
import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.hub.server import Hub

# Bits hold for a number of threads: one, as the workers have (before torch is loaded).
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
OLD = ("datasets==3.6.0", "huggingface-hub==0.36.*", "fev==0.10.0")
"""The oldest readers that must work, and fev, which wants no newer ones either."""
KEPT = ROOT / ".compat"
LONG = (
    "tests/harness/test_cli.py::test_the_t4_grid",
    "tests/cluster/test_two_nodes.py",
    "tests/harness/executors/test_ray.py",
    "tests/harness/executors/test_local.py",
    "tests/harness/test_crash_points.py",
    "tests/harness/test_hostile_folders.py::test_a_thousand",
    "tests/harness/test_work.py::test_processes",
    "tests/leaderboard/page/test_access.py::test_axe",
    "tests/baselines/test_foreign.py::test_no_baseline_crashes_at",
    "tests/test_corpora.py::test_the_command_gives",
    "tests/leaderboard/test_submissions.py::test_submissions_are_in_order",
    "tests/harness/hub/test_faults.py::test_after_a_fault_at_any_request_the_same",
    "tests/benchmarks/",
    "tests/compat/",
)
"""Slow tests of ten seconds and more: begun last, they would leave a core idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest slow tests first; all others stay in their order."""
    marks = ("slow", "browser", "root")

    def comes_late(item: pytest.Item) -> bool:
        marked = any(item.get_closest_marker(name) for name in marks)
        return not (marked and item.nodeid.startswith(LONG))

    items.sort(key=comes_late)


@pytest.fixture(scope="session")
def old_python() -> Path:
    """Python of an environment with `OLD`; made once for all workers, then kept.

    Nothing is compiled that nobody imports: that would take twice the time.
    """
    digest = hashlib.sha256("\n".join([sys.version, *OLD]).encode()).hexdigest()[:16]
    folder = KEPT / digest
    KEPT.mkdir(exist_ok=True)
    (KEPT / ".gitignore").write_text("*\n")
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = KEPT / f"making-{uuid.uuid4().hex}"
            venv = [sys.executable, "-m", "venv", "--without-pip", making]
            subprocess.run(venv, check=True)
            pip = [sys.executable, "-m", "pip", "--python", making / "bin/python"]
            install = [*pip, "install", "--quiet", "--no-compile", *OLD]
            subprocess.run(install, check=True, capture_output=True)
            making.rename(folder)
    return folder / "bin/python"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository, in the Hub's layout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(params=[False, True], ids=["lfs", "xet"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Hub"]:
    """A Hub on loopback, without and with Xet, that this process's client speaks to."""
    yield from _spoken_to(tmp_path, xet=request.param)


@pytest.fixture
def lfs_hub(tmp_path: Path) -> Iterator["Hub"]:
    """The same without Xet, where the way of the bytes does not matter."""
    yield from _spoken_to(tmp_path, xet=False)


def _spoken_to(place: Path, *, xet: bool) -> Iterator["Hub"]:
    from tests.hub.client import pointed_at
    from tests.hub.server import Hub

    with Hub(place / "hub", xet=xet) as found, pointed_at(found, place / "home"):
        yield found


@pytest.fixture
def command_line(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Run `harness` with some arguments in this process; return code, stdout, stderr.

    A process of its own would be idle for seconds, loading torch once more.
    """
    for name in os.environ:
        if name.startswith(("RUNCAST", "HF_")):
            monkeypatch.delenv(name)
    cache = tmp_path_factory.getbasetemp() / "command-line-cache"
    monkeypatch.setenv("RUNCAST_CACHE_DIR", str(cache))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the workers

    def run(*arguments: str) -> tuple[int, str, str]:
        from harness.cli import main

        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        monkeypatch.setattr(sys, "path", list(sys.path))
        code = None
        try:
            main()
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int), "the command line ends with an exit code"
        return code, *capfd.readouterr()

    return run
