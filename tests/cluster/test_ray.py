"""docs/cluster/ray.sbatch on a real SLURM: Ray over two nodes of one allocation."""

import pytest

from harness.manifest import read_manifest
from tests.cluster.conftest import GRID, PROFILE
from tests.cluster.test_array import assert_as_local
from tests.harness.test_cli import ROOT

pytestmark = pytest.mark.cluster


def test_ray_on_an_allocation_trains_the_same_runs(slurm, local, tmp_path):
    folder = tmp_path / "corpus"
    job = slurm.submit(
        *("--nodes=2", "--cpus-per-task=1", ROOT / "docs" / "cluster" / "ray.sbatch"),
        *(*GRID, *PROFILE, "--out", folder, "--jobs", "2"),
        cwd=tmp_path,
    )
    slurm.wait_for(job, "COMPLETED", limit_s=150)
    assert_as_local(folder, local, 8)
    assert read_manifest(folder)["rows"]["runs"] == 8
    said = (tmp_path / f"runcast-{job}.log").read_text()
    assert said.count("Ray runtime started") == 2
    assert "the grid ended with 0" in said
