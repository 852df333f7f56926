"""The table `runs` of a corpus: one row a run, flat columns of one type each."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from harness.record import RunRecord
from harness.schema import RUNS
from harness.spec import canonical_json


def run_row(record: RunRecord, grids: Iterable[str] = ()) -> dict[str, Any]:
    """Return the row of the table `runs`: ids, configuration, targets, costs."""
    config = record.config.to_json()
    return {
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
        **dict(_flatten(record.costs, "cost.")),
        **dict(_flatten(record.environment, "environment.")),
        "error": record.error,
        "config_json": canonical_json(config),
    }


def run_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table with the union of all columns, in order of appearance."""
    names = dict.fromkeys([*(name for row in rows for name in row), *RUNS.names])
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pa.table({name: _column(name, column) for name, column in columns.items()})


def _column(name: str, values: list[Any]) -> pa.Array:
    """Return a column of its fixed type, or of one that holds all its values."""
    if name in RUNS.names:
        return pa.array(values, RUNS.field(name).type)
    kinds = {type(value) for value in values if value is not None}
    if name.startswith(("final.", "ood.", "cost.")) or kinds == {int, float}:
        is_count = name.endswith(("_correct", "_n"))
        return pa.array(values, pa.int64() if is_count else pa.float64())
    if len(kinds) > 1 or not all(map(_fits, values)):
        values = [None if v is None else _text(v) for v in values]
    return pa.array(values)


def _fits(value: Any) -> bool:
    """Tell whether a value is no integer, or one of 64 bits; a seed may be any."""
    return type(value) is not int or -(2**63) <= value < 2**63


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _targets(record: RunRecord) -> dict[str, Any]:
    """Return final scores as counts and as shares, and means over OOD sets."""
    row: dict[str, Any] = {
        k if k.startswith("ood.") else f"final.{k}": v for k, v in record.final.items()
    }
    for split in ("test", "validation", "train"):
        correct = record.final.get(f"{split}_correct")
        n = record.final.get(f"{split}_n")
        share = correct / n if correct is not None and n else None
        # of a foreign run the share may be known without the counts
        name = f"final.{split}_accuracy"
        row[name] = row.get(name) if share is None else share
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
