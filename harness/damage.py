"""What is wrong with a file of a work folder, and records that are set aside for it.

Nothing here opens what is no plain file: a pipe would never answer, and a link may lead
anywhere.
"""

import contextlib
import os
import stat
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from harness.digested import read_digested
from harness.errors import CorpusError, StorageError
from harness.plan import PLAN, Plan
from harness.record import RunRecord, shard_path
from harness.sealed import read_sealed
from harness.storage import link, sha256_of

DAMAGED_MARK: Final = ".damaged-"
"""In the name of a record that was set aside, before digits of its own digest."""
_NAMES: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


class Fault(NamedTuple):
    """What is wrong with a file."""

    what: str
    """The rest of a sentence about the file."""
    bytes_differ: bool
    """Whether it was read and is not what was written; else it cannot be read."""


class _Judged(NamedTuple):
    """A record in which a fault was found."""

    path: Path
    fault: Fault
    version: tuple[int, int]
    """What tells it from any other file that takes its name."""


def read_record(path: Path) -> RunRecord | Fault:
    """Return the record of a run, or what is wrong with it."""
    read: list[RunRecord] = []
    fault = _fault(path, lambda: read.append(RunRecord.load(path)))
    return fault or read[0]


def record_fault(path: Path) -> Fault | None:
    """Return what is wrong with the record of a run; None if it is whole."""
    found = read_record(path)
    return found if isinstance(found, Fault) else None


def plan_fault(folder: Path) -> Fault | None:
    """Return what is wrong with the plan of a folder; None if it is whole or none."""
    path = folder / PLAN
    return _fault(path, lambda: Plan.load(folder)) if os.path.lexists(path) else None


def checkpoint_fault(path: Path) -> Fault | None:
    """Return what is wrong with a checkpoint; None if it is whole."""
    return _fault(path, lambda: read_digested(path))


def set_damaged_aside(shards: Path, run_ids: Iterable[str]) -> list[str]:
    """Rename records that are not what was written, so that their runs train again.

    The bytes are kept, as `<record>.damaged-<digest>`: no name that anything reads. A
    record that cannot be read may be whole: it keeps its name. What another process
    sets aside meanwhile is left to it. Cost: one reading of every record asked for.

    Args:
        shards: Folder of records.
        run_ids: Runs that are about to be trained, or counted as finished.

    Returns:
        A line about every record set aside here.

    Raises:
        CorpusError: What has the name of a record is no file or cannot be read; nothing
            was renamed, and the message names all of them.
        StorageError: A record could not be renamed.
    """
    ids = sorted(run_ids)
    paths = [shard_path(shards, i, failed=f) for i in ids for f in (False, True)]
    judged = [one for path in paths if (one := _judge(path)) is not None]
    blocked = [f"{j.path} {j.fault.what}" for j in judged if not j.fault.bytes_differ]
    if blocked:
        raise CorpusError(
            f"{'; '.join(blocked)}: where the record of a run belongs; nothing was "
            "renamed: make readable what is a file, move away what is none, then run "
            "the same command again"
        )
    lines = []
    for one in judged:
        aside = _set_aside(one)
        if aside is not None:
            lines.append(
                f"set aside: {one.path} {one.fault.what}; kept as {aside.name}, its "
                "run is trained again"
            )
    return lines


def _judge(path: Path) -> _Judged | None:
    """Return a record with what is wrong with it; None if it is whole or none is there.

    What is taken away or replaced while it is read is another process's business.
    """
    version = _version(path)
    fault = None if version is None else _seal_fault(path)
    if version is None or fault is None or _version(path) != version:
        return None
    return _Judged(path, fault, version)


def _version(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name; None if none is there."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found.st_ino, found.st_mtime_ns
    return None


def _seal_fault(path: Path) -> Fault | None:
    """Return what is wrong with the bytes or the name of a record, if anything.

    What another version wrote is no damage: it is not parsed.
    """

    def compare() -> None:
        (run_id,) = read_sealed(path, ["run_id"])["run_id"].to_pylist()
        if run_id != path.name.split(".")[0]:
            raise CorpusError(f"{path} is the record of {run_id}")

    return _fault(path, compare)


def _set_aside(judged: _Judged) -> Path | None:
    """Rename a damaged file to a name of its content; None if another process did.

    Since it was judged its run may have been trained again. No system call renames a
    file only if it is a certain one: what was renamed is looked at, and goes back.
    """
    path = judged.path
    marked = f"{path.name}{DAMAGED_MARK}"
    held = path.with_name(f"{marked}{uuid.uuid4().hex[:8]}")
    try:
        aside = path.with_name(f"{marked}{sha256_of(path)[:8]}")
        if _version(path) != judged.version:
            return None
        path.rename(held)
        if _version(held) == judged.version:
            return held.replace(aside)
        with contextlib.suppress(FileExistsError):  # a still newer one stays
            link(held, path)
        held.unlink()
        return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{path} is damaged and cannot be renamed: {error.strerror}; delete it, "
            "then run the same command again"
        ) from error


def file_fault(path: Path) -> Fault | None:
    """Return why a file is none, is empty or cannot be read; None if it can."""
    return _fault(path, lambda: None)


def _fault(path: Path, check: Callable[[], object]) -> Fault | None:
    """Return why `check` fails on a plain, readable file, or that it is none."""
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            kind = _NAMES.get(stat.S_IFMT(mode), "a device")
            return Fault(f"is {kind}, not a file", bytes_differ=False)
        if not path.stat().st_size:
            return Fault("is empty", bytes_differ=True)
        with path.open("rb") as file:
            file.read(1)
        check()
    except OSError as error:
        return Fault(f"cannot be read: {error.strerror or error}", bytes_differ=False)
    except (CorpusError, ValueError, KeyError, TypeError) as error:
        # a disk that fails or memory that is short says nothing about the bytes
        refused = isinstance(error.__cause__, OSError | MemoryError)
        what = str(error).removeprefix(f"{path} ")
        return Fault(what, bytes_differ=not refused)
    return None
