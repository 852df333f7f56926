"""polars, duckdb and file handles on the Hub read what pyarrow reads."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from harness.manifest import TABLES, read_manifest
from tests.compat.conftest import REPO, TAG
from tests.compat.reader import digest
from tests.hub.client import pointed_at


def rows(release: Path, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table in order, from pyarrow."""
    paths = sorted((release / table).glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("table", TABLES)
def test_polars_scans_every_cell(release, table):
    frame = pl.scan_parquet(release / table / "*.parquet").collect()
    assert digest(frame.iter_rows(named=True)) == digest(rows(release, table))


@pytest.mark.parametrize("table", TABLES)
def test_duckdb_selects_every_cell(release, table):
    with duckdb.connect() as connection:
        found = connection.sql(f"SELECT * FROM '{release / table}/*.parquet'")
        cells = [dict(zip(found.columns, r, strict=True)) for r in found.fetchall()]
    assert digest(cells) == digest(rows(release, table))


def test_duckdb_joins_runs_and_curves(release):
    with duckdb.connect() as connection:
        found = connection.sql(
            f"""
            SELECT r."optimizer.name", c.segment, count(*), sum(len(c.values))
            FROM '{release}/runs/*.parquet' r JOIN '{release}/curves/*.parquet' c
            USING (run_id)
            WHERE c.signal = 'train_loss' AND r.status = 'completed'
            GROUP BY ALL ORDER BY ALL
            """
        ).fetchall()
    runs = {row["run_id"]: row for row in rows(release, "runs")}
    counts: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows(release, "curves"):
        run = runs[row["run_id"]]
        if row["signal"] == "train_loss" and run["status"] == "completed":
            group = counts[run["optimizer.name"], row["segment"]]
            group[0] += 1
            group[1] += len(row["values"])
    assert found == [(*key, *counts[key]) for key in sorted(counts)]
    assert len(found) == 3 * 6


def test_handles_on_the_hub_give_pyarrow_and_polars_every_cell(hub, release, tmp_path):
    from huggingface_hub import HfFileSystem

    with pointed_at(hub, tmp_path / "home"):
        files = HfFileSystem(hub.endpoint, token=False, skip_instance_cache=True)
        at = f"datasets/{REPO}@{TAG}"
        names = [n for n in read_manifest(release)["files"] if n.endswith(".parquet")]
        assert len(names) == 10
        for name in names:
            expected = digest(pq.read_table(release / name).to_pylist())
            with files.open(f"{at}/{name}") as handle:
                assert digest(pq.read_table(handle).to_pylist()) == expected
            with files.open(f"{at}/{name}") as handle:
                frame = pl.read_parquet(handle)
            assert digest(frame.iter_rows(named=True)) == expected
