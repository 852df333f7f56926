"""The runs of a folder that ended: each record is read once, however often one looks.

Listing a folder is cheap on any file system, reading ten thousand records is not: what
the tables tell is taken from them, and what was read is kept until the file changes.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import polars as pl
import pyarrow as pa

from harness.corpus import Corpus
from harness.costs import cost_columns
from harness.errors import CorpusError
from harness.manifest import MANIFEST
from harness.record import SHARD_NAME
from harness.sealed import read_sealed
from harness.storage import open_parquet

READERS: Final = 8
"""Records read at a time: on a shared file system the wait is longer than the work."""

Signature: TypeAlias = tuple[int, int, int]
"""Inode, size and time of change of a file."""


class Told(NamedTuple):
    """What a record tells of a run that failed, or whose record is damaged."""

    kind: str | None
    """Kind of failure, or "damaged"."""
    attempts: int | None
    """Times that its cohort was started."""
    error: str
    """Last line of the traceback."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Runs that ended, by id."""

    finished: pl.DataFrame
    """Status and costs of those that completed or diverged, columns as in `runs`."""
    failed: dict[str, Told]
    """Those that failed and were not finished since, and damaged records."""
    seen: dict[str, float]
    """When each record appeared, in seconds by the clock of the file system."""
    tables: str
    """"current", "outdated", "damaged" or "missing", see `harness.status.Status`."""


class EndedRuns:
    """Looks at the records and tables of one folder, again and again.

    Args:
        folder: The corpus folder.
        tell: Told how many of the records to be read were read.
    """

    def __init__(self, folder: Path, tell: Callable[[int, int], object]) -> None:
        self._folder = folder
        self._shards = folder / "shards"
        self._tell = tell
        self._read: dict[str, tuple[Signature, Any]] = {}
        self._tables: tuple[Signature, pl.DataFrame, set[str]] | None = None
        self._fresh: tuple[set[str], pl.DataFrame] = (set(), _frame([]))

    def look(self, planned: Collection[str]) -> Ended:
        """Return what ended by now.

        Args:
            planned: Ids of the runs that the tables are to hold; none: what they hold.
        """
        state, known, named = self._known()
        listed = _listed(self._shards)
        if listed is None:  # a downloaded corpus: tables alone
            return Ended(known, {}, {}, state)
        finished = {i: names[False] for i, names in listed.items() if False in names}
        failed = {i: n[True] for i, n in listed.items() if i not in finished}
        if state == "current":
            ids = set(planned or known["run_id"])
            names = {_name(i, failed=False) for i in finished.keys() & ids}
            names |= {_name(i, failed=True) for i in failed.keys() & ids}
            state = "current" if names == named else "outdated"
        told = known.filter(
            pl.col("status") != "failed", pl.col("run_id").is_in(list(finished))
        )
        self._take_in(finished.keys() - set(told["run_id"]), finished, failed=False)
        self._take_in(failed.keys(), failed, failed=True)
        rows = self._rows(finished.keys() - set(told["run_id"]))
        found = {i: self._told(i, failed=i in failed) for i in (*finished, *failed)}
        return Ended(
            pl.concat([told, rows], how="diagonal_relaxed"),
            {i: one for i, one in found.items() if isinstance(one, Told)},
            {i: sig[2] / 1e9 for i, sig in (finished | failed).items()},
            state,
        )

    def _known(self) -> tuple[str, pl.DataFrame, set[str]]:
        """Return the state of the tables, their rows, and the records they are of."""
        path = self._folder / MANIFEST
        for _ in range(2):  # they may be replaced while they are read
            before = signature(path)
            if before is None:
                break
            if self._tables is None or self._tables[0] != before:
                try:
                    corpus = Corpus.open(self._folder)
                    names = set(corpus.manifest.get("shards", {}))
                    self._tables = (before, _run_table(corpus), names)
                except (CorpusError, OSError):
                    if signature(path) == before:
                        return "damaged", _frame([]), set()
                    continue
            return "current", *self._tables[1:]
        return "missing", _frame([]), set()

    def _take_in(
        self, ids: Iterable[str], listed: dict[str, Signature], *, failed: bool
    ) -> None:
        """Read those records that were not read as they are now."""
        new = {
            name: listed[i]
            for i in sorted(ids)
            if self._read.get(name := _name(i, failed=failed), (None,))[0] != listed[i]
        }
        if not new:
            return
        read = _failure if failed else _row
        with ThreadPoolExecutor(READERS) as pool:
            rows = pool.map(lambda name: _guarded(read, self._shards / name), new)
            for done, (name, row) in enumerate(zip(new, rows, strict=True), 1):
                self._read[name] = (new[name], row)
                self._tell(done, len(new))
        self._fresh = (set(), _frame([]))

    def _rows(self, ids: set[str]) -> pl.DataFrame:
        """Return status and costs of finished runs that the tables do not know."""
        if ids != self._fresh[0]:
            read = (self._read[_name(i, failed=False)][1] for i in ids)
            self._fresh = (ids, _frame([row for row in read if isinstance(row, dict)]))
        return self._fresh[1]

    def _told(self, run_id: str, *, failed: bool) -> Any:
        return self._read.get(_name(run_id, failed=failed), (None, None))[1]


def _name(run_id: str, *, failed: bool) -> str:
    return f"{run_id}{'.failed' if failed else ''}.parquet"


def signature(path: Path) -> Signature | None:
    """Return what changes when a file does; None if there is none."""
    try:
        return _signature(path.stat())
    except OSError:
        return None


def _signature(stat: os.stat_result) -> Signature:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def listing(folder: Path) -> dict[str, Signature]:
    """Return the plain files in a folder by name; none where it cannot be listed."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file():
                        found[entry.name] = _signature(entry.stat())
                except OSError:  # it vanished
                    continue
    except OSError:
        return found
    return found


def _listed(shards: Path) -> dict[str, dict[bool, Signature]] | None:
    """Return the records by run id and by whether they are of failures."""
    if not shards.is_dir():
        return None
    found: dict[str, dict[bool, Signature]] = {}
    for name, seen in listing(shards).items():
        if match := SHARD_NAME.fullmatch(name):
            found.setdefault(match[1], {})[bool(match[2])] = seen
    return found


def _guarded(read: Callable[[Path], Any], path: Path) -> Any:
    """Return what a record tells; None if it vanished since it was listed."""
    try:
        return read(path)
    except CorpusError as error:
        return Told("damaged", None, str(error)) if path.exists() else None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return Told("damaged", None, f"{path} is damaged: {error!r}")


def _row(path: Path) -> dict[str, Any]:
    """Return what the table `runs` would hold of status and costs of a finished run."""
    parts = ("config", "costs", "environment")
    table = _read(path, ["status", *(f"{part}_json" for part in parts)])
    config, spent, environment = (
        json.loads(table[f"{part}_json"][0].as_py()) for part in parts
    )
    row = {
        "model.name": config.get("model", {}).get("name"),
        "batch_size": config.get("batch_size"),
        **{f"cost.{k}": v for k, v in spent.items()},
        **{f"environment.{k}": v for k, v in environment.items()},
    }
    return {
        "run_id": path.name.split(".")[0],
        "status": table["status"][0].as_py(),
        **{name: row[name] for name in cost_columns(row)},
    }


def _failure(path: Path) -> Told:
    """Return why a run failed."""
    table = _read(path, ["error", "events"])
    lines = (table["error"][0].as_py() or "").strip().splitlines()
    details = [
        json.loads(event["detail_json"])
        for event in table["events"][0].as_py() or ()
        if event["kind"] == "failed"
    ]
    last = details[-1] if details else {}
    error = lines[-1] if lines else "no message"
    return Told(last.get("reason"), last.get("attempts"), error)


def _read(path: Path, columns: list[str]) -> pa.Table:
    table = read_sealed(path, columns)
    if len(table) != 1 or table.num_columns != len(columns):
        raise CorpusError(f"{path} is damaged: it is no record of a run")
    return table


def _run_table(corpus: Corpus) -> pl.DataFrame:
    files = [f for f in corpus.manifest["files"] if f.startswith("runs/")]
    with open_parquet(corpus.path(min(files))) as file:
        names = file.schema_arrow.names
    return corpus.runs(["run_id", "status", *cost_columns(names)])


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    if not rows:
        return pl.DataFrame(schema={"run_id": pl.String, "status": pl.String})
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)
