"""A worker stopped dead between two operations on files loses nothing that it kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.registry import OPTIMIZERS, SCHEDULES

ROOT = Path(__file__).resolve().parents[2]
CRASHED = 137


def crash_at(folder: Path, optimizer: str, first: int, every: int) -> list[dict]:
    """Crash at operation `first` on files and every `every`-th after it; tell."""
    command = [sys.executable, "-m", "tests.harness.crashing", folder, optimizer]
    done = subprocess.run(
        [*map(str, command), str(first), str(every)],
        env=os.environ | {"RUNCAST_CACHE_DIR": str(folder / "cache")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("optimizer", "first", "every"),
    [
        ("adamw", 1, 31),
        *(  # each optimizer at other operations
            pytest.param(name, 6 * i + 2, 36, marks=pytest.mark.slow)
            for i, name in enumerate(OPTIMIZERS.names())
        ),
        *(  # and at all of them
            pytest.param(name, 1, 1, marks=pytest.mark.long)
            for name in OPTIMIZERS.names()
        ),
    ],
)
def test_a_run_that_went_on_after_a_crash_has_the_bits_of_one_that_never_stopped(
    tmp_path, optimizer, first, every
):
    points = crash_at(tmp_path, optimizer, first, every)
    assert len(points) >= 4
    assert {each["code"] for each in points} == {CRASHED}
    assert [each["damaged"] for each in points] == [[]] * len(points)
    runs = len(SCHEDULES.names())
    assert [(each["runs"], each["same"]) for each in points] == [(runs, runs)] * len(
        points
    )
    went_on = [each["resumed_from"] for each in points if each["resumed_from"]]
    assert len(set(went_on)) > 1  # from checkpoints in the middle of epochs, too
