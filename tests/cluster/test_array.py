"""docs/cluster/array.sbatch on a real SLURM: arrays, interruptions, the same bits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import attempts
from harness.attempts import Attempt
from harness.manifest import read_manifest
from harness.record import same_outcome
from tests.cluster.conftest import GRID, PROFILE
from tests.cluster.slurm import Slurm
from tests.harness.test_cli import ROOT, harness, outcomes

pytestmark = pytest.mark.cluster

ARRAY = ROOT / "docs" / "cluster" / "array.sbatch"
TABLES = ROOT / "docs" / "cluster" / "tables.sbatch"
ONE = ["--grid", "tests.cluster.paced:one"]
WORK = ["python", "-m", "harness.work"]


@dataclass(frozen=True, slots=True)
class Victim:
    """A job that trains one run slowly, until its brake is let go."""

    job: str
    folder: Path
    brake: Path

    def attempts(self) -> tuple[Attempt, ...]:
        """Return what is noted of its only cohort."""
        names = [path.stem for path in (self.folder / "attempts").glob("c-*.json")]
        return attempts.load(self.folder, names[0]) if names else ()


def until(condition: Callable[[], bool], what: str, limit_s: float = 100.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.1)


def begin(slurm: Slurm, place: Path, *words: object, limit: str = "04:00:00") -> Victim:
    """Submit a job that works until something ends it."""
    place.mkdir()
    brake, folder = place / "brake", place / "corpus"
    brake.touch()
    command = [str(folder) if word is None else word for word in words]
    job = slurm.submit(
        *(f"--export=ALL,BRAKE={brake}", f"--time={limit}", "--signal=B:USR1@10"),
        *(ARRAY, *command, *ONE, *PROFILE),
        cwd=place,
    )
    return Victim(job, folder, brake)


@pytest.fixture(scope="module")
def limited(slurm, tmp_path_factory) -> Victim:
    """A job with a time limit of a minute, which other tests pass."""
    place = tmp_path_factory.mktemp("limited") / "job"
    return begin(slurm, place, *WORK, None, limit="1")


@pytest.fixture(scope="module")
def interrupted(slurm, limited, tmp_path_factory) -> dict[str, Victim]:
    """Jobs by what ended them in the middle; all that come back have finished."""
    place = tmp_path_factory.mktemp("interrupted")
    whole = ["harness", "generate", "--jobs", "1", "--out", None]
    victims = {
        "signal": begin(slurm, place / "signal", *WORK, None),
        "requeue": begin(slurm, place / "requeue", *WORK, None),
        "requeue with workers": begin(slurm, place / "workers", *whole),
        "cancel": begin(slurm, place / "cancel", *WORK, None),
    }
    for name, victim in victims.items():
        until(lambda v=victim: any(a.step for a in v.attempts()), f"{name} at work")
    slurm.command("scancel", "--batch", "--signal=USR1", victims["signal"].job)
    slurm.command("scontrol", "requeue", victims["requeue"].job)
    slurm.command("scontrol", "requeue", victims["requeue with workers"].job)
    slurm.command("scancel", victims["cancel"].job)
    victims["time limit"] = limited
    for name, victim in victims.items():
        until(lambda v=victim: any(a.ending for a in v.attempts()), f"{name} ended")
        victim.brake.unlink()
    for name, victim in victims.items():
        slurm.wait_for(victim.job, "CANCELLED" if name == "cancel" else "COMPLETED")
    return victims


def assert_as_local(folder: Path, local: Path, count: int) -> None:
    found, expected = outcomes(folder), outcomes(local)
    assert len(found) == count
    assert all(same_outcome(found[name], expected[name]) for name in found)


def test_the_elements_of_an_array_divide_a_grid_and_a_later_job_builds_its_tables(
    slurm, limited, local, tmp_path
):
    shared, parts = tmp_path / "shared", tmp_path / "parts"
    submit = ("--array=1-2", ARRAY, *WORK)
    jobs = [
        slurm.submit(*submit, shared, *GRID, *PROFILE, cwd=tmp_path),
        slurm.submit(
            *(*submit, f"{parts}/%a", *GRID, *PROFILE, "--shard", "%a/2"), cwd=tmp_path
        ),
    ]
    jobs.append(
        slurm.submit(f"--dependency=afterany:{jobs[0]}", TABLES, shared, cwd=tmp_path)
    )
    for job in jobs:
        slurm.wait_for(job, "COMPLETED")
    assert_as_local(shared, local, 8)
    assert read_manifest(shared)["grids"] == read_manifest(local)["grids"]
    said = (tmp_path / f"runcast-{jobs[2]}.log").read_text()
    assert "every file is as it was written" in said
    for number in "12":
        assert_as_local(parts / number, local, 4)
    merged = tmp_path / "merged"
    code, _, err = harness(
        slurm.environment, "merge", *map(str, parts.iterdir()), "--out", str(merged)
    )
    assert code == 0, err
    assert_as_local(merged, local, 8)


def test_an_element_sees_the_gpus_that_it_was_given(slurm, tmp_path):
    ask = "import os, time; print('GPU', os.environ['CUDA_VISIBLE_DEVICES']); "
    ask += "time.sleep(3)"  # so that all run side by side
    job = slurm.submit(
        *("--array=1-4", "--gres=gpu:1", ARRAY, "python", "-c", ask), cwd=tmp_path
    )
    slurm.wait_for(job, "COMPLETED")
    said = "".join(path.read_text() for path in tmp_path.glob("runcast-*.log"))
    seen = [line for line in said.splitlines() if line.startswith("GPU")]
    assert sorted(seen) == ["GPU 0", "GPU 0", "GPU 1", "GPU 1"]


def test_of_an_array_only_the_element_that_was_told_is_put_back(slurm, tmp_path):
    element = "import os, signal, sys, time; "
    element += "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75)); "
    element += "print('at work', flush=True); "
    element += "time.sleep(0 if 'SLURM_RESTART_COUNT' in os.environ else 5)"
    job = slurm.submit("--array=1-3", ARRAY, "python", "-c", element, cwd=tmp_path)
    logs = [tmp_path / f"runcast-{job}_{number}.log" for number in (1, 2, 3)]
    until(
        lambda: all(log.exists() and "at work" in log.read_text() for log in logs),
        "all at work",
    )
    # The last has the number of the array itself, which a requeue would take whole.
    slurm.command("scancel", "--batch", "--signal=USR1", f"{job}_3")
    slurm.wait_for(job, "COMPLETED")
    assert ["restart 1" in log.read_text() for log in logs] == [False, False, True]
    assert "ended with 75" in logs[2].read_text()


@pytest.mark.parametrize(
    "cause", ["signal", "requeue", "requeue with workers", "time limit"]
)
def test_an_interrupted_element_goes_on_where_it_was(interrupted, local, cause):
    victim = interrupted[cause]
    *before, last = victim.attempts()
    assert last.ending == "done"
    assert {attempt.ending for attempt in before} == {"interrupted"}
    # what is noted of an attempt may lag its end by some seconds
    assert last.resumed_from >= before[-1].step > 0
    assert_as_local(victim.folder, local, 1)
    log = next(victim.folder.parent.glob("runcast-*.log")).read_text()
    assert "restart 1" in log


def test_a_cancelled_element_keeps_its_state_and_is_not_put_back(interrupted):
    victim = interrupted["cancel"]
    (only,) = victim.attempts()
    assert only.ending == "interrupted"
    assert len(list((victim.folder / "checkpoints").iterdir())) >= 1
    assert list((victim.folder / "leases").glob("c-*.lease")) == []
