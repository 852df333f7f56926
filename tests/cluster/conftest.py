"""One SLURM for all tests of this folder, and what they compare with."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.slurm import Slurm, running
from tests.harness.test_cli import ROOT, harness

GRID = ["--grid", "tests.cluster.paced:grid"]
PROFILE = ["--profile", "tests.harness.tiny:profile", "--device", "cpu"]


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    """Two nodes; jobs find this Python and this code, and no brake."""
    place = tmp_path_factory.mktemp("slurm")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNCAST", "HF_"))}
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNCAST_CACHE_DIR": str(place / "cache"),
        "BRAKE": str(place / "none"),
    }
    with running(place, kept | variables) as found:
        yield found


@pytest.fixture(scope="session")
def local(slurm, tmp_path_factory) -> Path:
    """The grid, trained by `harness generate` without SLURM."""
    folder = tmp_path_factory.mktemp("local")
    arguments = [*GRID, *PROFILE, "--out", str(folder), "--jobs", "1"]
    code, _, err = harness(slurm.environment, "generate", *arguments)
    assert code == 0, err
    return folder
