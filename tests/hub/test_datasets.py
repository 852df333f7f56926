"""The `datasets` library of this environment against the loopback Hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.hub.server import Hub

REPO = {"repo_id": "lab/corpus", "repo_type": "dataset"}
LOAD = """
import json, sys
import datasets
arguments = {"path": "lab/corpus", "revision": "v1", "split": "train"}
rows = datasets.load_dataset(**arguments)["x"]
stream = [] if "offline" in sys.argv else datasets.load_dataset(
    **arguments, streaming=True
)
print(json.dumps([list(rows), [row["x"] for row in stream]]))
"""


def load(hub: Hub, home: Path, *words: str) -> list[list[float]]:
    """Return the rows that another process loads and streams."""
    scrubbed = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    offline = {"HF_HUB_OFFLINE": "1"} if "offline" in words else {}
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, *words],
        env=scrubbed | hub.environment(home) | {"USE_TORCH": "0"} | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.slow
def test_datasets_loads_streams_and_loads_again_offline(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    api = HfApi()
    api.create_repo(**REPO, private=True)
    api.upload_folder(**REPO, folder_path=folder)
    api.create_tag(**REPO, tag="v1")
    rows = [float(i) for i in range(200)]
    assert load(hub, tmp_path / "other") == [rows, rows]
    hub.reset_log()
    assert load(hub, tmp_path / "other", "offline") == [rows, []]
    assert hub.requests == []
