"""Claims on cohorts without a server, for processes that share a folder.

A claim is a file made with O_EXCL and kept alive by its modification time. Safety does
not rest on it: records are committed by hard link, where the first writer wins. A
claim only keeps two workers from doing the same work.
"""

import contextlib
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

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    @classmethod
    def acquire(cls, folder: Path, name: str) -> "Lease | None":
        """Claim `name`, or return None if a living worker holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.lease"
        if is_stale(path):
            grave = path.with_name(f".stale-{uuid.uuid4().hex}")
            with contextlib.suppress(FileNotFoundError):
                path.rename(grave)  # of several takers one wins
                grave.unlink()
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return None
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "start": _start()}
        with os.fdopen(handle, "w") as file:
            json.dump(owner, file)
        return cls(path)

    def __enter__(self) -> Self:
        """Start the heartbeat."""
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the heartbeat and give the claim back."""
        self._done.set()
        self._heart.join()
        self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_S):
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._path)


def is_stale(path: Path) -> bool:
    """Tell whether the holder is gone: by its process here, by silence elsewhere."""
    try:
        owner = json.loads(path.read_text() or "{}")
        silent_s = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    except ValueError:
        owner, silent_s = {}, time.time() - path.stat().st_mtime
    if owner.get("host") == socket.gethostname() and owner["start"] is not None:
        return bool(_start(owner["pid"]) != owner["start"])
    return silent_s > STALE_S


def _start(pid: int | None = None) -> str | None:
    """Return when a process of this host started, in ticks; None if not known."""
    try:
        stat = Path(f"/proc/{os.getpid() if pid is None else pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[19]
