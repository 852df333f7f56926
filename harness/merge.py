"""Join work folders that were trained apart into one: plans, records, tables.

Every record is read and checked before anything is written. What OUT holds comes first,
then the folders in the order given; nothing in OUT is ever replaced by another outcome.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from harness import __version__
from harness.compare import first_difference
from harness.damage import Fault, read_record
from harness.errors import CorpusError, RuncastError
from harness.lease import Lease
from harness.manifest import MANIFEST
from harness.plan import Plan, planned_with
from harness.record import RunRecord, failed_ids, finished_ids, shard_path
from harness.sealed import check_seal
from harness.storage import creating, sweep
from harness.work_problems import Problem, plan_of

Keep: TypeAlias = Literal["equal", "first"]
"""What happens to a run that two folders finished with different outcomes: "equal"
refuses it, "first" keeps the record of the first folder."""
KEEPS: Final = ("equal", "first")
SHOWN: Final = 20
"""Problems told; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge did."""

    folder: Path
    """The merged folder."""
    planned: int
    """Runs that a grid of the joined plan references."""
    finished: int
    """Of these, runs that completed or diverged."""
    failed: int
    """Of these, runs that failed in every folder that tried them."""
    orphans: int
    """Runs that left their grid: their records are kept and not published."""
    added: int
    """Records that the folder did not hold before."""
    notes: tuple[str, ...]
    """What a user should know: runs found twice, records in no plan, new orphans."""


@dataclass(slots=True)
class _Findings:
    """What the folders hold, looked at without writing."""

    plans: dict[Path, Plan] = field(default_factory=dict)
    """The plan of each folder that can be read, in the order of the folders."""
    records: dict[str, Path] = field(default_factory=dict)
    """The record of each run to be taken."""
    failures: dict[str, Path] = field(default_factory=dict)
    """The same of runs that no folder finished."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        """Return the plans as one."""
        return Plan.joined(self.plans.values())


def merge(
    folders: Sequence[Path],
    out: Path,
    *,
    keep: Keep = "equal",
    allow_version: bool = False,
) -> Merged:
    """Join the plans and records of `folders` in `out`; the tables are not built.

    Records are linked, or copied where they cannot be, and the plan is written last:
    killed at any moment and started again, it ends the same. The folders are left as
    they are. A run that left its grid in one of the folders is an orphan in `out`, see
    `Plan.joined`. Cost: every record is read once, once more where two folders have it.

    Args:
        folders: Work folders of `harness generate` or `python -m harness.work`.
        out: The folder to hold all runs: new, of an earlier merge, or one of `folders`.
        keep: What to do about runs of which two folders have different outcomes.
        allow_version: Join runs of other minor versions of runcast than this one.

    Raises:
        ValueError: No folder is given, or `keep` is unknown.
        CorpusError: A folder holds no plan, a record is damaged or of another version,
            or two records of a run differ; the message names all of them, and nothing
            was written.
        RuncastError: Another process merges into `out`.
        StorageError: A file could not be written.
    """
    if not folders:
        raise ValueError("no folder is given: name the folders to be merged")
    if keep not in KEEPS:
        raise ValueError(f"keep is {keep!r}, expected one of {', '.join(KEEPS)}")
    _check_out(out)
    found = _look(_distinct([out, *folders]), out, keep, allow_version)
    found.problems += _obstacles(found, out / "shards")
    if found.problems:
        raise CorpusError(_told(found.problems))
    lease = Lease.acquire(out / "leases", "plan")
    if lease is None:
        raise RuncastError(f"another process merges or plans in {out}: wait for it")
    shards = out / "shards"
    with lease:
        sweep(out)
        paths = (*found.records.values(), *found.failures.values())
        added = sum(_take(path, shards) for path in paths)
        for run_id in found.records:
            shard_path(shards, run_id, failed=True).unlink(missing_ok=True)
        found.plans[out] = before = Plan.load(out)  # others may have planned since
        if (joined := found.plan) != before:
            joined.save(out)
    return Merged(
        folder=out,
        planned=len(joined.grids),
        finished=len(joined.grids.keys() & found.records.keys()),
        failed=len(joined.grids.keys() & found.failures.keys()),
        orphans=len(joined.orphans),
        added=added,
        notes=tuple(found.notes),
    )


def merged_text(merged: Merged) -> str:
    """Return what a merge did as text."""
    left = merged.planned - merged.finished - merged.failed
    lines = [
        f"{merged.finished} of {merged.planned} runs finished in {merged.folder}, "
        f"{merged.added} records new there"
    ]
    if merged.failed:
        lines.append(f"{merged.failed} failed: `harness status {merged.folder}`")
    if left:
        lines.append(f"{left} not trained yet: train them anywhere and merge again")
    if merged.orphans:
        lines.append(
            f"orphans: {merged.orphans}, of grids that have changed; kept and not "
            "published"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in merged.notes)])


def _check_out(out: Path) -> None:
    """Refuse a place that is no folder of runs and does not become one by records."""
    if os.path.lexists(out) and not out.is_dir():
        raise CorpusError(f"--out {out} is no folder: name a new one")
    if (out / MANIFEST).exists() and not (out / "shards").is_dir():
        raise CorpusError(
            f"--out {out} is a finished corpus without the records of its runs, such "
            "as a download: name another folder"
        )


def _distinct(folders: Iterable[Path]) -> list[Path]:
    """Return the folders once each, where first named, however they are spelled."""
    found: dict[Path, Path] = {}
    for folder in folders:
        found.setdefault(folder.resolve(), folder)
    return [*found.values()]


def _look(
    folders: Sequence[Path], out: Path, keep: Keep, allow_version: bool
) -> _Findings:
    """Read everything that the folders hold; writes nothing."""
    found = _Findings()
    for folder in folders:
        _take_plan(found, folder, folder == out, allow_version)
    planned = {run.run_id for run in found.plan.runs}
    found.notes += _left_grids(found, out)
    for shards in (folder / "shards" for folder in found.plans):
        ids = finished_ids(shards)
        found.notes += _strangers(shards, ids - planned)
        for run_id in sorted(ids & planned):
            path = shard_path(shards, run_id)
            if _is_sound(found, path, allow_version):
                _take_up(found, run_id, path, keep)
    for shards in (folder / "shards" for folder in found.plans):
        left = (failed_ids(shards) & planned) - {*found.records, *found.failures}
        for run_id in sorted(left):
            path = shard_path(shards, run_id, failed=True)
            if _is_sound(found, path, allow_version):
                found.failures[run_id] = path
    return found


def _take_plan(
    found: _Findings, folder: Path, is_out: bool, allow_version: bool
) -> None:
    """Add the plan of a folder, or what is wrong with it."""
    if not folder.is_dir() and not is_out:
        found.problems.append(f"{folder} is no folder")
        return
    plan = plan_of(folder)
    if isinstance(plan, Problem):
        again = " (of merged folders: delete it and merge all of them again)"
        found.problems.append(f"{plan}{again if is_out else ''}")
        return
    if not plan.runs and not is_out:
        found.problems.append(
            f"{folder} holds no plan: name folders that `harness generate` or `python "
            "-m harness.work` trained in"
        )
        return
    version = planned_with(folder)
    if version is not None and not allow_version and _minor(version) != _minor():
        found.problems.append(
            f"{folder} was begun by runcast {version}, this is {__version__}: merge "
            "with that version, or --allow-version"
        )
    found.plans[folder] = plan


def _left_grids(found: _Findings, out: Path) -> Iterator[str]:
    """Yield a note about runs that left a grid here and are in it there."""
    untold = {run.run_id for run in found.plan.orphans}
    for folder, plan in found.plans.items():
        told = untold & {run.run_id for run in plan.orphans}
        untold -= told
        planned = [
            (other, run)
            for other, theirs in found.plans.items()
            for run in theirs.runs
            if run.run_id in told and run.grids
        ]
        if planned:
            other, run = planned[0]
            count = len({run.run_id for _, run in planned})
            places = dict.fromkeys([str(folder), str(out)])
            yield (
                f"orphans: {count} of {folder}, though other folders plan them (such "
                f"as {run.run_id} in {other}, for {', '.join(run.grids)}); kept and "
                "not published: those that the grid holds now come back once it is "
                f"planned again in {' and '.join(places)}, by the command that trains"
            )


def _is_sound(found: _Findings, path: Path, allow_version: bool) -> bool:
    """Tell whether a record may be taken; note the problem if not."""
    record = read_record(path)
    if isinstance(record, Fault):
        mend = "delete it (its run is trained again where it is planned)"
        if not record.bytes_differ:
            mend = "make it readable if it is a file, move it away if it is none"
        found.problems.append(f"{path} {record.what}; {mend}, then merge again")
        return False
    version = record.environment.get("runcast")
    if version is not None and not allow_version and _minor(version) != _minor():
        found.problems.append(
            f"{path} was trained by runcast {version}, this is {__version__}: merge "
            "with that version, or --allow-version"
        )
        return False
    return True


def _take_up(found: _Findings, run_id: str, path: Path, keep: Keep) -> None:
    """Take a finished record, unless the run has one already."""
    kept = found.records.setdefault(run_id, path)
    if kept is path or path.samefile(kept):
        return
    difference = first_difference(RunRecord.load(kept), RunRecord.load(path))
    if difference is None:
        found.notes.append(f"duplicate: {path} is equal to {kept}, which was kept")
    elif keep == "first":
        found.notes.append(f"duplicate: {path} differs from {kept}, which was kept")
    else:
        found.problems.append(
            f"conflicting_duplicate: {run_id} in {kept} and {path} differs, first in "
            f"{difference}; --keep first keeps the former, or delete one of the two"
        )


def _strangers(shards: Path, ids: set[str]) -> Iterator[str]:
    """Yield a note about records that no plan knows, which nothing would publish."""
    if ids:
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        yield f"left out, as no plan has the run: {shard_path(shards, min(ids))}{more}"


def _obstacles(found: _Findings, shards: Path) -> Iterator[str]:
    """Yield what has the name of a record to be written and is no file."""
    for path in (*found.records.values(), *found.failures.values()):
        target = shards / path.name
        if target.is_symlink() or (target.exists() and not target.is_file()):
            yield f"{target} is no file, where a record belongs: move it away"


def _take(source: Path, shards: Path) -> bool:
    """Link or copy a record into the folder of shards; tell whether it was new."""
    target = shards / source.name
    if target.exists():
        return False
    with creating(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or another user's file
            shutil.copyfile(source, temporary)
        check_seal(temporary)
    return True


def _told(problems: Sequence[str]) -> str:
    """Return the problems as one message."""
    rest = len(problems) - SHOWN
    more = [f"and {rest} more"] if rest > 0 else []
    return "\n".join(["nothing was merged:", *problems[:SHOWN], *more])


def _minor(version: str = __version__) -> list[str]:
    return version.split(".")[:2]
