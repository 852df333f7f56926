"""Workers and drivers of one machine that are ended in every way."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness.attempts import load
from harness.executors.local import visible_device
from harness.lease import Claim
from harness.plan import Plan
from tests.harness.test_cli import (
    GRID,
    SLOW,
    TINY,
    assert_same,
    environment,
    harness,
    start,
    whole,
)

__all__ = ["environment", "whole"]  # fixtures


@pytest.mark.parametrize(
    ("variable", "device", "shown"),
    [
        (None, "cuda", "0"),
        (None, "cuda:3", "3"),
        ("2,5", "cuda:1", "5"),
        ("GPU-1b2c, GPU-3d4e", "cuda:1", "GPU-3d4e"),
        ("MIG-7f", "cuda:0", "MIG-7f"),
    ],
)
def test_a_worker_sees_its_own_gpu_alone(monkeypatch, variable, device, shown):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_device(device) == ("cuda:0", {"CUDA_VISIBLE_DEVICES": shown})


def until(condition):
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def working(folder, cohort, *, but=()):
    """Return the process that trains a cohort now, once it has made updates."""

    def look():
        claim = Claim.read(folder / "leases" / f"{cohort}.lease")
        if claim is None or claim.pid in but:
            return None
        attempts = load(folder, cohort)
        at_it = attempts and attempts[-1].pid == claim.pid
        return claim.pid if at_it and attempts[-1].phase == "training" else None

    return until(look)


@pytest.mark.slow
def test_a_grid_that_is_ended_in_every_way_ends_as_if_it_never_was(
    environment, tmp_path
):
    folder = tmp_path / "ended"
    arguments = ["generate", *SLOW, *TINY, "--out", str(folder), "--jobs", "1"]
    driver = start(environment, *arguments)
    until((folder / "plan.parquet").exists)
    cohort = max(
        Plan.load(folder).cohorts().items(), key=lambda item: item[1][0].config.epochs
    )[0]

    # Somebody ends the worker gently: it keeps its state, and the driver goes on.
    first = working(folder, cohort)
    os.kill(first, signal.SIGTERM)
    second = working(folder, cohort, but=[first])
    assert [each.ending for each in load(folder, cohort)] == ["interrupted", None]

    # The driver is killed: its worker keeps its state and ends by itself.
    driver.kill()
    driver.communicate()
    until(lambda: Claim.read(folder / "leases" / f"{cohort}.lease") is None)
    until(lambda: not Path(f"/proc/{second}").exists())
    endings = [each.ending for each in load(folder, cohort)]
    assert endings == ["interrupted", "interrupted"]

    # A second Ctrl-C does not wait for anything.
    driver = start(environment, *arguments)
    working(folder, cohort)
    driver.send_signal(signal.SIGINT)
    driver.send_signal(signal.SIGTERM)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 75, err

    code, _, err = harness(environment, *arguments)
    assert code == 0, err
    resumed = [each.resumed_from for each in load(folder, cohort)]
    assert resumed[0] == 0 < resumed[1] <= resumed[2]
    assert "died" not in err
    whole = tmp_path / "whole"
    code, _, err = harness(environment, *arguments[:-3], str(whole), "--jobs", "1")
    assert code == 0, err
    assert_same(folder, whole)


@pytest.mark.slow
def test_a_worker_whose_device_broke_is_replaced_by_another_process(
    environment, tmp_path
):
    grid = ["--grid", "tests.harness.tiny:spoiling_grid", *TINY]
    code, _, err = harness(
        environment, "generate", *grid, "--out", str(tmp_path), "--jobs", "1"
    )
    assert code == 0, err
    assert "retried (device): cohort c-" in err
    (cohort,) = Plan.load(tmp_path).cohorts()
    broken, sound = load(tmp_path, cohort)
    assert (broken.ending, sound.ending) == ("device", "done")
    assert broken.pid != sound.pid


@pytest.mark.slow
def test_a_worker_killed_before_it_has_work_is_replaced(environment, whole, tmp_path):
    arguments = ["generate", *GRID, *TINY, "--out", str(tmp_path), "--jobs", "1"]
    driver = start(environment, *arguments)
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")

    def workers():
        return [int(pid) for pid in children.read_text().split()]

    (first,) = until(workers)
    os.kill(first, signal.SIGKILL)
    _, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err
    assert_same(whole, tmp_path)
