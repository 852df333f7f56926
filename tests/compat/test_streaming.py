"""Streaming an early window fetches the files of that window, not the curves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_streaming.py"
RUNS, STEPS = 2000, 1000


@pytest.mark.slow
def test_the_first_fifth_of_all_curves_costs_less_than_a_third_of_their_bytes():
    command = [sys.executable, SCRIPT, "--json"]
    command += ["--runs", str(RUNS), "--steps", str(STEPS)]
    ran = subprocess.run(command, capture_output=True, check=True)
    found = json.loads(ran.stdout)
    window, whole = found["datasets, curves-w20"], found["datasets, curves"]
    # validation at 1/8, 2/8, ... of the run: one of the eight lies in the window
    assert window["values"] == RUNS * (STEPS // 5 + 1) == found["floor"]["values"]
    assert whole["values"] == RUNS * (STEPS + 8)
    assert window["bytes"] < found["curves"] / 3
    assert whole["bytes"] > found["curves"]
    signal = found["HfFileSystem, val_loss of curves-w20"]
    assert signal["values"] == RUNS
    assert signal["bytes"] < window["bytes"] / 4
