"""The tables of a blind corpus: those of public runs, written as if no others were.

Which runs share a file or a row group depends on the public runs alone.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from harness.corpus import Corpus
from harness.importers.missing import curve_sizes
from harness.publish import ENCODINGS, GROUP_VALUES, blocks
from harness.schema import CURVES, RUNS, Signal
from harness.signal_table import PRICE_COLUMNS, SignalTable
from harness.spec import canonical_json
from harness.storage import read_parquet, replacing, write_parquet
from tasks.cost import EVALUATE, TRAIN
from tasks.observations import is_setting

KEYS = ("name", "probe", "params_json", "estimator_version")
"""Columns that tell the rows of the dictionary of signals apart."""


def write_public(source: Corpus, folder: Path, run_ids: Sequence[str]) -> None:
    """Write the ordinary tables of some runs of a corpus below `folder`.

    Settings keep their columns; any other column that none of the runs has is left out.

    Args:
        source: An open corpus.
        folder: Where to.
        run_ids: Runs that stay.

    Raises:
        StorageError: A file could not be written.
    """
    runs = _rows(source, "runs", run_ids)
    kept = [
        name
        for name in sorted(runs.column_names, key=_place)
        if name in RUNS.names or is_setting(name) or runs[name].null_count < len(runs)
    ]
    write(folder / "runs/part-00000.parquet", [runs.select(kept)])
    write(folder / "signals/part-00000.parquet", [_priced(source, runs)])
    others = {name: _rows(source, name, run_ids) for name in ("ood", "events")}
    sizes = curve_sizes(source).group_by("run_id").agg(pl.col("n").sum())
    size = dict(sizes.rows())
    every = blocks(sorted(run_ids), lambda run: int(size.get(run, 0)))
    for number, block in enumerate(every):
        suffix = f"{number:05d}.parquet"
        frame = source.curves(run_ids=block).sort("signal", "run_id")
        parts = {
            segment: curve_groups(part)
            for (segment,), part in frame.partition_by("segment", as_dict=True).items()
        }
        for segment, groups in (parts or {0: [CURVES.empty_table()]}).items():
            write(folder / f"curves/segment-{segment}-{suffix}", groups, ENCODINGS)
        for name, table in others.items():
            write(folder / name / f"part-{suffix}", [_of(table, block)])


def _place(column: str) -> tuple[int, int, str]:
    """Return where a column stands, whichever run was the first to have it."""
    if column in RUNS.names:
        at = RUNS.names.index(column)
        return (0 if at < RUNS.names.index("error") else 9, at, column)
    kinds = ("final.", "ood.", "", "cost.", "environment.")
    kind = next((k for k in kinds if k and column.startswith(k)), "")
    return (1 + kinds.index(kind), 0, column)


def curve_groups(frame: pl.DataFrame) -> list[pa.Table]:
    """Return curves as row groups of one signal each, in the order of the rows.

    Args:
        frame: Sorted by signal.
    """
    groups = []
    for part in frame.partition_by("signal", maintain_order=True):
        sizes = part["steps"].list.len().to_numpy().astype(np.int64)
        group = pl.Series((np.cumsum(sizes) - 1) // GROUP_VALUES)
        for cells in part.with_columns(group=group).partition_by(
            "group", maintain_order=True
        ):
            groups.append(cells.select(CURVES.names).to_arrow().cast(CURVES))
    return groups or [CURVES.empty_table()]


def write(path: Path, groups: list[pa.Table], encodings: Any = None) -> None:
    """Write a table, in row groups, atomically."""
    with replacing(path) as temporary:
        write_parquet(temporary, groups[0], groups, encodings)


def _rows(source: Corpus, table: str, run_ids: Sequence[str]) -> pa.Table:
    """Return the rows of some runs, with their types."""
    names = sorted(n for n in source.manifest["files"] if n.startswith(f"{table}/"))
    parts = [read_parquet(source.path(name)) for name in names]
    return _of(pa.concat_tables(parts), run_ids)


def _of(table: pa.Table, run_ids: Sequence[str]) -> pa.Table:
    wanted = pa.array(list(run_ids), pa.string())
    kept = table.filter(pc.is_in(table["run_id"], value_set=wanted))
    return kept.combine_chunks()


@dataclass(frozen=True, slots=True)
class _Paid:
    """A run of a table, as `SignalTable` asks about it."""

    signals: tuple[Signal, ...]
    """Signals of its probes."""
    costs: dict[str, float]
    """What it spent, by account."""


def _priced(source: Corpus, runs: pa.Table) -> pa.Table:
    """Return the dictionary of signals with prices of these runs alone."""
    table = source.signals()
    words = [name for name in table.columns if name not in PRICE_COLUMNS]
    signals = [Signal(**row) for row in table.select(words).iter_rows(named=True)]
    carried = _carried(source, runs, signals)
    prices = SignalTable()
    columns = [name for name in runs.column_names if name.startswith("cost.")]
    paid = [
        _Paid(
            tuple(carried[row["run_id"]]),
            {
                name.removeprefix("cost."): row[name]
                for name in columns
                if row[name] is not None
            },
        )
        for row in runs.select(["run_id", *columns]).to_pylist()
    ]
    prices.add(paid)
    new = pl.DataFrame(prices.table()).select(*KEYS, *PRICE_COLUMNS)
    joined = table.select(words).join(new, on=KEYS, how="left", maintain_order="left")
    (name,) = [n for n in source.manifest["files"] if n.startswith("signals/")]
    schema = read_parquet(source.path(name)).schema
    return joined.select(schema.names).to_arrow().cast(schema)


def _carried(
    source: Corpus, runs: pa.Table, signals: Sequence[Signal]
) -> dict[str, list[Signal]]:
    """Return the probed signals of each run: by its probes, else by its curves."""
    by_probe: defaultdict[tuple[str, str], list[Signal]] = defaultdict(list)
    for signal in signals:
        if signal.probe in (TRAIN, EVALUATE):  # every run has these
            continue
        by_probe[signal.probe, signal.params_json].append(signal)
    named = "probes" in runs.column_names
    texts = runs["probes"].to_pylist() if named else [None] * len(runs)
    recorded = curve_sizes(source).filter(pl.col("n") > 0)
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for run, signal in recorded.select("run_id", "signal").rows():
        seen[run].add(signal)
    found: dict[str, list[Signal]] = {}
    for run, text in zip(runs["run_id"].to_pylist(), texts, strict=True):
        probes = [dict(probe) for probe in json.loads(text or "[]")]
        keys = {(probe.pop("name"), canonical_json(probe)) for probe in probes}
        found[run] = [
            signal
            for key, group in by_probe.items()
            for signal in group
            if (key in keys if keys else signal.name in seen[run])
        ]
    return found
