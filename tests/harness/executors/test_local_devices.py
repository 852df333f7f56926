"""What the local executor makes of failing workers, with some that follow a script."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import attempts
from harness.datasets import Source
from harness.device import Setting
from harness.errors import RuncastError
from harness.executors.crew import Crew
from harness.executors.events import Outcome
from harness.executors.local import STARTS, LocalExecutor

ROOT = Path(__file__).resolve().parents[3]
COHORTS = [f"c-{i}" for i in range(4)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for part in ("leases", attempts.FOLDER):
        (tmp_path / part).mkdir()
    return tmp_path


def run(folder, script, *, devices, jobs, interrupted=lambda: False):
    """Train all cohorts with workers that follow the script."""
    crew = Crew(
        folder=folder,
        source=Source(None, folder),
        devices=devices,
        jobs=jobs,
        setting=Setting(device=devices[0]),
    )
    worker = str(Path(__file__).with_name("scripted.py"))
    command = [sys.executable, "-S", worker, json.dumps(script)]
    events = []
    outcome = LocalExecutor(crew, command=command).run(
        COHORTS, on_event=events.append, interrupted=interrupted
    )
    return outcome, events


def begun(folder, device):
    """Return how many workers were started on a device."""
    return len((folder / f"begun-{device}").read_text().split())


def done(events):
    return sorted(event.cohort for event in events if event.kind == "done")


def test_a_device_where_no_worker_can_start_any_more_is_left_out_and_others_go_on(
    folder, capfd
):
    said = ""

    def look():
        nonlocal said
        said += capfd.readouterr().err
        if "cuda:1 is left out" in said:
            (folder / "gate").touch()
        return False

    outcome, events = run(
        folder,
        {"1": ["spoil", "refuse"]},
        devices=("cuda:0", "cuda:1"),
        jobs=2,
        interrupted=look,
    )
    assert outcome is Outcome.DONE
    assert done(events) == COHORTS
    assert [e.reason for e in events if e.kind != "done"] == ["device"]
    assert begun(folder, "0") == 1  # nobody ended it
    assert begun(folder, "1") == 1 + STARTS
    assert "(exit status 1)" in said


def test_a_worker_that_cannot_start_is_replaced_on_a_device_that_has_none(folder):
    (folder / "gate").touch()
    outcome, events = run(
        folder, {"0": ["refuse"]}, devices=("cuda:0", "cuda:1"), jobs=1
    )
    assert outcome is Outcome.DONE
    assert done(events) == COHORTS
    assert (begun(folder, "0"), begun(folder, "1")) == (STARTS, 1)


def test_where_no_device_lets_a_worker_start_the_grid_stops(folder):
    with pytest.raises(
        RuncastError, match=r"3 workers in a row on cuda:[01] .*exit status 1.* doctor"
    ):
        run(
            folder,
            {"0": ["refuse"], "1": ["refuse"]},
            devices=("cuda:0", "cuda:1"),
            jobs=2,
        )
    assert (begun(folder, "0"), begun(folder, "1")) == (STARTS, STARTS)


@pytest.mark.parametrize("part", ["refuse", "die", "hang"])
def test_an_interruption_while_workers_start_is_no_failure_of_theirs(folder, part):
    outcome, events = run(
        folder, {"cpu": [part]}, devices=("cpu",), jobs=STARTS, interrupted=lambda: True
    )
    assert outcome is Outcome.INTERRUPTED
    assert events == []


def test_a_worker_that_says_what_is_no_message_is_ended_and_replaced(folder):
    (folder / "gate").touch()
    outcome, events = run(folder, {"cpu": ["babble", "work"]}, devices=("cpu",), jobs=1)
    assert outcome is Outcome.DONE
    assert done(events) == COHORTS
    (retried,) = [event for event in events if event.kind == "retried"]
    assert retried.reason == "died"
    assert r"said what is no message: 'no message\n'" in retried.error
    assert begun(folder, "cpu") == 2


TORCH = """
import os, signal, sys
print("printed on import")
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(5)  # it came through
"""


def test_a_worker_that_loads_torch_keeps_its_answers_clean_and_minds_signals(tmp_path):
    (tmp_path / "torch.py").write_text(TORCH)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = subprocess.run(
        [sys.executable, "-m", "harness.executors.process", str(tmp_path), "{}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )
    assert (found.returncode, found.stdout) == (5, "")
    assert "printed on import" in found.stderr
