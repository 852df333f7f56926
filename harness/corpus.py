"""A read-only view of a finished corpus folder; torch-free and lazy."""

import bisect
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import CorpusError
from harness.schema import CURVES, SCHEMA_VERSION, WINDOW_EDGES
from harness.storage import open_parquet, read_parquet, sha256_of

MANIFEST: Final = "corpus.json"
TABLES: Final = ("runs", "curves", "ood", "events", "signals")
_MEND: Final = (
    "delete it and run the same `harness generate` command, which builds the tables "
    "from the shards again, or download the corpus again"
)


class Corpus:
    """Tables of a corpus, each read when asked for.

    Before a file is read for the first time its SHA-256 is compared with the manifest:
    page checksums do not cover a Parquet footer, and a damaged one may abort Python.

    Example:
        corpus = Corpus.open("runs/t4")
        early = corpus.curves(["train_loss"], until=0.2)
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self._verified: set[str] = set()

    @classmethod
    def open(cls, folder: str | Path) -> "Corpus":
        """Open a finished corpus; reads the manifest only.

        Raises:
            CorpusError: The folder is no finished corpus, a file is missing or has
                another size, or the schema is of another version.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        if manifest["schema_version"].split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise CorpusError(
                f"{folder} has schema {manifest['schema_version']}, this runcast reads "
                f"{SCHEMA_VERSION}: install the matching version"
            )
        for name, entry in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                raise CorpusError(f"{path} is missing: `harness verify {folder}`")
            if path.stat().st_size != entry["bytes"]:
                raise CorpusError(f"{path} has changed: `harness verify {folder}`")
        return cls(folder, manifest)

    @property
    def name(self) -> str:
        """Name of the corpus."""
        return str(self.manifest["name"])

    def runs(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the table of runs, or some of its columns."""
        return self._table("runs", columns)

    def ood(self) -> pl.DataFrame:
        """Return the table of out-of-distribution results."""
        return self._table("ood")

    def events(self) -> pl.DataFrame:
        """Return the table of events."""
        return self._table("events")

    def signals(self) -> pl.DataFrame:
        """Return the dictionary of signals."""
        return self._table("signals")

    def curves(
        self,
        signals: Collection[str] | None = None,
        *,
        until: float = 1.0,
        run_ids: Collection[str] | None = None,
    ) -> pl.DataFrame:
        """Return curves as rows (run_id, segment, signal, steps, values).

        Only the files of the segments asked for are touched, and of these only the row
        groups of the signals asked for are read into memory.

        Args:
            signals: Names to read; None for all.
            until: Share of each run's steps to read, in (0, 1]. Window edges (0.04,
                0.1, 0.2, 0.3, 0.5) cost nothing extra; other shares cut the last
                segment.
            run_ids: Runs to return; None for all.

        Raises:
            ValueError: `until` is out of range.
            CorpusError: A file has changed.
        """
        if not 0 < until <= 1:
            raise ValueError(f"until is {until}, expected a share in (0, 1]")
        percent = round(until * 100, 9)
        last = next(k for k, edge in enumerate(WINDOW_EDGES) if percent <= edge)
        chosen = None if signals is None else set(signals)
        runs = None if run_ids is None else sorted(run_ids)
        tables = [CURVES.empty_table()]
        for name in self._files("curves"):
            if _segment(name) <= last:
                tables += _matching_groups(self._verify(name), chosen, runs)
        frame = _frame(pa.concat_tables(tables))
        if runs is not None:
            frame = frame.filter(pl.col("run_id").is_in(runs))
        if percent != WINDOW_EDGES[last]:
            frame = self._cut(frame, last, percent)
        return frame

    def _cut(self, frame: pl.DataFrame, segment: int, percent: float) -> pl.DataFrame:
        """Drop the steps of `segment` beyond `percent` of their run."""
        edge = frame.filter(pl.col("segment") == segment).join(
            self.runs(["run_id", "num_steps"]), on="run_id", maintain_order="left"
        )
        limits = percent * edge["num_steps"].to_numpy()
        row = np.repeat(np.arange(len(edge)), edge["steps"].list.len().to_numpy())
        steps = edge["steps"].explode().to_numpy().astype(np.int64)
        inside = row[100 * steps <= limits[row]]
        kept = edge.with_columns(
            n=pl.Series(np.bincount(inside, minlength=len(edge)))
        ).with_columns(pl.col("steps", "values").list.head(pl.col("n")))
        before = frame.filter(pl.col("segment") < segment)
        return pl.concat([before, kept.filter(pl.col("n") > 0).select(frame.columns)])

    def _table(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        wanted = None if columns is None else list(columns)
        parts = [read_parquet(self._verify(f), wanted) for f in self._files(name)]
        return _frame(pa.concat_tables(parts))

    def _files(self, table: str) -> list[str]:
        """Return the manifest's names of a table's files: others are never read."""
        return sorted(f for f in self.manifest["files"] if f.startswith(f"{table}/"))

    def _verify(self, name: str) -> Path:
        """Return the path of a file whose bytes are those of the manifest."""
        path = self.folder / name
        if name not in self._verified:
            if sha256_of(path) != self.manifest["files"][name]["sha256"]:
                raise CorpusError(f"{path} has changed: `harness verify {self.folder}`")
            self._verified.add(name)
        return path


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a finished corpus.

    Raises:
        CorpusError: There is none, or it is not the text that was written.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder")
    if not path.is_file():
        raise CorpusError(
            f"{folder} holds no finished corpus ({MANIFEST} is missing): `harness "
            f"status {folder}` tells how far it is, and the same `harness generate` "
            "command finishes it"
        )
    try:
        text = path.read_bytes().decode()
        manifest: dict[str, Any] = json.loads(text)
        intact = manifest_text(manifest) == text
    except (ValueError, AttributeError) as error:
        raise CorpusError(f"{path} is damaged: {error}; {_MEND}") from error
    if not intact:
        raise CorpusError(f"{path} differs from its own digest: {_MEND}")
    return manifest


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return the text of `corpus.json`, which ends with the digest of the rest.

    Args:
        manifest: The manifest, with or without an earlier digest.
    """
    content = {k: v for k, v in manifest.items() if k != "manifest_sha256"}
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps(content | {"manifest_sha256": digest}, indent=1) + "\n"


def _segment(name: str) -> int:
    """Return k of "curves/segment-k-00000.parquet"."""
    return int(name.split("-")[1])


def _matching_groups(
    path: Path, signals: set[str] | None, run_ids: Sequence[str] | None
) -> list[pa.Table]:
    """Return the row groups that may hold what is asked for, by their statistics."""
    with open_parquet(path) as file:
        metadata = file.metadata
        wanted = [
            group
            for group in range(file.num_row_groups)
            if _may_hold(metadata.row_group(group), signals, run_ids)
        ]
        return [file.read_row_groups(wanted, CURVES.names)] if wanted else []


def _may_hold(
    group: pq.RowGroupMetaData, signals: set[str] | None, run_ids: Sequence[str] | None
) -> bool:
    """Tell whether a row group, of one signal and sorted by run, may hold some."""
    run, signal = (
        group.column(CURVES.get_field_index(name)).statistics
        for name in ("run_id", "signal")
    )
    if signals is not None and signal.min not in signals:
        return False
    return run_ids is None or (
        bisect.bisect_left(run_ids, run.min) < bisect.bisect_right(run_ids, run.max)
    )


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
