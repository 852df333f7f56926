"""Claims on cohorts without a server, for processes that share a folder.

A claim is a file linked into place and kept alive by its modification time. Safety does
not rest on it: records are committed by hard link, where the first writer wins. A
claim only keeps two workers from doing the same work.
"""

import contextlib
import functools
import hashlib
import json
import os
import socket
import stat
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from harness.errors import StorageError
from harness.storage import TEMPORARY_PREFIX, link, storage_error

HEARTBEAT_S: Final = 10.0
STALE_S: Final = 90.0
"""A claim of another host is taken over after this long without a heartbeat."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a piece of work, as others read it."""

    name: str
    """The work, such as a cohort id."""
    host: str
    """Machine of the holder; empty if the claim cannot be read."""
    pid: int
    """Its process there."""
    start: str | None
    """When that process started, in ticks of its machine; None if unknown."""
    heard: float
    """Last heartbeat, in seconds by the clock of the file system."""
    place: str = ""
    """Where its process number holds, see `_place`; empty if unknown."""

    @classmethod
    def parse(cls, name: str, text: str, heard: float) -> "Claim":
        """Return the claim that `text` tells; an unreadable one belongs to nobody."""
        try:
            owner = json.loads(text)
            host, pid, start = owner["host"], int(owner["pid"]), owner["start"]
        except (ValueError, TypeError, KeyError):
            return cls(name, "", 0, None, heard)
        return cls(name, str(host), pid, start, heard, str(owner.get("place", "")))

    @classmethod
    def read(cls, path: Path) -> "Claim | None":
        """Return the claim at `path`; None if it was given back, or is no file."""
        try:
            if _is_no_file(path):
                return None
            text, heard = path.read_text(errors="replace"), path.stat().st_mtime
        except OSError:
            return None
        return cls.parse(path.stem, text, heard)

    def is_gone(self, now: float) -> bool:
        """Tell whether the holder is gone: by its process here, by silence elsewhere.

        Args:
            now: What time it is by the clock of the file system.
        """
        here = self.host == socket.gethostname() and self.place in ("", _place())
        if here and self.start is not None:
            return _start(self.pid) != self.start
        return now - self.heard > STALE_S


class Lease:
    """A claim on a piece of work, to be used as a context manager once acquired."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner
        self._done = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    @classmethod
    def acquire(cls, folder: Path, name: str) -> "Lease | None":
        """Claim `name`, or return None if a living worker holds it.

        Raises:
            StorageError: The claim cannot be written, or what has its name is no file.
        """
        path = folder / f"{name}.lease"
        try:
            return cls._acquired(path)
        except OSError as error:
            raise storage_error(path, error) from error

    @classmethod
    def _acquired(cls, path: Path) -> "Lease | None":
        folder = path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if _is_no_file(path):
            raise StorageError(
                f"cannot write {path}: there is something that is no file; move it "
                "away, then run the same command again"
            )
        token = uuid.uuid4().hex
        owner = json.dumps(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "start": _start(os.getpid()),
                "place": _place(),
                "token": token,
            }
        )
        written = folder / f"{TEMPORARY_PREFIX}{token}"
        try:
            written.write_text(owner)
            link(written, path)  # appears with its content, or not at all
        except FileExistsError:
            if not _take_over(path, written):
                return None
        finally:
            with contextlib.suppress(OSError):  # else it is swept
                written.unlink()
        return cls(path, owner)

    def __enter__(self) -> Self:
        """Start the heartbeat."""
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the heartbeat and give the claim back, if it is still ours.

        A claim that cannot be removed is silent from now on: what went wrong with the
        work matters more, and is not replaced by an error from here.
        """
        self._done.set()
        self._heart.join()
        with contextlib.suppress(OSError):
            if self._path.read_text(errors="replace") == self._owner:
                self._path.unlink()

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):  # the next beat may reach the disk
                os.utime(self._path)


def _take_over(path: Path, written: Path) -> bool:
    """Put `written` in the place of a claim whose holder is gone; tell if it was done.

    Only the owner of a marker named after that very claim may replace it, and only
    while it still stands there: of several takers, however late, one wins. What time it
    is, the file just written tells: the clock of the file system, whatever ours says.
    """
    try:
        judged, heard = path.read_text(errors="replace"), path.stat().st_mtime
    except FileNotFoundError:
        return False
    now = written.stat().st_mtime
    if not Claim.parse(path.stem, judged, heard).is_gone(now):
        return False
    digest = hashlib.sha256(judged.encode()).hexdigest()
    marker = path.with_name(f"{TEMPORARY_PREFIX}taken-{digest}")
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            if now - marker.stat().st_mtime > STALE_S:  # its owner died
                marker.unlink()
        return False
    try:
        with contextlib.suppress(FileNotFoundError):
            if path.read_text(errors="replace") == judged:
                written.replace(path)
                return True
        return False
    finally:
        with contextlib.suppress(OSError):  # else it grows stale and is swept
            marker.unlink()


def _is_no_file(path: Path) -> bool:
    """Tell whether a pipe, a folder or a link stands there, wherever it leads."""
    try:
        return not stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


@functools.cache
def _place() -> str:
    """Return where process numbers hold: a start of a machine, a container on it."""
    parts = []
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _start(pid: int) -> str | None:
    """Return when a living process of this host started, in ticks; None if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
