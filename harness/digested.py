"""Files that begin with the SHA-256 of what follows; torch-free."""

import hashlib
from pathlib import Path
from typing import Final

from harness.errors import CorpusError

_DIGEST_BYTES: Final = hashlib.sha256().digest_size


def with_digest(payload: bytes) -> bytes:
    """Return what to write so that `read_digested` returns `payload`."""
    return hashlib.sha256(payload).digest() + payload


def read_digested(path: Path) -> bytes:
    """Return the payload of a file.

    Raises:
        CorpusError: It cannot be read, or differs from its digest.
    """
    data = read_whole(path)
    digest, payload = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise CorpusError(f"{path} is damaged: it differs from its digest")
    return payload


def read_whole(path: Path) -> bytes:
    """Return the bytes of a file; a pipe or a folder is not opened.

    Raises:
        CorpusError: It is missing, no regular file, or cannot be read; its cause is an
            OSError only then.
    """
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        why = error.strerror or error
        raise CorpusError(f"{path} cannot be read: {why}") from error
    raise CorpusError(f"{path} is missing or no regular file")
