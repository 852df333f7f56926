"""Problems of a work folder: its plan, its records and its checkpoints."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from harness.damage import (
    DAMAGED_MARK,
    Fault,
    checkpoint_fault,
    file_fault,
    plan_fault,
    record_fault,
)
from harness.plan import PLAN, PLAN_AGAIN, Plan
from harness.record import SHARD_NAME, failed_ids, finished_ids, shard_names
from harness.storage import TEMPORARY_PREFIX, sha256_of

Kind = Literal[
    "unfinished", "unreadable", "missing", "size", "bytes", "extra", "rows", "outdated"
]
RUN_AGAIN: Final = (
    "delete it and run the same `harness generate` command: the run is repeated"
)
READ_AGAIN: Final = (
    "make it readable if it is a file, move it away if it is none, then verify again"
)


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


def plan_of(folder: Path) -> Plan | Problem:
    """Return the plan of a folder, or what is wrong with it and how to mend it."""
    if fault := plan_fault(folder):
        what = fault.what.removesuffix(f": {PLAN_AGAIN}")
        return Problem(folder / PLAN, f"{what}: {PLAN_AGAIN}", "unreadable")
    return Plan.load(folder)


def record_problems(
    folder: Path, plan: Plan, expected: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield what is wrong with the records of a folder, each read once.

    Args:
        folder: The corpus folder; a published one has no records.
        plan: Its plan; an empty one tells nothing about the runs.
        expected: SHA-256 of each record that tables were built from, by name.
    """
    shards = folder / "shards"
    if not shards.is_dir():
        return
    ended = finished_ids(shards) | failed_ids(shards)
    planned = {run.run_id for run in plan.runs} or ended
    published = shard_names(shards, plan.grids if plan.runs else ended)
    orphaned = shard_names(shards, planned) - published
    strange = shard_names(shards, ended - planned)
    # without a plan, `harness tables` would publish nothing
    rebuild = "`harness tables`" if plan.runs else "the same `harness generate` command"
    for name, digest in expected.items():
        yield from _changed(shards / name, digest, name in published, rebuild)
    for name in sorted((published | orphaned | strange) - set(expected)):
        if fault := record_fault(shards / name):
            yield _damaged(shards / name, fault)
        elif name in strange:
            what = "is the record of a run that the plan does not hold; it is not read"
            yield Problem(shards / name, what, "extra")
        elif name in published and expected:
            what = "is not in the tables: the same `harness generate` command adds it"
            yield Problem(shards / name, what, "outdated")
    yield from _no_records(shards, set(expected))


def checkpoint_problems(folder: Path) -> Iterator[Problem]:
    """Yield the checkpoints that are not as they were written."""
    for path in sorted((folder / "checkpoints").glob("*.pt")):
        if fault := checkpoint_fault(path):
            mend = "delete it; training goes on from the one before, or from the start"
            yield Problem(path, f"{fault.what}: {mend}", _kind(fault))


def _changed(
    path: Path, digest: str, is_published: bool, rebuild: str
) -> Iterator[Problem]:
    """Yield how a record differs from the one that the tables were built from."""
    if not os.path.lexists(path):
        if not _was_repeated(path):
            yield Problem(path, "is missing, though the tables hold it", "missing")
    elif (fault := file_fault(path)) and not fault.bytes_differ:
        yield Problem(path, f"{fault.what}: {READ_AGAIN}", "unreadable")
    elif (differs := sha256_of(path) != digest) and (damage := record_fault(path)):
        what = f"has changed since the tables were built: {RUN_AGAIN}"
        yield Problem(path, what, _kind(damage))
    elif not is_published and not _was_repeated(path):
        what = "is in the tables, though no grid holds its run any more: "
        yield Problem(path, f"{what}{rebuild} leaves it out", "outdated")
    elif differs:
        what = "is another record of its run than the tables hold: "
        yield Problem(path, f"{what}{rebuild} takes it in", "outdated")


def _was_repeated(path: Path) -> bool:
    """Tell whether a failed run's record gave way to a finished one."""
    finished = path.name.replace(".failed.parquet", ".parquet")
    return finished != path.name and path.with_name(finished).is_file()


def _damaged(path: Path, fault: Fault) -> Problem:
    mend = RUN_AGAIN if fault.bytes_differ else READ_AGAIN
    return Problem(path, f"{fault.what}: {mend}", _kind(fault))


def _kind(fault: Fault) -> Kind:
    return "bytes" if fault.bytes_differ else "unreadable"


def _no_records(shards: Path, expected: set[str]) -> Iterator[Problem]:
    """Yield what lies among the records and is none."""
    for path in sorted(shards.iterdir()):
        if path.name.startswith(TEMPORARY_PREFIX) or path.name in expected:
            continue
        if not SHARD_NAME.fullmatch(path.name):
            what = "is no record of a run and is not read"
            if DAMAGED_MARK in path.name:
                what = "was set aside as damaged and is not read: delete it"
            yield Problem(path, what, "extra")
        elif (path.is_symlink() or not path.is_file()) and (fault := file_fault(path)):
            mend = "move it away, its name is that of a record"
            yield Problem(path, f"{fault.what}: {mend}", "extra")
