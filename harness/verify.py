"""Check a corpus folder against its manifest, byte by byte and row by row."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from harness.corpus import Corpus
from harness.damage import file_fault
from harness.errors import CorpusError
from harness.foreign import read_config
from harness.hidden_rows import Hidden
from harness.manifest import HIDDEN_TABLES, MANIFEST, TABLES, read_manifest
from harness.plan import PLAN, Plan
from harness.record import finished_ids
from harness.schema import CURVES, EVENTS, OOD_TABLE, RUNS
from harness.storage import read_parquet, sha256_of
from harness.work_problems import (
    Problem,
    checkpoint_problems,
    plan_of,
    record_problems,
)

__all__ = ["Problem", "verify"]

WORK_STATE: Final = ("shards", "leases", "checkpoints", "attempts")
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


def verify(folder: Path) -> list[Problem]:
    """Return everything that is wrong with a corpus; an empty list if nothing is.

    Every published file, every record of a run and the plan are read to the last byte,
    of an unfinished folder the checkpoints too; tables are read, and their rows checked
    against each other, only where all bytes are right. Cost: one pass over the folder,
    about 1 s a GB.
    """
    plan = plan_of(folder)
    problems = [plan] if isinstance(plan, Problem) else []
    known = Plan(()) if isinstance(plan, Problem) else plan
    try:
        manifest = read_manifest(folder)
    except (CorpusError, OSError) as error:
        return [*_without_manifest(folder, error, plan), *problems]
    problems += _files(folder, manifest)
    problems += _extras(folder, manifest["files"])
    problems += record_problems(folder, known, manifest.get("shards", {}))
    if not any(p.kind in ("missing", "size", "bytes", "unreadable") for p in problems):
        problems += _rows(folder, manifest)
    return problems


def _without_manifest(
    folder: Path, error: Exception, plan: Plan | Problem
) -> Iterator[Problem]:
    """Yield why there is no finished corpus, and the damage in what there is."""
    path = folder / MANIFEST
    if os.path.lexists(path) or not folder.is_dir():
        yield Problem(
            path if os.path.lexists(path) else folder, str(error), "unreadable"
        )
    else:
        yield _unfinished(folder, plan)
    if folder.is_dir():
        known = Plan(()) if isinstance(plan, Problem) else plan
        yield from _extras(folder, ["README.md"], (*TABLES, *HIDDEN_TABLES))
        yield from record_problems(folder, known, {})
        yield from checkpoint_problems(folder)


def _unfinished(folder: Path, plan: Plan | Problem) -> Problem:
    finished = finished_ids(folder / "shards")
    planned = set() if isinstance(plan, Problem) else set(plan.grids)
    count = len(finished & planned if planned else finished)
    of = "unknown" if isinstance(plan, Problem) else len(planned)
    what = (
        f"is no finished corpus: {count} of {of} planned runs are finished and "
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
        fault = file_fault(path.resolve()) if path.is_file() else None
        if not path.is_file():
            yield Problem(path, f"is missing: {_rebuild(folder)}", "missing")
        elif fault and not fault.bytes_differ:
            yield Problem(path, f"{fault.what}: {_rebuild(folder)}", "unreadable")
        elif (size := path.stat().st_size) != entry["bytes"]:
            what = f"has {size:,} bytes, expected {entry['bytes']:,}"
            yield Problem(path, f"{what}: {_rebuild(folder)}", "size")
        elif (found := sha256_of(path)) != entry["sha256"]:
            what = f"has SHA-256 {found[:12]}..., expected {entry['sha256'][:12]}..."
            yield Problem(path, f"{what}: {_rebuild(folder)}", "bytes")


def _extras(
    folder: Path, files: Iterable[str], unlisted: Iterable[str] = ()
) -> Iterator[Problem]:
    """Yield files that neither the manifest nor the training knows.

    Args:
        folder: The corpus folder.
        files: Those of the manifest.
        unlisted: Folders whose files are in no manifest yet.
    """
    known = {*files, MANIFEST, PLAN}
    skipped = {*WORK_STATE, *unlisted}
    for place, folders, names in os.walk(folder):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        if here == folder:
            links = [name for name in links if name not in (*skipped, *TABLES)]
            folders[:] = [name for name in folders if name not in skipped]
        for name in sorted([*names, *links]):
            path = (here / name).relative_to(folder)
            if path.as_posix() not in known and not _is_hidden_work(path):
                what = "is in no manifest: move it out of the corpus"
                yield Problem(folder / path, what, "extra")


def _is_hidden_work(path: Path) -> bool:
    """Tell whether a crash left the file beside the tables; the next start sweeps."""
    return path.parts[0].startswith(".") and path.parts[0] not in TABLES


def _rows(folder: Path, manifest: dict[str, Any]) -> Iterator[Problem]:
    """Yield rows that contradict the manifest, the ids or each other."""
    runs = Corpus(folder, manifest).runs()
    hidden = Hidden.of(folder, manifest)
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
            yield from _beyond(folder / name, table, frame, hidden)
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


def _strangers(
    path: Path, table: str, frame: pl.DataFrame, runs: pl.DataFrame, hidden: Hidden
) -> Iterator[Problem]:
    """Yield rows of the tables of hidden runs that are about other runs."""
    own = set(hidden.runs["run_id"])
    if table == "hidden_runs":
        double = frame.filter(pl.col("run_id").is_duplicated())["run_id"]
        yield from _named(path, "run listed twice", double)
    if table == "hidden_curves":
        strange = set(frame["run_id"]) - own
        yield from _named(path, "unknown hidden run", strange)
    if table == "hidden_roles":
        public = runs["run_id"] if "run_id" in runs.columns else ()
        known = {"test": own, "train": set(public)}
        for (role,), part in frame.partition_by("role", as_dict=True).items():
            strange = set(part["run_id"]) - known.get(str(role), set())
            yield from _named(path, f"run unknown to be of role {role}", strange)


def _beyond(
    path: Path, table: str, frame: pl.DataFrame, hidden: Hidden
) -> Iterator[Problem]:
    """Yield what is shown of hidden runs beyond their windows."""
    if table not in HIDDEN_TABLES:
        return
    extra = [c for c in frame.columns if c not in _COLUMNS[table]]
    if table == "hidden_runs":
        extra = [c for c in extra if not hidden.may_have(c)]
    if extra:
        what = f"has the column(s) {', '.join(extra)}, which no window shows"
        yield Problem(path, what, "rows")
    if table == "hidden_runs":
        found = hidden.cells(frame)
    elif table == "hidden_curves":
        found = hidden.curves(frame, path.stem)
    else:
        return
    for what, run_ids in found:
        yield from _named(path, what, run_ids)


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
