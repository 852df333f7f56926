"""Two machines train one grid with Ray, and one of them is killed in the middle.

Needs root and iproute2. `--log-file LOG --log-file-level INFO` tells what happens when.
"""

import logging
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import attempts
from harness.corpus import Corpus
from harness.status import status
from tests.cluster.two_nodes import Pair, joined
from tests.harness.test_cli import TINY, assert_same, environment, harness

__all__ = ["environment"]  # a fixture

pytestmark = pytest.mark.root
GRID = ["--grid", "tests.cluster.two_nodes:grid"]
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Driver:
    """`harness generate` on the first node, and what it says."""

    process: subprocess.Popen
    said: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Take in what it says, until it ends."""
        for line in self.process.stdout:
            self.said.append(line)
            _log.info("driver: %s", line.rstrip())

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until something is so; the driver must be at work all the while."""
        deadline = time.monotonic() + 200
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not so\n{''.join(self.said)}"
            assert self.process.poll() is None, "".join(self.said)
            time.sleep(0.05)
        _log.info("test: %s", what)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: Ray's sockets lie in it."""
    found = Path(tempfile.mkdtemp(prefix="two-", dir="/tmp"))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture(scope="module")
def alone(environment, tmp_path_factory) -> Path:
    """The grid, trained by a local worker."""
    folder = tmp_path_factory.mktemp("alone") / "corpus"
    variables = environment | {"BRAKE": "/nonexistent"}
    code, _, err = harness(
        variables, "generate", *GRID, *TINY, "--out", str(folder), "--jobs", "1"
    )
    assert code == 0, err
    return folder


def start(pair: Pair, folder: Path) -> Driver:
    command = [*HARNESS, "generate", *GRID, *TINY, "--out", str(folder)]
    command += ["--executor", "ray", "--ray-address", pair.address, "--device", "cpu"]
    process = pair.head.start(
        command,
        env=pair.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    driver = Driver(process)
    threading.Thread(target=driver.listen, daemon=True).start()
    return driver


def tried(folder: Path) -> dict[str, tuple[attempts.Attempt, ...]]:
    cohorts = [path.stem for path in (folder / attempts.FOLDER).glob("c-*.json")]
    return {cohort: attempts.load(folder, cohort) for cohort in cohorts}


def training(folder: Path) -> set[str]:
    """Nodes that have begun to train what they work on."""
    last = [each[-1] for each in tried(folder).values() if each]
    return {a.host for a in last if a.ending is None and a.step > 0}


def at_work(folder: Path) -> set[str]:
    """Nodes that train by what `harness status` tells."""
    return {w.host for w in status(folder).workers if w.phase == "training"}


def done_by(folder: Path, host: str) -> int:
    last = [each[-1] for each in tried(folder).values() if each]
    return sum(a.host == host and a.ending == "done" for a in last)


def test_a_node_killed_in_the_middle_loses_nothing(environment, alone, place):
    brake, folder = place / "brake", place / "corpus"
    brake.touch()
    with joined(place, environment | {"BRAKE": str(brake)}) as pair:
        driver = start(pair, folder)
        both = {pair.head.name, pair.other.name}
        driver.wait_for("both nodes train", lambda: training(folder) == both)
        pair.other.kill()
        _log.info("test: node2 is killed, its cable pulled")
        driver.wait_for(
            "the driver has noticed",
            lambda: any("the worker on node2" in line for line in driver.said),
        )
        brake.unlink()
        driver.wait_for("the rest is done", lambda: done_by(folder, "node1") >= 5)
        assert driver.process.wait(timeout=240) == 0, "".join(driver.said)
        driver.process.stdout.close()
    assert any("retried (died)" in line for line in driver.said)
    assert_same(folder, alone)
    runs = Corpus.open(folder).runs()
    assert runs.height == runs["run_id"].n_unique() == 12
    hosts = sorted([tuple(a.host for a in each) for each in tried(folder).values()])
    assert hosts == [("node1",)] * 5 + [("node2", "node1")]


@pytest.mark.long
def test_a_node_that_does_not_see_the_folder_sends_its_results(
    environment, alone, place
):
    brake, shared = place / "brake", place / "shared"
    folder = shared / "corpus"
    shared.mkdir()
    brake.touch()
    variables = environment | {"BRAKE": str(brake)}
    with joined(place, variables, hidden=shared) as pair:
        driver = start(pair, folder)
        both = {pair.head.name, pair.other.name}
        driver.wait_for("both nodes train", lambda: training(folder) == both)
        assert any("node2 trains and sends results back" in s for s in driver.said)
        driver.wait_for("the status tells who trains", lambda: at_work(folder) == both)
        brake.unlink()
        driver.wait_for("node2 has sent a cohort", lambda: done_by(folder, "node2") > 0)
        brake.touch()
        driver.wait_for("node2 trains again", lambda: "node2" in training(folder))
        pair.other.kill()
        _log.info("test: node2 is killed, its cable pulled")
        driver.wait_for(
            "the driver has noticed",
            lambda: any("the worker on node2" in line for line in driver.said),
        )
        brake.unlink()
        assert driver.process.wait(timeout=240) == 0, "".join(driver.said)
        driver.process.stdout.close()
    assert_same(folder, alone)
    ends = sorted([tuple(a.ending for a in each) for each in tried(folder).values()])
    assert ends == [("died", "done")] + [("done",)] * 5
    assert not list((folder / "checkpoints").glob("*.pt"))
