"""Cohorts trained where the corpus folder cannot be seen: their files travel.

A `Desk` is a private corpus folder on the worker's machine; what appears there is
carried over by `take_in`, which believes nothing that it has not verified.
"""

import fcntl
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from harness import attempts
from harness.digested import read_digested
from harness.errors import CorpusError
from harness.plan import PLAN
from harness.record import SHARD_NAME, shard_path
from harness.sealed import check_seal
from harness.storage import creating, replacing, write_text

PREFIX: Final = "runcast-desk-"
NEW_S: Final = 60.0
"""Seconds for which a folder may not be locked yet, and is nobody's to remove."""
_IN_USE: Final = "in-use"
_CHECKPOINTS: Final = "checkpoints"
_CHECKPOINT: Final = r"{cohort}(-r-[0-9a-f]+)?\.pt"

Stamp = tuple[int, int, int]


class Desk:
    """A private corpus folder for one cohort at a time."""

    def __init__(self) -> None:
        _clear_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = (self.folder / _IN_USE).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # falls with the process
        self._known: dict[str, Stamp] = {}

    def lay_out(self, files: Mapping[str, bytes]) -> None:
        """Put the files of the next cohort in the place of those of the last."""
        self.clear()
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        self._known = self._stamps()

    def changed(self) -> tuple[dict[str, bytes], dict[str, Stamp]]:
        """Return what is new since `accept`, with what to tell it."""
        stamps = self._stamps()
        new = [name for name, s in stamps.items() if self._known.get(name) != s]
        files = {}
        for name in new:
            try:
                files[name] = (self.folder / name).read_bytes()
            except FileNotFoundError:
                continue  # a checkpoint whose cohort has just ended
        return files, stamps

    def accept(self, stamps: dict[str, Stamp]) -> None:
        """Note that everything up to then has arrived."""
        self._known = stamps

    def forget(self) -> None:
        """Note that nothing is known to have arrived."""
        self._known = {}

    def clear(self) -> None:
        """Remove the files of the last cohort."""
        for part in ("shards", _CHECKPOINTS, attempts.FOLDER):
            shutil.rmtree(self.folder / part, ignore_errors=True)
            (self.folder / part).mkdir()

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _stamps(self) -> dict[str, Stamp]:
        """Return what tells versions of files apart; records first, attempts last."""
        found = {}
        for pattern in ("shards/r-*", f"{_CHECKPOINTS}/c-*", f"{attempts.FOLDER}/c-*"):
            for path in self.folder.glob(pattern):
                if path.name.endswith(".old.pt"):
                    continue  # was the newest before
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                name = str(path.relative_to(self.folder))
                found[name] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        return found


def handed_out(folder: Path, cohort: str, run_ids: Iterable[str]) -> dict[str, bytes]:
    """Return what a worker must know to go on with a cohort elsewhere.

    Args:
        folder: The corpus folder.
        cohort: A cohort of its plan.
        run_ids: Its runs.
    """
    paths = [
        folder / PLAN,
        folder / attempts.FOLDER / f"{cohort}.json",
        *(folder / _CHECKPOINTS).glob(f"{cohort}*.pt"),
        *(shard_path(folder / "shards", run_id) for run_id in run_ids),
    ]
    files = {}
    for path in paths:
        try:
            files[str(path.relative_to(folder))] = path.read_bytes()
        except FileNotFoundError:
            continue
    return files


def take_in(folder: Path, cohort: str, name: str, data: bytes) -> None:
    """Commit a file that came back.

    Args:
        folder: The corpus folder.
        cohort: The cohort that it belongs to; its lease must be held.
        name: Its path in the folder.
        data: Its content.

    Raises:
        CorpusError: It is damaged, or no file of the cohort.
        StorageError: It could not be written.
    """
    part, _, file = name.partition("/")
    path = folder / part / file
    shard = SHARD_NAME.fullmatch(file)
    checkpoint = re.fullmatch(_CHECKPOINT.format(cohort=re.escape(cohort)), file)
    if part == "shards" and shard and not shard[2]:
        with creating(path) as temporary:
            temporary.write_bytes(data)
            check_seal(temporary)
        shard_path(folder / part, shard[1], failed=True).unlink(missing_ok=True)
    elif part == _CHECKPOINTS and checkpoint:
        older = path.with_name(f"{path.stem}.old.pt")
        with replacing(path, keep=older) as temporary:
            temporary.write_bytes(data)
            read_digested(temporary)
    elif part == attempts.FOLDER and file == f"{cohort}.json":
        write_text(path, data.decode())
    else:
        raise CorpusError(f"a worker sent {name!r}, which is no file of {cohort}")


def discard_checkpoints(folder: Path, cohort: str) -> None:
    """Remove the checkpoints of a cohort that is done."""
    for path in (folder / _CHECKPOINTS).glob(f"{cohort}*.pt"):
        path.unlink(missing_ok=True)


def _clear_abandoned() -> None:
    """Remove the folders of workers that were killed on this machine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with (folder / _IN_USE).open("r+") as lock:
                if time.time() - folder.stat().st_mtime < NEW_S:
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, another user's, or just being made
