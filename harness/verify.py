"""Check a corpus folder against its manifest, byte by byte and row by row."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.foreign import read_config
from harness.manifest import HIDDEN_TABLES, MANIFEST, TABLES, read_manifest
from harness.plan import PLAN, Plan
from harness.record import SHARD_NAME, failed_ids, finished_ids
from harness.schema import CURVES, EVENTS, OOD_TABLE, RUNS
from harness.storage import read_parquet, sha256_of

Kind = Literal[
    "unfinished", "unreadable", "missing", "size", "bytes", "extra", "rows", "outdated"
]
WORK_STATE: Final = ("shards", "leases", "checkpoints")
"""Folders of the training; of these only the shards are covered by the manifest."""
_COLUMNS: Final = {
    "runs": RUNS.names,
    "curves": CURVES.names,
    "ood": OOD_TABLE.names,
    "events": EVENTS.names,
    "hidden_runs": ("window", "run_id", "num_steps", "steps_per_epoch"),
    "hidden_curves": CURVES.names,
    "hidden_roles": ("task", "version", "window", "run_id", "role"),
}
SHOWN: Final = 5
"""Rows named in a problem; the others are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the manifest says."""

    path: Path
    """The file or folder."""
    what: str
    """What is wrong with it, and how to mend it where that is not plain."""
    kind: Kind
    """What sort of problem it is."""

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path}: {self.what}"


def verify(folder: Path) -> list[Problem]:
    """Return everything that is wrong with a corpus; an empty list if nothing is.

    Every published file and every shard is hashed; tables are read, and their rows
    checked against each other, only where all bytes are right. Cost: one pass over the
    folder, about 1 s a GB.
    """
    try:
        manifest = read_manifest(folder)
    except CorpusError as error:
        return [_without_manifest(folder, error)]
    problems = list(_files(folder, manifest))
    problems += _extras(folder, manifest)
    problems += _shards(folder, manifest)
    if not any(p.kind in ("missing", "size", "bytes") for p in problems):
        problems += _rows(folder, manifest)
    return problems


def _without_manifest(folder: Path, error: CorpusError) -> Problem:
    path = folder / MANIFEST
    if path.exists() or not folder.is_dir():
        return Problem(path if path.exists() else folder, str(error), "unreadable")
    finished = len(finished_ids(folder / "shards"))
    try:
        planned = len(Plan.load(folder).runs)
    except (CorpusError, ValueError, KeyError, TypeError) as damage:
        return Problem(folder / PLAN, f"is damaged: {damage}", "unreadable")
    what = (
        f"is no finished corpus: {finished} of {planned} planned runs are finished and "
        "the tables are not built; the same `harness generate` command finishes it"
    )
    return Problem(folder, what, "unfinished")


def _rebuild(folder: Path) -> str:
    return (
        f"delete {folder / MANIFEST} and run the same `harness generate` command, "
        "which rebuilds the tables from the shards; or download the corpus again"
    )


def _files(folder: Path, manifest: dict[str, Any]) -> Iterator[Problem]:
    """Yield published files that are not there or not the same."""
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            yield Problem(path, f"is missing: {_rebuild(folder)}", "missing")
        elif (size := path.stat().st_size) != entry["bytes"]:
            what = f"has {size:,} bytes, expected {entry['bytes']:,}"
            yield Problem(path, f"{what}: {_rebuild(folder)}", "size")
        elif (found := sha256_of(path)) != entry["sha256"]:
            what = f"has SHA-256 {found[:12]}..., expected {entry['sha256'][:12]}..."
            yield Problem(path, f"{what}: {_rebuild(folder)}", "bytes")


def _extras(folder: Path, manifest: dict[str, Any]) -> Iterator[Problem]:
    """Yield files that neither the manifest nor the training knows."""
    known = {*manifest["files"], MANIFEST, PLAN}
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if here == folder:
            folders[:] = [f for f in folders if f not in WORK_STATE]
        for name in sorted(names):
            path = (here / name).relative_to(folder)
            if path.as_posix() not in known and not _is_hidden_work(path):
                what = "is in no manifest: move it out of the corpus"
                yield Problem(folder / path, what, "extra")


def _is_hidden_work(path: Path) -> bool:
    """Tell whether a crash left the file beside the tables; the next start sweeps."""
    return path.parts[0].startswith(".") and path.parts[0] not in TABLES


def _shards(folder: Path, manifest: dict[str, Any]) -> Iterator[Problem]:
    """Yield shards that differ from those that the tables were built from."""
    shards = folder / "shards"
    if not shards.is_dir():  # a published corpus has none
        return
    expected = manifest.get("shards", {})
    mend = "delete it and run the same `harness generate` command: the run is repeated"
    for name, digest in expected.items():
        path = shards / name
        if not path.is_file():
            if not _was_repeated(shards, name):
                yield Problem(path, "is missing, though the tables hold it", "missing")
        elif sha256_of(path) != digest:
            yield Problem(
                path, f"has changed since the tables were built: {mend}", "bytes"
            )
    current = {f"{i}.parquet" for i in finished_ids(shards)}
    current |= {f"{i}.failed.parquet" for i in failed_ids(shards)}
    for name in sorted(current - set(expected)):
        what = "is not in the tables: the same `harness generate` command adds it"
        yield Problem(shards / name, what, "outdated")
    for path in sorted(shards.iterdir()):
        hidden = path.name.startswith(".")
        if not hidden and not SHARD_NAME.fullmatch(path.name):
            yield Problem(path, "is no record of a run and is not read", "extra")


def _was_repeated(shards: Path, name: str) -> bool:
    """Tell whether a failed run's record gave way to a finished one."""
    finished = name.replace(".failed.parquet", ".parquet")
    return finished != name and (shards / finished).is_file()


def _rows(folder: Path, manifest: dict[str, Any]) -> Iterator[Problem]:
    """Yield rows that contradict the manifest, the ids or each other."""
    runs = Corpus(folder, manifest).runs()
    hidden = _hidden(folder, manifest)
    counts = dict.fromkeys((*TABLES, *HIDDEN_TABLES), 0)
    for name in manifest["files"]:
        table = name.split("/")[0]
        if table not in counts:
            continue
        frame = pl.from_arrow(read_parquet(folder / name))
        assert isinstance(frame, pl.DataFrame)
        counts[table] += len(frame)
        missing = [c for c in _COLUMNS.get(table, ()) if c not in frame.columns]
        if missing:
            what = f"lacks the column(s) {', '.join(missing)}"
            yield Problem(folder / name, what, "rows")
        else:
            yield from _contradictions(folder / name, table, frame, runs)
            yield from _strangers(folder / name, table, frame, runs, hidden)
    for table, expected in manifest["rows"].items():
        if counts[table] != expected:
            what = f"has {counts[table]:,} rows, the manifest says {expected:,}"
            yield Problem(folder / table, what, "rows")


def _contradictions(
    path: Path, table: str, frame: pl.DataFrame, runs: pl.DataFrame
) -> Iterator[Problem]:
    """Yield what is wrong within one file of a table."""
    if table == "runs":
        yield from _run_ids(path, frame)
        for column in (c for c in frame.columns if c.endswith("_correct")):
            yield from _counts(path, frame, column, f"{column[:-8]}_n")
    if table in ("curves", "ood", "events") and "run_id" in runs.columns:
        strange = frame.join(runs, on="run_id", how="anti")["run_id"]
        yield from _named(path, "unknown run", strange)
    if table == "ood":
        yield from _counts(path, frame, "correct", "n")
    if table in ("curves", "hidden_curves"):
        yield from _lists(path, frame)


def _hidden(folder: Path, manifest: dict[str, Any]) -> set[str]:
    """Return the ids of hidden runs."""
    names = [n for n in manifest["files"] if n.startswith("hidden_runs/")]
    tables = [read_parquet(folder / name) for name in names]
    return {
        run
        for table in tables
        if "run_id" in table.column_names
        for run in table["run_id"].to_pylist()
    }


def _strangers(
    path: Path, table: str, frame: pl.DataFrame, runs: pl.DataFrame, hidden: set[str]
) -> Iterator[Problem]:
    """Yield rows of the tables of hidden runs that are about other runs."""
    if table == "hidden_runs":
        double = frame.filter(pl.col("run_id").is_duplicated())["run_id"]
        yield from _named(path, "run listed twice", double)
    if table == "hidden_curves":
        strange = set(frame["run_id"]) - hidden
        yield from _named(path, "unknown hidden run", strange)
    if table == "hidden_roles":
        public = runs["run_id"] if "run_id" in runs.columns else ()
        known = {"test": hidden, "train": set(public)}
        for (role,), part in frame.partition_by("role", as_dict=True).items():
            strange = set(part["run_id"]) - known.get(str(role), set())
            yield from _named(path, f"run unknown to be of role {role}", strange)


def _counts(path: Path, frame: pl.DataFrame, correct: str, n: str) -> Iterator[Problem]:
    bad = frame.filter(~pl.col(correct).is_between(0, pl.col(n)))["run_id"]
    yield from _named(path, f"{correct} is not between 0 and {n}", bad)


def _run_ids(path: Path, runs: pl.DataFrame) -> Iterator[Problem]:
    """Yield ids that are not those of their configuration, or not unique."""
    wrong = []
    names = ["run_id", "trajectory_id", "family_id"]
    for *ids, text in runs.select(*names, "config_json").rows():
        try:
            config = read_config(json.loads(text))
            real = [config.run_id, config.trajectory_id, config.family_id]
        except (ValueError, KeyError, TypeError):
            real = []
        if ids != real:
            wrong.append(ids[0])
    yield from _named(path, "ids differ from those of config_json", wrong)
    double = runs.filter(pl.col("run_id").is_duplicated())["run_id"]
    yield from _named(path, "run listed twice", double)


def _lists(path: Path, curves: pl.DataFrame) -> Iterator[Problem]:
    """Yield curves whose steps and values do not pair up or do not ascend."""
    keys = ["run_id", "segment", "signal"]
    uneven = pl.col("steps").list.len() != pl.col("values").list.len()
    falling = pl.col("steps").list.diff().list.slice(1).list.min() <= 0
    for what, rows in (
        ("steps and values differ in length", uneven),
        ("steps do not ascend", falling),
        ("segment listed twice", pl.struct(keys).is_duplicated()),
    ):
        yield from _named(path, what, curves.filter(rows)["run_id"])


def _named(path: Path, what: str, ids: Iterable[str]) -> Iterator[Problem]:
    """Yield one problem that names the first of some runs, none without any."""
    distinct = sorted(set(ids))
    if distinct:
        more = len(distinct) - SHOWN
        rest = f" and {more} more" if more > 0 else ""
        yield Problem(path, f"{what}: {', '.join(distinct[:SHOWN])}{rest}", "rows")
