"""A read-only view of a finished corpus folder; torch-free and lazy."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import CorpusError
from harness.schema import CURVES, SCHEMA_VERSION, WINDOW_EDGES
from harness.storage import open_parquet, read_parquet

MANIFEST: Final = "corpus.json"
TABLES: Final = ("runs", "curves", "ood", "events", "signals")


class Corpus:
    """Tables of a corpus, each read when asked for, every page checksum verified.

    Example:
        corpus = Corpus.open("runs/t4")
        early = corpus.curves(["train_loss"], until=0.2)
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest

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

        Only the row groups of the segments and signals asked for are read.

        Args:
            signals: Names to read; None for all.
            until: Share of each run's steps to read, in (0, 1]. Window edges (0.04,
                0.1, 0.2, 0.3, 0.5) cost nothing extra; other shares cut the last
                segment.
            run_ids: Runs to return; None for all.

        Raises:
            ValueError: `until` is out of range.
            CorpusError: A page is damaged.
        """
        if not 0 < until <= 1:
            raise ValueError(f"until is {until}, expected a share in (0, 1]")
        percent = round(until * 100, 9)
        last = next(k for k, edge in enumerate(WINDOW_EDGES) if percent <= edge)
        chosen = None if signals is None else set(signals)
        tables = [CURVES.empty_table()]
        for path in sorted((self.folder / "curves").glob("*.parquet")):
            tables += _matching_groups(path, last, chosen)
        frame = _frame(pa.concat_tables(tables))
        if run_ids is not None:
            frame = frame.filter(pl.col("run_id").is_in(list(run_ids)))
        if percent != WINDOW_EDGES[last]:
            frame = self._cut(frame, last, percent)
        return frame

    def _cut(self, frame: pl.DataFrame, segment: int, percent: float) -> pl.DataFrame:
        """Drop the steps of `segment` beyond `percent` of their run."""
        lengths = self.runs(["run_id", "num_steps"])
        inside = frame.filter(pl.col("segment") < segment)
        edge = frame.filter(pl.col("segment") == segment).join(lengths, on="run_id")
        keys = ["run_id", "segment", "signal"]
        kept = (
            edge.explode("steps", "values")
            .filter(pl.col("steps") * 100 <= percent * pl.col("num_steps"))
            .group_by(keys, maintain_order=True)
            .agg("steps", "values")
        )
        return pl.concat([inside, kept.select(frame.columns)])

    def _table(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        paths = sorted((self.folder / name).glob("*.parquet"))
        wanted = None if columns is None else list(columns)
        return _frame(pa.concat_tables([read_parquet(p, wanted) for p in paths]))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a finished corpus.

    Raises:
        CorpusError: There is none, or it is not readable.
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
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorpusError(f"{path} is not readable JSON: {error}") from error
    return manifest


def _matching_groups(
    path: Path, last_segment: int, signals: set[str] | None
) -> list[pa.Table]:
    """Return the row groups of `path` up to a segment and of some signals."""
    with open_parquet(path) as file:
        wanted = [
            group
            for group in range(file.num_row_groups)
            if _holds(file.metadata.row_group(group), last_segment, signals)
        ]
        if not wanted:
            return []
        try:
            return [file.read_row_groups(wanted).cast(CURVES)]
        except (OSError, pa.ArrowException) as error:
            raise CorpusError(f"{path} is damaged: {error}") from error


def _holds(
    group: pq.RowGroupMetaData, last_segment: int, signals: set[str] | None
) -> bool:
    """Tell from its statistics whether a row group holds what is asked for."""
    columns = {group.column(i).path_in_schema: i for i in range(group.num_columns)}
    segment = group.column(columns["segment"]).statistics
    signal = group.column(columns["signal"]).statistics
    early = segment.min <= last_segment
    return early and (signals is None or signal.min in signals)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
