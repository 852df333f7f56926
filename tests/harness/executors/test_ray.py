"""The Ray executor, on a real cluster of this machine: the same runs, whatever dies."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import attempts
from harness.corpus import Corpus
from tests.harness.test_cli import GRID, TINY, assert_same, environment, harness, start

__all__ = ["environment"]  # a fixture

pytestmark = pytest.mark.slow
PACED = ["--grid", "tests.cluster.paced:grid"]


@dataclass(frozen=True, slots=True)
class Ray:
    """A running cluster, and what its users need."""

    environment: dict[str, str]
    brake: Path
    options: tuple[str, ...]


@pytest.fixture(scope="module")
def ray(environment, tmp_path_factory) -> Iterator[Ray]:
    place = tmp_path_factory.mktemp("ray")
    brake = place / "brake"
    variables = environment | {"BRAKE": str(brake), "RAY_USAGE_STATS_ENABLED": "0"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += [f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    with (place / "ray.log").open("w") as log:
        head = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        options = ("--executor", "ray", "--ray-address", f"127.0.0.1:{port}")
        log_text = (place / "ray.log").read_text
        wait_for(lambda: "Ray runtime started" in log_text(), head)
        yield Ray(variables, brake, (*TINY, *options, "--device", "cpu"))
    finally:
        head.terminate()  # takes its children with it
        head.wait(timeout=60)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def living(folder: Path) -> list[attempts.Attempt]:
    """The attempts at work on cohorts that have begun to train."""
    cohorts = [path.stem for path in (folder / attempts.FOLDER).glob("c-*.json")]
    last = [tried[-1] for c in cohorts if (tried := attempts.load(folder, c))]
    return [each for each in last if each.ending is None and each.step > 0]


def endings(folder: Path) -> dict[str, list[str | None]]:
    cohorts = [path.stem for path in (folder / attempts.FOLDER).glob("c-*.json")]
    return {c: [each.ending for each in attempts.load(folder, c)] for c in cohorts}


def actors(folder: Path) -> list[int]:
    """Processes on this machine that hold leases of the folder."""
    found = []
    for lease in (folder / "leases").glob("c-*.lease"):
        with contextlib.suppress(OSError, ValueError):
            found.append(json.loads(lease.read_text())["pid"])
    return found


def lines_of(process: subprocess.Popen) -> Callable[[], str]:
    """What a process has written to its standard error up to now."""
    os.set_blocking(process.stderr.fileno(), False)
    read: list[str] = []

    def text() -> str:
        with contextlib.suppress(TypeError):  # nothing new
            read.append(process.stderr.read() or "")
        return "".join(read)

    return text


@pytest.fixture(scope="module")
def paced(environment, tmp_path_factory) -> Path:
    """The paced grid, trained by local workers."""
    folder = tmp_path_factory.mktemp("paced") / "corpus"
    variables = environment | {"BRAKE": "/nonexistent"}
    code, _, err = harness(
        variables, "generate", *PACED, *TINY, "--out", str(folder), "--jobs", "1"
    )
    assert code == 0, err
    return folder


def test_a_cluster_started_for_the_grid_trains_what_local_workers_train(
    environment, tmp_path
):
    one, other = tmp_path / "ray", tmp_path / "local"
    code, out, err = harness(
        {k: v for k, v in environment.items() if k != "RAY_ADDRESS"},
        *("generate", *GRID, *TINY, "--out", str(one)),
        *("--executor", "ray", "--jobs", "2", "--json"),
    )
    assert code == 0, err
    assert json.loads(out)["ending"] == "done"
    code, _, err = harness(environment, "generate", *GRID, *TINY, "--out", str(other))
    assert code == 0, err
    assert_same(one, other)
    assert Corpus.open(one).runs().height == 12


def test_a_driver_killed_in_the_middle_is_followed_by_one_that_adopts_its_workers(
    ray, paced, tmp_path
):
    ray.brake.touch()
    command = ["generate", *PACED, *ray.options, "--out", str(tmp_path), "--jobs", "2"]
    driver = start(ray.environment, *command)
    wait_for(lambda: len(living(tmp_path)) == 2, driver)
    before = {(a.pid, a.started) for a in living(tmp_path)}
    driver.kill()
    driver.communicate()
    with start(ray.environment, *command) as second:
        said = lines_of(second)
        known = "a worker of a driver before goes on"
        wait_for(lambda: said().count(known) == 2, second)
        assert {(a.pid, a.started) for a in living(tmp_path)} == before
        ray.brake.unlink()
        assert second.wait(timeout=240) == 0, said()
    assert_same(tmp_path, paced)
    assert set(map(tuple, endings(tmp_path).values())) == {("done",)}
    every = {c: attempts.load(tmp_path, c)[0] for c in endings(tmp_path)}
    assert before <= {(a.pid, a.started) for a in every.values()}
    assert {a.pid for a in every.values()} == {pid for pid, _ in before}
    for pid in {pid for pid, _ in before}:
        assert not Path(f"/proc/{pid}").exists()  # none stays when a driver ends well


def test_an_interrupt_keeps_the_state_and_a_killed_worker_costs_its_cohort_only(
    ray, paced, tmp_path
):
    ray.brake.touch()
    command = ["generate", *PACED, *ray.options, "--out", str(tmp_path), "--jobs", "1"]
    driver = start(ray.environment, *command)
    wait_for(lambda: len(living(tmp_path)) == 1, driver)
    driver.send_signal(signal.SIGINT)
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 75, err
    assert "interrupted: this goes on: harness generate" in out
    assert len(list((tmp_path / "checkpoints").glob("c-*.pt"))) == 1
    second = start(ray.environment, *command)
    wait_for(lambda: len(living(tmp_path)) == 1, second)
    (attempt,) = living(tmp_path)
    assert attempt.resumed_from > 0
    os.kill(attempt.pid, signal.SIGKILL)
    ray.brake.unlink()
    out, err = second.communicate(timeout=240)
    assert second.returncode == 0, err
    assert f"(process {attempt.pid}) died, last heard of" in err
    assert_same(tmp_path, paced)
    found = sorted(map(tuple, endings(tmp_path).values()), key=len)
    assert found == [("done",)] * 3 + [("interrupted", "died", "done")]


def test_a_worker_that_hangs_is_killed_and_one_whose_model_fails_is_told(ray, tmp_path):
    grid = ["--grid", "tests.harness.tiny:hanging_grid", "--timeout", "12"]
    code, _, err = harness(
        ray.environment,
        *("generate", *grid, *ray.options, "--out", str(tmp_path), "--jobs", "1"),
    )
    assert code == 1
    assert "retried (timeout)" in err
    assert "was killed, last heard of 12 s before" in err
    assert "built after all" in err
    assert list(endings(tmp_path).values()) == [["timeout", "error"]]
