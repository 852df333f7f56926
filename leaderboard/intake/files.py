"""A submission's folder becomes bytes by server-made names; nothing else is touched."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leaderboard.intake.limits import (
    CARD_BYTES,
    DEPTH,
    FILE_BYTES,
    FILES,
    SUBMISSION_BYTES,
)
from leaderboard.intake.names import RESERVED, shown
from leaderboard.problems import Problem, Rejected
from tasks.submission import CARD, FOLDER, SUFFIXES

COMPONENT: Final = re.compile(r"[a-z0-9=-][a-z0-9=.-]{0,79}")
FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
MAGIC: Final = {
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"PK\x03\x04": "a zip archive (npz, pt and xlsx are ones)",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x78\x9c": "zlib or joblib data",
    b"\x89HDF": "an HDF5 file",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a database",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"<": "HTML or XML",
    b"{": "JSON",
    b"[{": "JSON",
}
"""What files begin with that are no tables here."""


def looks_like(data: bytes) -> str | None:
    """Return what bytes are by how they begin; None if they are nothing known.

    Example:
        >>> looks_like(b"%PDF-1.7")
        'a PDF'
    """
    head = bytes(data[:512])
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and len(head) > 1:
        return "a pickle (pkl, pt, joblib)"
    if head[257:262] == b"ustar":
        return "a tar archive"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in MAGIC.items():
        if head.startswith(magic) or (magic[:1] in b"<{[" and start.startswith(magic)):
            return kind
    return None


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return a submission's files by name, such as "predictions/final-acc/w20.csv".

    No link is followed, nothing but plain files is opened, and of each at most its
    limit and one byte is read: a name is one of the few that a submission has, spelt
    here. What a folder is replaced by while it is read is refused all the same.

    Raises:
        Rejected: Something else lies there, or too much; everything is named.
    """
    reader = _Reader()
    try:
        root = os.open(folder, FLAGS | os.O_DIRECTORY)
    except (OSError, ValueError):
        reader.refuse("bad_path", ".", "there is no such folder", "name another")
        raise Rejected(reader.problems) from None
    try:
        reader.walk(root, "")
    finally:
        os.close(root)
    if CARD not in reader.files and not any(p.where == CARD for p in reader.problems):
        reader.refuse("bad_card", CARD, "is missing", "`harness predict` writes one")
    if reader.problems:
        raise Rejected(reader.problems)
    return dict(sorted(reader.files.items()))


@dataclass(slots=True)
class _Reader:
    """What was read so far."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By name."""
    problems: list[Problem] = field(default_factory=list)
    """In the order of the names."""
    entries: int = 0
    """How many were seen."""
    total: int = 0
    """Bytes read."""

    def refuse(self, code: str, where: str, what: str, mend: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(code=code, where=where, what=what, mend=mend))

    def walk(self, parent: int, place: str) -> None:
        """Read what lies in an open folder; `place` ends in a slash or is empty."""
        for name in self._names(parent, place):
            why = _misplaced(name, place)
            try:
                mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            except (OSError, ValueError):
                why, mode = why or "cannot be looked at", 0
            kind = KINDS.get(stat.S_IFMT(mode), "something unknown")
            if why is None:
                inner = stat.S_ISDIR(mode) and place + name != CARD
                if inner or stat.S_ISREG(mode):
                    self._open(parent, name, place + name, inner)
                    continue
                why = f"is {kind}"
            self.refuse(
                "bad_path",
                place.rstrip("/") or ".",
                f"{shown(name)} ({kind}) {why}",
                f"a submission is {CARD} and {FOLDER}/<task>.csv or .parquet, plain "
                "files without links: remove it",
            )

    def _names(self, parent: int, place: str) -> Iterator[str]:
        """Return the sorted names of a folder; none if there are too many."""
        names = []
        with os.scandir(parent) as found:
            for entry in found:
                self.entries += 1
                if self.entries > FILES:
                    what = f"more than {FILES} files"
                    self.refuse("too_large", place or ".", what, "remove some")
                    return iter(())
                names.append(entry.name)
        return iter(sorted(names))

    def _open(self, parent: int, name: str, where: str, inner: bool) -> None:
        """Read a file or walk a folder that looked like one a moment ago."""
        suits = where.endswith(SUFFIXES) or where == CARD
        if not inner and not (suits and "/" in where) and where != CARD:
            mend = f"tables end in {' or '.join(SUFFIXES)}: remove or rename it"
            self.refuse("bad_path", where, "is no table of predictions", mend)
            return
        try:
            handle = os.open(
                name, FLAGS | (os.O_DIRECTORY if inner else 0), dir_fd=parent
            )
        except OSError as error:
            what = f"cannot be opened: {error.strerror}"
            self.refuse("bad_path", where, what, "put a plain file there")
            return
        try:
            if inner:
                self.walk(handle, where + "/")
            elif stat.S_ISREG(os.fstat(handle).st_mode):
                self._keep(handle, where)
            else:
                what = "turned into something else while it was read"
                self.refuse("bad_path", where, what, "put a plain file there")
        finally:
            os.close(handle)

    def _keep(self, handle: int, where: str) -> None:
        """Read an open file, at most one byte more than is allowed."""
        limit = min(
            CARD_BYTES if where == CARD else FILE_BYTES, SUBMISSION_BYTES - self.total
        )
        data = b""
        if os.fstat(handle).st_size <= limit:
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(limit + 1)
            self.total += len(data)
            if len(data) <= limit:
                self.files[where] = data
                return
        what = f"more than {limit:,} bytes, the most that are read of it"
        mend = "send Parquet, or shorten its texts; all files together have a limit too"
        self.refuse("too_large", where, what, mend)


def _misplaced(name: str, place: str) -> str | None:
    """Return why a name may not stand in a folder."""
    if not COMPONENT.fullmatch(name) or RESERVED.fullmatch(name.split(".")[0]):
        return "is not of a-z, 0-9, =, . and -, or is a reserved name"
    if not place and name not in (CARD, FOLDER):
        return "does not belong to a submission"
    if place.count("/") > DEPTH:
        return "lies too deep"
    return None
