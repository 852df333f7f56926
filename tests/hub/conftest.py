"""A folder like a corpus, a Hub with and without Xet, and its client."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CARD = """---
configs:
- config_name: runs
  default: true
  data_files:
  - {split: train, path: runs/train-*.parquet}
---
# Thirty-two files
"""


# For what does not depend on how large files travel.
without_xet = pytest.mark.parametrize("hub", [False], indirect=True, ids=["lfs"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return 2 tables, a card and 30 small files."""
    made = tmp_path / "folder"
    (made / "runs").mkdir(parents=True)
    (made / "figures/deep").mkdir(parents=True)
    made.joinpath("README.md").write_text(CARD)
    for part in range(2):
        table = pa.table({"x": [float(part * 100 + i) for i in range(100)]})
        pq.write_table(table, made / f"runs/train-{part}.parquet")
    for i in range(28):
        made.joinpath(f"figures/deep/note {i}.json").write_text(f'{{"i": {i}}}')
    made.joinpath("figures/curve.png").write_bytes(b"\x89PNG" + bytes(2000))
    made.joinpath("figures/empty.txt").write_bytes(b"")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }
