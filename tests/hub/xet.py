"""Xet without a network: the client's own file-system store, and what it holds.

`hf_xet` still takes `local://folder` for its store, so the real upload and
download run. A commit names a large file by SHA-256 only; the Xet hash that a
listing must show beside it stands in the shard files of that folder.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.hub.answers import Answer, Asked, as_json

if TYPE_CHECKING:
    from tests.hub.server import Hub

FAR = 4_000_000_000  # seconds since 1970: the tokens do not expire
RECORD = 48  # bytes: every record of a shard has this size
HAS_VERIFICATION, HAS_METADATA = 1 << 31, 1 << 30  # flags of a file's header


class XetFile(NamedTuple):
    """A file of the store."""

    xet_hash: str
    size: int


def token(hub: "Hub", asked: Asked) -> Answer:
    url = f"local://{hub.cas.folder}"
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": "xet-loopback",
        "X-Xet-Token-Expiration": str(FAR),
    }
    said = {"casUrl": url, "exp": FAR, "accessToken": "xet-loopback"}
    return as_json(said, headers=headers)


def as_hex(raw: bytes) -> str:
    """Return a 32-byte hash as Xet writes it: four little-endian words."""
    words = (raw[start : start + 8] for start in range(0, 32, 8))
    return "".join(word[::-1].hex() for word in words)


def files_of_shard(shard: bytes) -> Iterator[tuple[str, XetFile]]:
    """Yield the SHA-256 and the Xet hash of each file of a shard.

    A shard starts with a header of one record, then for each file: a head (hash,
    flags, number n of segments), n segments (xorb hash, flags, bytes, range),
    n verifications if flagged, and a record with the SHA-256 if flagged. A head
    of 32 bytes 0xFF ends the files.
    """
    at = RECORD
    while shard[at : at + 32] != b"\xff" * 32:
        xet_hash = as_hex(shard[at : at + 32])
        flags = int.from_bytes(shard[at + 32 : at + 36], "little")
        count = int.from_bytes(shard[at + 36 : at + 40], "little")
        at += RECORD
        lengths = (at + RECORD * n + 36 for n in range(count))
        size = sum(int.from_bytes(shard[n : n + 4], "little") for n in lengths)
        at += RECORD * count * (2 if flags & HAS_VERIFICATION else 1)
        if flags & HAS_METADATA:
            yield as_hex(shard[at : at + 32]), XetFile(xet_hash, size)
            at += RECORD


class Cas:
    """The file-system store that `hf_xet` fills and reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, XetFile] = {}
        self._read: set[str] = set()
        self._lock = threading.Lock()
        self._session: Any = None

    def knows(self, sha256: str) -> bool:
        """Return whether a file of this SHA-256 has been uploaded."""
        return self._find(sha256) is not None

    def hash_of(self, sha256: str) -> str | None:
        """Return the Xet hash of a file, None if it came another way."""
        found = self._find(sha256)
        return found.xet_hash if found else None

    def size(self, sha256: str) -> int:
        """Return the bytes of an uploaded file."""
        return self._files[sha256].size

    def _find(self, sha256: str) -> XetFile | None:
        with self._lock:
            if sha256 not in self._files:
                for shard in (self.folder / "xet/xorbs/shards").glob("*.mdb"):
                    if shard.name not in self._read:
                        self._files.update(files_of_shard(shard.read_bytes()))
                        self._read.add(shard.name)
            return self._files.get(sha256)

    def fetch(self, sha256: str, target: Path) -> None:
        """Write an uploaded file to disk with the client's own download."""
        from hf_xet import XetFileInfo, XetSession

        file = self._files[sha256]
        partial = target.with_suffix(".xet")
        with self._lock:
            self._session = self._session or XetSession()
            where = f"local://{self.folder}"
            with self._session.new_file_download_group(endpoint=where) as group:
                info = XetFileInfo(file.xet_hash, file.size)
                group.start_download_file(info, str(partial))
            partial.replace(target)
