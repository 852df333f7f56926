"""mlcroissant reads a published corpus over the wire."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.manifest import read_manifest
from harness.release.croissant import croissant_text
from tests.compat.conftest import NOTES, REPO, TAG
from tests.hub.server import Hub

READ = """
import json, sys, mlcroissant
records = mlcroissant.Dataset(sys.argv[1]).records("runs")
print(json.dumps([record["runs/run_id"].decode() for record in records]))
"""


@pytest.mark.slow
def test_mlcroissant_fetches_the_runs_of_the_version_from_the_hub(
    hub: Hub, release: Path, scrubbed: dict[str, str], tmp_path: Path
) -> None:
    notes = dataclasses.replace(NOTES, repo=REPO)
    text = croissant_text(release, read_manifest(release), notes)
    path = tmp_path / "croissant.json"
    path.write_text(text.replace("https://huggingface.co", hub.endpoint))
    ran = subprocess.run(
        [sys.executable, "-c", READ, os.fspath(path)],
        env=scrubbed | {"CROISSANT_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        check=True,
    )
    (runs,) = (release / "runs").glob("*.parquet")
    expected = pq.read_table(runs)["run_id"].to_pylist()
    assert json.loads(ran.stdout) == expected
    asked = {path for _, path, _ in hub.requests}
    assert f"/datasets/{REPO}/resolve/{TAG}/runs/part-00000.parquet" in asked
    assert hub.bytes_by_path == {"runs/part-00000.parquet": runs.stat().st_size}
