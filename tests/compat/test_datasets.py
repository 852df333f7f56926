"""`datasets` 5 and 3.6 read every cell of a release that pyarrow reads."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from tests.compat import reader
from tests.compat.conftest import REPO, TAG
from tests.hub.server import Hub

WINDOWS = {f"curves-w{percent:02d}" for percent in (4, 10, 20, 30, 50)}


def run(
    python: Path, environment: Mapping[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """Run the reader in a process of its own."""
    command = [os.fspath(python), reader.__file__, *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )


def read(python: Path, environment: Mapping[str, str], *words: str) -> dict[str, Any]:
    """Return what the reader prints."""
    ran = run(python, environment, *words)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def tables(release: Path) -> dict[str, pa.Table]:
    """Return the rows of every configuration of the card, in order, from pyarrow."""
    found = {}
    for config in DatasetCard.load(release / "README.md").data.configs:
        (part,) = config["data_files"]
        globs = [part["path"]] if isinstance(part["path"], str) else part["path"]
        paths = [path for one in globs for path in sorted(release.glob(one))]
        found[config["config_name"]] = pa.concat_tables(map(pq.read_table, paths))
    return found


def digest(table: pa.Table) -> str:
    return reader.digest(table.to_pylist())


def by_pyarrow(release: Path, *, streamed: bool = True) -> dict[str, Any]:
    """Return what the reader must print, from the rows that pyarrow reads."""
    every = tables(release)
    configs: dict[str, Any] = {}
    for name, table in every.items():
        whole = digest(table)
        configs[name] = {"whole": whole, "num_rows": len(table)}
        if streamed:
            configs[name]["streamed"] = whole
    curves, n = every["curves"], len(every["curves"])
    configs["curves"] |= {
        "first": digest(curves[:5]),
        "middle": digest(curves[round(0.1 * n) : round(0.2 * n)]),
        "last": digest(curves[n - 3 :]),
        "numpy": digest(curves.select(["steps", "values"])),
    }
    # the formatter of `datasets` widens integers, and keeps float32
    found = {"configs": configs, "kinds": ["steps:int64", "values:float32"]}
    if streamed:
        found["default"] = configs["runs"]["whole"]
        for name, columns in reader.SOME.items():
            configs[name]["columns"] = digest(every[name].select(columns))
    return found


def test_every_table_and_window_of_the_release_has_rows(release):
    every = {name: len(table) for name, table in tables(release).items()}
    assert set(every) == {"runs", "curves", "ood", "events", "signals"} | WINDOWS
    assert min(every.values()) > 0


def test_a_folder_is_read_cell_by_cell(python, release, scrubbed, tmp_path):
    found = read(python, scrubbed | {"HF_HOME": str(tmp_path)}, str(release))
    assert found.pop("version")[:2] in ("3.", "5.")
    assert found == by_pyarrow(release)


@pytest.mark.slow
def test_the_old_environment_has_the_old_readers(old_python, scrubbed):
    words = (
        "from importlib.metadata import version as v; print(v('datasets'), v('HUB'))"
    )
    command = [old_python, "-c", words.replace("HUB", "huggingface_hub")]
    ran = subprocess.run(command, env=scrubbed, capture_output=True, check=True)
    assert ran.stdout.decode().startswith("3.6.0 0.36.")


@pytest.mark.slow
def test_the_hub_is_read_cell_by_cell_and_then_offline(
    python: Path, hub: Hub, release: Path, scrubbed: dict[str, str], tmp_path: Path
) -> None:
    environment = scrubbed | hub.environment(tmp_path / "home")
    online = read(python, environment, REPO, TAG)
    assert online == by_pyarrow(release) | {"version": online["version"]}
    hub.reset_log()
    off = environment | {"HF_HUB_OFFLINE": "1"}
    offline = read(python, off, REPO, TAG, *tables(release))
    expected = by_pyarrow(release, streamed=False)
    assert offline == expected | {"version": online["version"]}
    assert hub.requests == []


@pytest.mark.slow
def test_offline_without_having_loaded_it_fails_and_says_so(
    python: Path, hub: Hub, scrubbed: dict[str, str], tmp_path: Path
) -> None:
    environment = scrubbed | hub.environment(tmp_path / "new") | {"HF_HUB_OFFLINE": "1"}
    ran = run(python, environment, REPO, TAG)
    assert ran.returncode == 1
    assert hub.requests == []
    last = ran.stderr.splitlines()[-1]
    said = "Couldn't reach 'lab/corpus' on the Hub (OfflineModeIsEnabled)"
    assert last == f"ConnectionError: {said}"
