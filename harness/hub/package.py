"""What is uploaded: a folder, and what each of its files must be at the other end."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import CorpusError
from harness.manifest import MANIFEST, read_manifest
from harness.release.notes import RELEASE, Version
from harness.storage import sha256_of

OWN: Final = frozenset({".gitattributes"})
"""Files that the Hub keeps in every repository."""
EXTRA: Final = " is in no manifest"
"""Ends the line about a file that should not be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A finished folder of one version."""

    folder: Path
    """Where the files are; it holds nothing else."""
    version: Version
    """Version of all of them."""
    title: str
    """What to call it in commit messages."""
    files: Mapping[str, tuple[int, str]]
    """Size in bytes and SHA-256 of every file, the manifest among them."""

    @classmethod
    def of_release(cls, folder: Path) -> "Package":
        """Return the package of a released corpus.

        Raises:
            CorpusError: The folder holds no release.
        """
        manifest = read_manifest(folder)
        if RELEASE not in manifest:
            raise CorpusError(f"{folder} is no release: `harness publish` makes one")
        return cls.of_files(
            folder,
            manifest["files"],
            manifest_name=MANIFEST,
            version=manifest["version"],
            title=manifest["name"],
        )

    @classmethod
    def of_files(
        cls,
        folder: Path,
        files: Mapping[str, Mapping[str, Any]],
        *,
        manifest_name: str,
        version: str,
        title: str,
    ) -> "Package":
        """Return the package of the files of a manifest, and the manifest."""
        own = folder / manifest_name
        entries = {name: (e["bytes"], e["sha256"]) for name, e in files.items()}
        entries[manifest_name] = (own.stat().st_size, sha256_of(own))
        return cls(
            folder=folder, version=Version.of(version), title=title, files=entries
        )

    @property
    def branch(self) -> str:
        """Branch that the files are brought to before anybody is shown them."""
        return f"release/{self.version.tag}"

    def differences(self, tree: Iterable[Any]) -> list[str]:
        """Return how the files of a repository differ from these, a line each.

        Args:
            tree: What `HfApi.list_repo_tree` lists, folders included.
        """
        found = {
            entry.path: entry
            for entry in tree
            if hasattr(entry, "size") and entry.path not in OWN
        }
        missing = sorted(set(self.files) - set(found))
        extra = sorted(set(found) - set(self.files))
        changed = [
            name
            for name in sorted(set(found) & set(self.files))
            if not self._is_same(name, found[name])
        ]
        return [
            *(f"{name} is missing" for name in missing),
            *(f"{name}{EXTRA}" for name in extra),
            *(f"{name} has other bytes" for name in changed),
        ]

    def _is_same(self, name: str, entry: Any) -> bool:
        """Compare sizes and digests: SHA-256 of large files, git's SHA-1 of others."""
        size, sha256 = self.files[name]
        if entry.lfs is not None:
            return (entry.lfs.size, entry.lfs.sha256) == (size, sha256)
        return (entry.size, entry.blob_id) == (size, git_sha1(self.folder / name))


def git_sha1(path: Path) -> str:
    """Return the name that git gives a file's bytes.

    Example:
        the empty file is e69de29bb2d1d6434b8b29ae775ad8c2e48c5391
    """
    data = path.read_bytes()
    head = f"blob {len(data)}\0".encode()
    return hashlib.sha1(head + data, usedforsecurity=False).hexdigest()
