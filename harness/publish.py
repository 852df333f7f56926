"""From shards to a corpus: tables, card and manifest in the Hub's dataset layout.

Tables are built beside the old ones and moved in place under a missing manifest, which
is written last: a folder with `corpus.json` is complete.
"""

import contextlib
import json
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness import __version__
from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.manifest import MANIFEST, TABLES, write_manifest
from harness.record import Curve, RunRecord, failed_ids, finished_ids, shard_names
from harness.release.card import card_text
from harness.release.facts import gather_facts
from harness.run_table import run_row, run_table
from harness.schema import (
    CURVES,
    EVENTS,
    OOD_TABLE,
    SCHEMA_VERSION,
    WINDOW_EDGES,
)
from harness.sealed import check_seal
from harness.signal_table import SignalTable
from harness.storage import (
    TEMPORARY_PREFIX,
    replacing,
    sha256_of,
    write_parquet,
    write_text,
)

__all__ = ["build", "curve_segments", "run_row", "write_corpus"]

Run = TypeVar("Run")
BLOCK_RUNS: Final = 10_000
"""Runs held in memory at a time, and runs a file of each table, at most."""
BLOCK_VALUES: Final = 16_000_000
"""Curve values held in memory at a time, unless a single run has more (128 MB)."""
GROUP_VALUES: Final = 4_000_000
"""Curve values a row group, at most: what a reader has to hold at a time (32 MB)."""
ENCODINGS: Final = {
    "steps.list.element": "DELTA_BINARY_PACKED",
    "values.list.element": "BYTE_STREAM_SPLIT",
}
"""A fifth smaller than plain values, and exact for every NaN."""


def build(
    folder: Path,
    *,
    name: str,
    grids: Mapping[str, Sequence[str]],
    version: str = "1",
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """Turn the shards of `folder` into tables, card and manifest; return the manifest.

    Args:
        folder: The corpus folder with `shards/`.
        name: Name of the corpus.
        grids: Names of the grids that reference each run id.
        version: Version of the corpus.
        only: Ids of the runs to take in; None: all that ended.

    Raises:
        CorpusError: Shards are damaged; names all of them.
        StorageError: A file could not be written.
    """
    shards = folder / "shards"
    ended = finished_ids(shards) | failed_ids(shards)
    names = shard_names(shards, ended if only is None else ended & set(only))
    paths = [shards / name for name in sorted(names)]
    _check(folder, paths)
    records = map(RunRecord.load, paths)
    shas = {path.name: sha256_of(path) for path in paths}
    return write_corpus(
        folder, records, name=name, grids=grids, version=version, shards=shas
    )


def _check(folder: Path, paths: Iterable[Path]) -> None:
    """Refuse damaged shards, all at once, before anything is written."""
    problems = []
    for path in paths:
        try:
            check_seal(path)
        except CorpusError as error:
            problems.append(str(error))
    if problems:
        raise CorpusError(
            f"the tables of {folder} are not built:\n" + "\n".join(problems) + "\n"
            "delete these files, and the same `harness generate` command trains their "
            "runs again"
        )


def write_corpus(
    folder: Path,
    records: Iterable[RunRecord],
    *,
    name: str,
    grids: Mapping[str, Sequence[str]],
    version: str = "1",
    shards: Mapping[str, str],
    origin: Callable[[], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write records as tables, card and manifest; return the manifest.

    Args:
        folder: The corpus folder.
        records: The runs, each once; held in memory a block at a time.
        name: Name of the corpus.
        grids: Names of the grids that reference each run id.
        version: Version of the corpus.
        shards: SHA-256 of each shard that the records are read from, by file name.
        origin: Tells where imported runs come from; asked after the last of them.

    Raises:
        StorageError: A file could not be written.
    """
    with _staging(folder) as staging:
        rows = _write_tables(staging, records, grids)
        (folder / MANIFEST).unlink(missing_ok=True)
        for table in TABLES:
            shutil.rmtree(folder / table, ignore_errors=True)
            (staging / table).rename(folder / table)
    source = None if origin is None else dict(origin())
    fields = {
        "name": name,
        "version": version,
        "schema_version": SCHEMA_VERSION,
        "runcast_version": __version__,
        "grids": sorted({g for names in grids.values() for g in names}),
        "window_edges_percent": list(WINDOW_EDGES),
        "rows": rows,
        "shards": dict(shards),
        **({} if source is None else {"origin": source}),
    }
    tables = _tables(folder)
    write_text(folder / "README.md", _card(folder, fields, tables))
    return write_manifest(folder, fields, [*tables, "README.md"])


def _card(folder: Path, fields: Mapping[str, Any], names: Iterable[str]) -> str:
    """Return the card of tables that no manifest knows yet."""
    files = {
        name: {
            "sha256": sha256_of(folder / name),
            "bytes": (folder / name).stat().st_size,
        }
        for name in names
    }
    return card_text(gather_facts(Corpus(folder, {**fields, "files": files})))


@contextlib.contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a folder beside the tables that leaves no trace."""
    staging = folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_tables(
    staging: Path, records: Iterable[RunRecord], grids: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Write every table below `staging`, a block of runs at a time; return counts."""
    counts = dict.fromkeys(TABLES, 0)
    signals = SignalTable()
    run_rows: list[dict[str, Any]] = []

    def write(name: str, groups: list[pa.Table], encodings: Any = None) -> None:
        with replacing(staging / name) as temporary:
            write_parquet(temporary, groups[0], groups, encodings)
        counts[name.split("/")[0]] += sum(map(len, groups))

    for number, block in enumerate(blocks(records, _num_values)):
        run_rows += [run_row(r, grids.get(r.config.run_id, ())) for r in block]
        signals.add(block)
        suffix = f"{number:05d}.parquet"
        # a table without rows still says what its columns are
        segments = curve_segments(block) or {0: [CURVES.empty_table()]}
        for segment, groups in segments.items():
            write(f"curves/segment-{segment}-{suffix}", groups, ENCODINGS)
        write(f"ood/part-{suffix}", [_ood(block)])
        write(f"events/part-{suffix}", [_events(block)])
    write("runs/part-00000.parquet", [run_table(run_rows)])
    write("signals/part-00000.parquet", [signals.table()])
    return counts


def blocks(runs: Iterable[Run], size_of: Callable[[Run], int]) -> Iterator[list[Run]]:
    """Yield runs in order, as many at a time as memory is meant for; one block if none.

    Args:
        runs: Whatever stands for a run.
        size_of: Returns the number of its curve values.
    """
    block: list[Run] = []
    values = 0
    for run in runs:
        size = size_of(run)
        if block and (len(block) == BLOCK_RUNS or values + size > BLOCK_VALUES):
            yield block
            block, values = [], 0
        block.append(run)
        values += size
    yield block


def _num_values(record: RunRecord) -> int:
    return sum(len(curve.values) for curve in record.curves.values())


def curve_segments(records: Sequence[RunRecord]) -> dict[int, list[pa.Table]]:
    """Return, a segment, row groups sorted by signal and run; a group has one signal.

    Segments, signals and runs without a value have no row.
    """
    runs = sorted(
        ((record.config.run_id, record) for record in records), key=itemgetter(0)
    )
    signals = sorted({name for record in records for name in record.curves})
    segments: defaultdict[int, list[pa.Table]] = defaultdict(list)
    for signal in signals:
        having = [(run_id, r) for run_id, r in runs if signal in r.curves]
        bounds = np.stack([_bounds(record, signal) for _, record in having])
        for segment in range(len(WINDOW_EDGES)):
            lo, hi = bounds[:, segment], bounds[:, segment + 1]
            for rows in _groups(hi - lo):
                cells = [
                    _Cell(having[i][0], having[i][1].curves[signal], lo[i], hi[i])
                    for i in rows.tolist()
                ]
                segments[segment].append(_curve_rows(cells, signal, segment))
    return dict(sorted(segments.items()))


class _Cell(NamedTuple):
    """The part of a run's curve that lies in a segment."""

    run_id: str
    curve: Curve
    start: int
    stop: int


def _bounds(record: RunRecord, signal: str) -> npt.NDArray[np.int64]:
    """Return where each segment of a curve starts, and its end.

    As `schema.segment_of`: segment k ends with the last 100 t <= edge * num_steps.
    """
    shares = record.curves[signal].steps.astype(np.int64) * 100
    edges = np.asarray(WINDOW_EDGES, dtype=np.int64) * record.num_steps
    return np.concatenate([[0], np.searchsorted(shares, edges, side="right")])


def _groups(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the indices of the rows that are not empty, by row group."""
    rows = np.flatnonzero(lengths)
    if len(rows):
        group = (np.cumsum(lengths[rows]) - 1) // GROUP_VALUES
        yield from np.split(rows, np.flatnonzero(np.diff(group)) + 1)


def _curve_rows(cells: Sequence[_Cell], signal: str, segment: int) -> pa.Table:
    """Return one row a run, the lists assembled without a Python object a value."""
    offsets = np.cumsum([0, *(cell.stop - cell.start for cell in cells)])
    steps = np.concatenate([c.curve.steps[c.start : c.stop] for c in cells])
    values = np.concatenate([c.curve.values[c.start : c.stop] for c in cells])
    ends = pa.array(offsets, pa.int32())
    return pa.Table.from_arrays(
        [
            pa.array([cell.run_id for cell in cells], pa.string()),
            pa.array(np.full(len(cells), segment, np.int8)),
            pa.array([signal] * len(cells), pa.string()),
            pa.ListArray.from_arrays(ends, pa.array(steps, pa.int32())),
            pa.ListArray.from_arrays(ends, pa.array(values, pa.float32())),
        ],
        schema=CURVES,
    )


def _ood(records: Sequence[RunRecord]) -> pa.Table:
    rows = [
        {"run_id": run_id, **cell._asdict()}
        for record in records
        if record.ood
        for run_id in [record.config.run_id]
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


def _tables(folder: Path) -> list[str]:
    paths = [path for table in TABLES for path in (folder / table).glob("*.parquet")]
    return [path.relative_to(folder).as_posix() for path in paths]
