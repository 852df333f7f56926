"""A read-only view of a finished corpus folder; torch-free and lazy."""

import bisect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import CorpusError
from harness.hub.address import is_address
from harness.manifest import data_sha256, read_manifest
from harness.schema import CURVES, WINDOW_EDGES
from harness.storage import open_parquet, read_parquet, sha256_of


class Corpus:
    """Tables of a corpus, each read when asked for.

    Before a file is read for the first time its SHA-256 is compared with the manifest:
    page checksums do not cover a Parquet footer, and a damaged one may abort Python.

    Example:
        corpus = Corpus.open("runs/t4")  # or "ORG/NAME@v1.0.0"
        early = corpus.curves(["train_loss"], until=0.2)
    """

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        fetch: Callable[[str], Path] | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._fetch = fetch
        self._verified: dict[str, Path] = {}

    @classmethod
    def open(cls, where: str | Path) -> "Corpus":
        """Open a finished corpus; reads the manifest only.

        Args:
            where: A folder; or "ORG/NAME@v1.0.0", a version on the Hugging Face Hub,
                of which a file is fetched into the client's cache when it is first
                read. HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are obeyed.

        Raises:
            CorpusError: There is no finished corpus, a file is missing or has another
                size, or the schema is of another version.
            HubError: The Hub cannot be asked, or has no such version.
        """
        if is_address(where):
            from harness.hub.download import manifest_at

            folder, manifest, fetch = manifest_at(str(where))
            return cls(folder, manifest, fetch)
        folder = Path(where)
        manifest = read_manifest(folder)
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

    @property
    def data_sha256(self) -> str:
        """Digest of the tables: what scores and submissions belong to."""
        return data_sha256(self.manifest)

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
                tables += _matching_groups(self.path(name), chosen, runs)
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
        parts = [read_parquet(self.path(f), wanted) for f in self._files(name)]
        return _frame(pa.concat_tables(parts))

    def _files(self, table: str) -> list[str]:
        """Return the manifest's names of a table's files: others are never read."""
        return sorted(f for f in self.manifest["files"] if f.startswith(f"{table}/"))

    def path(self, name: str) -> Path:
        """Return the path of a file whose bytes are those of the manifest."""
        if name not in self._verified:
            path = self.folder / name if self._fetch is None else self._fetch(name)
            if sha256_of(path) != self.manifest["files"][name]["sha256"]:
                mend = f"`harness verify {self.folder}`"
                if self._fetch is not None:
                    mend = "`harness download` without --out fetches it again"
                raise CorpusError(f"{path} has changed: {mend}")
            self._verified[name] = path
        return self._verified[name]


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
