"""Claims on cohorts without a server, for processes that share a folder.

A claim is a file linked into place and kept alive by its modification time. Safety does
not rest on it: records are committed by hard link, where the first writer wins. A
claim only keeps two workers from doing the same work.
"""

import contextlib
import hashlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Final, Self

HEARTBEAT_S: Final = 10.0
STALE_S: Final = 90.0
"""A claim of another host is taken over after this long without a heartbeat."""


class Lease:
    """A claim on a piece of work, to be used as a context manager once acquired."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner
        self._done = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    @classmethod
    def acquire(cls, folder: Path, name: str) -> "Lease | None":
        """Claim `name`, or return None if a living worker holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.lease"
        token = uuid.uuid4().hex
        owner = json.dumps(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "start": _start(os.getpid()),
                "token": token,
            }
        )
        written = folder / f".new-{token}"
        written.write_text(owner)
        try:
            os.link(written, path)  # appears with its content, or not at all
        except FileExistsError:
            if not _take_over(path, written):
                return None
        finally:
            written.unlink(missing_ok=True)
        return cls(path, owner)

    def __enter__(self) -> Self:
        """Start the heartbeat."""
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the heartbeat and give the claim back, if it is still ours."""
        self._done.set()
        self._heart.join()
        with contextlib.suppress(FileNotFoundError):
            if self._path.read_text() == self._owner:
                self._path.unlink()

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_S):
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._path)


def is_stale(path: Path) -> bool:
    """Tell whether the holder is gone: by its process here, by silence elsewhere."""
    try:
        text, since = path.read_text(), path.stat().st_mtime
    except FileNotFoundError:
        return False
    return _is_gone(text, since)


def _take_over(path: Path, written: Path) -> bool:
    """Put `written` in the place of a claim whose holder is gone; tell if it was done.

    Only the owner of a marker named after that very claim may replace it, and only
    while it still stands there: of several takers, however late, one wins.
    """
    try:
        judged, since = path.read_text(), path.stat().st_mtime
    except FileNotFoundError:
        return False
    if not _is_gone(judged, since):
        return False
    marker = path.with_name(f".taken-{hashlib.sha256(judged.encode()).hexdigest()}")
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - marker.stat().st_mtime > STALE_S:  # its owner died
                marker.unlink()
        return False
    try:
        with contextlib.suppress(FileNotFoundError):
            if path.read_text() == judged:
                written.replace(path)
                return True
        return False
    finally:
        marker.unlink(missing_ok=True)


def _is_gone(text: str, since: float) -> bool:
    """Tell whether the holder that wrote `text` is gone; `since` its last heartbeat."""
    try:
        owner = json.loads(text)
    except ValueError:
        owner = {}
    if owner.get("host") == socket.gethostname() and owner["start"] is not None:
        return bool(_start(owner["pid"]) != owner["start"])
    return time.time() - since > STALE_S


def _start(pid: int) -> str | None:
    """Return when a living process of this host started, in ticks; None if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
