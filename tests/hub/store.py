"""What the loopback Hub holds: repositories, commits, branches, tags and file bodies.

Repositories live in memory, bodies of large files on disk by their SHA-256.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tests.hub.answers import Refused

ATTRIBUTES = b"""# kept outside git: their pointers are committed
*.parquet filter=lfs diff=lfs merge=lfs -text
*.png filter=lfs diff=lfs merge=lfs -text
"""


def git_oid(content: bytes) -> str:
    """Return the SHA-1 that git gives a blob of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """Return the text that git holds in place of a large file."""
    version = "https://git-lfs.github.com/spec/v1"
    return f"version {version}\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file as a commit lists it."""

    size: int
    "bytes that the file claims to have"
    oid: str
    "git's SHA-1 of the content, or of the pointer of a large file"
    sha256: str | None = None
    "SHA-256 of a large file; None for a regular one"
    pointer_size: int = 0
    "bytes of the pointer of a large file"
    content: bytes | None = None
    "the body of a regular file, or what a tampered large file serves"

    @property
    def identity(self) -> str:
        """Return the hash by which a client knows that a file has not changed."""
        return self.sha256 or self.oid

    @staticmethod
    def regular(content: bytes) -> "Entry":
        return Entry(size=len(content), oid=git_oid(content), content=content)

    @staticmethod
    def large(sha256: str, size: int) -> "Entry":
        text = pointer(sha256, size)
        return Entry(
            size=size, oid=git_oid(text), sha256=sha256, pointer_size=len(text)
        )


@dataclass(frozen=True)
class Commit:
    """A state of all files, with what led to it."""

    oid: str
    "40 hexadecimal digits"
    tree: dict[str, Entry]
    "files by path"
    parent: str | None
    "oid of the commit before"
    title: str
    "first line of the message"
    message: str
    "the rest of the message"
    date: str
    "ISO 8601: a fixed start plus one second for each commit before"


@dataclass
class Repository:
    """A repository: its commits and the names that point at them."""

    kind: str
    "dataset, model or space"
    name: str
    "organisation/name"
    private: bool = False
    "whether reading needs the token"
    commits: dict[str, Commit] = field(default_factory=dict)
    "all commits by oid, oldest first"
    branches: dict[str, str] = field(default_factory=dict)
    "oid by branch"
    tags: dict[str, str] = field(default_factory=dict)
    "oid by tag"

    def resolve(self, revision: str) -> Commit:
        """Return the commit of a branch, a tag or an oid."""
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        oid = self.branches.get(short) or self.tags.get(short) or revision
        if oid not in self.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[oid]

    def commit(
        self, branch: str, tree: dict[str, Entry], title: str, message: str = ""
    ) -> Commit:
        """Put a state on a branch and return its commit."""
        parent = self.branches.get(branch)
        said = [str(len(self.commits)), str(parent), title, message]
        said += [f"{path} {entry.oid}" for path, entry in sorted(tree.items())]
        oid = hashlib.sha1("\n".join([self.name, *said]).encode()).hexdigest()
        start = datetime(2026, 1, 1, tzinfo=UTC)
        date = (start + timedelta(seconds=len(self.commits))).isoformat()
        date = date.replace("+00:00", ".000Z")
        made = Commit(oid, tree, parent, title, message, date)
        self.commits[oid] = made
        self.branches[branch] = oid
        return made

    def history(self, revision: str) -> Iterator[Commit]:
        """Yield the commits of a revision, newest first."""
        oid: str | None = self.resolve(revision).oid
        while oid is not None:
            yield self.commits[oid]
            oid = self.commits[oid].parent

    def is_large(self, revision: str, path: str, size: int, limit: int) -> bool:
        """Return whether a file belongs outside git: by its name or its size."""
        listed = self.resolve(revision).tree.get(".gitattributes")
        lines = (listed.content or b"").decode().splitlines() if listed else []
        name = PurePosixPath(path).name
        rules = [line.split() for line in lines if "filter=lfs" in line]
        return size > limit or any(
            fnmatch(name, rule[0]) or fnmatch(path, rule[0]) for rule in rules
        )


class Store:
    """All repositories and the bodies of large files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.lock = threading.RLock()

    def create(self, kind: str, name: str, *, private: bool) -> Repository:
        """Add a repository with one commit, as the real Hub does."""
        made = Repository(kind, name, private)
        made.commit("main", {".gitattributes": Entry.regular(ATTRIBUTES)}, "init")
        self.repositories[kind, name] = made
        return made

    def get(self, kind: str, name: str) -> Repository:
        """Return a repository."""
        if (kind, name) not in self.repositories:
            raise Refused(404, "RepoNotFound", "Repository not found")
        return self.repositories[kind, name]

    def body(self, sha256: str) -> Path:
        """Return where the body of a large file is, or will be."""
        return self.folder / sha256

    def keep(self, data: bytes) -> str:
        """Store the body of a large file and return its SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        partial = self.folder / f"{sha256}.{threading.get_ident()}"
        partial.write_bytes(data)
        partial.replace(self.body(sha256))
        return sha256


def tampered(entry: Entry, data: bytes, *, keep_hashes: bool) -> Entry:
    """Return an entry that serves other bytes than it was given.

    With `keep_hashes` it still claims the old size and hashes, as a file that
    rotted in storage does; without, it is honest about the new bytes.
    """
    if keep_hashes:
        return replace(entry, content=data)
    if entry.sha256 is None:
        return Entry.regular(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return replace(Entry.large(sha256, len(data)), content=data)


def with_files(
    tree: Mapping[str, Entry], files: Mapping[str, bytes]
) -> dict[str, Entry]:
    """Return a tree with regular files added or replaced."""
    return {**tree, **{path: Entry.regular(data) for path, data in files.items()}}
