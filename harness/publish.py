"""From shards to a corpus: tables, card and manifest in the Hub's dataset layout.

Tables are built beside the old ones and moved in place under a missing manifest, which
is written last: a folder with `corpus.json` is complete.
"""

import json
import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from harness import __version__
from harness.card import card_text
from harness.corpus import MANIFEST, TABLES
from harness.record import RunRecord, failed_ids, finished_ids, shard_path
from harness.schema import (
    CURVES,
    EVENTS,
    OOD_TABLE,
    SCHEMA_VERSION,
    SIGNALS,
    WINDOW_EDGES,
)
from harness.storage import TEMPORARY_PREFIX, sha256_of, write_parquet, write_text

BLOCK_RUNS: Final = 2000
"""Runs held in memory at a time, and runs a file of each table."""


def build(
    folder: Path, *, name: str, grids: Mapping[str, Sequence[str]], version: str = "1"
) -> dict[str, Any]:
    """Turn the shards of `folder` into tables, card and manifest; return the manifest.

    Args:
        folder: The corpus folder with `shards/`.
        name: Name of the corpus.
        grids: Names of the grids that reference each run id.
        version: Version of the corpus.

    Raises:
        CorpusError: A shard is damaged.
        StorageError: A file could not be written.
    """
    shards = folder / "shards"
    paths = [shard_path(shards, i) for i in sorted(finished_ids(shards))]
    paths += [shard_path(shards, i, failed=True) for i in sorted(failed_ids(shards))]
    staging = folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    rows = _write_tables(staging, paths, grids)
    (folder / MANIFEST).unlink(missing_ok=True)
    for table in TABLES:
        shutil.rmtree(folder / table, ignore_errors=True)
        (staging / table).rename(folder / table)
    staging.rmdir()
    write_text(folder / "README.md", card_text(folder, name=name, rows=rows))
    manifest = {
        "name": name,
        "version": version,
        "schema_version": SCHEMA_VERSION,
        "runcast_version": __version__,
        "grids": sorted({g for names in grids.values() for g in names}),
        "window_edges_percent": list(WINDOW_EDGES),
        "rows": rows,
        "files": {
            str(path.relative_to(folder)): _entry(path) for path in _published(folder)
        },
        "shards": {path.name: sha256_of(path) for path in paths},
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return manifest


def _write_tables(
    staging: Path, paths: Sequence[Path], grids: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Write every table below `staging`, a block of runs at a time; return counts."""
    for table in TABLES:
        (staging / table).mkdir(parents=True)
    counts = dict.fromkeys(TABLES, 0)
    costs: list[dict[str, float]] = []
    run_rows: list[dict[str, Any]] = []
    for block, start in enumerate(range(0, max(len(paths), 1), BLOCK_RUNS)):
        records = [RunRecord.load(p) for p in paths[start : start + BLOCK_RUNS]]
        run_rows += [run_row(r, grids.get(r.config.run_id, ())) for r in records]
        costs += [r.costs for r in records]
        suffix = f"{block:05d}.parquet"
        for segment, groups in curve_segments(records).items():
            whole = pa.concat_tables(groups)
            path = staging / "curves" / f"segment-{segment}-{suffix}"
            write_parquet(path, whole, groups)
            counts["curves"] += len(whole)
        for table, found in (("ood", _ood(records)), ("events", _events(records))):
            write_parquet(staging / table / f"part-{suffix}", found)
            counts[table] += len(found)
    runs = pa.Table.from_pylist(_same_columns(run_rows))
    write_parquet(staging / "runs" / "part-00000.parquet", runs)
    signals = _signals(costs)
    write_parquet(staging / "signals" / "part-00000.parquet", signals)
    return counts | {"runs": len(runs), "signals": len(signals)}


def run_row(record: RunRecord, grids: Iterable[str] = ()) -> dict[str, Any]:
    """Return the row of the table `runs`: ids, configuration, targets, costs."""
    config = record.config.to_json()
    row: dict[str, Any] = {
        "run_id": record.config.run_id,
        "trajectory_id": record.config.trajectory_id,
        "family_id": record.config.family_id,
        "grids": sorted(grids),
        "status": record.status,
        "num_steps": record.num_steps,
        "steps_per_epoch": record.steps_per_epoch,
        "diverged_step": record.diverged_step,
        **_targets(record),
        **dict(_flatten(config)),
        **{f"cost.{k}": v for k, v in record.costs.items()},
        **{f"environment.{k}": v for k, v in record.environment.items()},
        "error": record.error,
        "config_json": json.dumps(config, sort_keys=True),
    }
    return row


def curve_segments(records: Sequence[RunRecord]) -> dict[int, list[pa.Table]]:
    """Return, a segment, one table a signal with a row a run, both in sorted order."""
    cells: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        edges = [edge * record.num_steps for edge in WINDOW_EDGES]
        for signal, curve in record.curves.items():
            # as schema.segment_of: segment k ends with the last 100 t <= edge
            shares = curve.steps.astype(np.int64) * 100
            ends = np.searchsorted(shares, edges, side="right").tolist()
            for k, (lo, hi) in enumerate(zip([0, *ends], ends, strict=False)):
                if lo < hi:
                    row = {
                        "run_id": record.config.run_id,
                        "segment": k,
                        "signal": signal,
                        "steps": curve.steps[lo:hi],
                        "values": curve.values[lo:hi],
                    }
                    cells[k, signal].append(row)
    segments: dict[int, list[pa.Table]] = defaultdict(list)
    for (segment, _), rows in sorted(cells.items()):
        rows.sort(key=lambda row: row["run_id"])
        segments[segment].append(pa.Table.from_pylist(rows, schema=CURVES))
    return dict(segments)


def _targets(record: RunRecord) -> dict[str, Any]:
    """Return final scores as counts and as shares, and means over complete OOD sets."""
    row: dict[str, Any] = {f"final.{k}": v for k, v in record.final.items()}
    for split in ("test", "validation", "train"):
        correct = record.final.get(f"{split}_correct")
        n = record.final.get(f"{split}_n")
        share = correct / n if correct is not None and n else None
        row[f"final.{split}_accuracy"] = share
    shares: dict[str, list[float]] = defaultdict(list)
    for cell in record.ood:
        shares[cell.set].append(cell.correct / cell.n)
    row |= {f"ood.{name}_accuracy": float(np.mean(v)) for name, v in shares.items()}
    return row


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and plain values; lists become JSON text."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{key}", json.dumps(value)
        else:
            yield f"{prefix}{key}", value


def _same_columns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with the union of all columns; numbers of one column of one type."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    floats = {k for row in rows for k, v in row.items() if isinstance(v, float)}

    def cell(row: dict[str, Any], name: str) -> Any:
        value = row.get(name)
        if name in floats and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return value

    return [{name: cell(row, name) for name in names} for row in rows]


def _ood(records: Sequence[RunRecord]) -> pa.Table:
    rows = [
        {"run_id": record.config.run_id, **cell._asdict()}
        for record in records
        for cell in record.ood
    ]
    return pa.Table.from_pylist(rows, schema=OOD_TABLE)


def _events(records: Sequence[RunRecord]) -> pa.Table:
    rows = [
        {
            "run_id": record.config.run_id,
            "step": event.step,
            "kind": event.kind,
            "detail_json": json.dumps(event.detail),
        }
        for record in records
        for event in record.events
    ]
    return pa.Table.from_pylist(rows, schema=EVENTS)


def _signals(costs: Sequence[Mapping[str, float]]) -> pa.Table:
    """Return the dictionary of signals with the mean measured seconds a run."""
    account = {"train": "log_s", "evaluate": "eval_s"}
    rows = []
    for signal in SIGNALS:
        key = account.get(signal.probe, f"{signal.probe}_s")
        paid = [cost[key] for cost in costs if key in cost]
        mean = float(np.mean(paid)) if paid else None
        rows.append(asdict(signal) | {"probe_seconds_per_run": mean})
    return pa.Table.from_pylist(rows)


def _published(folder: Path) -> list[Path]:
    tables = [path for table in TABLES for path in (folder / table).glob("*.parquet")]
    return sorted([*tables, folder / "README.md"])


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}
