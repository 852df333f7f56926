"""Parquet files that carry their own digest, so that any changed byte is told at once.

Page checksums do not cover a Parquet footer, and a damaged one may abort Python. The
SHA-256 of everything else stands right before the footer, where no reader looks: the
file is ordinary Parquet.
"""

import hashlib
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.digested import read_whole
from harness.errors import CorpusError
from harness.storage import write_parquet

MARK: Final = b"RUNCAST1"
"""Stands before the digest."""
_SEAL_BYTES: Final = len(MARK) + hashlib.sha256().digest_size
_TAIL_BYTES: Final = 8
"""At the end of Parquet: the length of the footer and four letters."""


def write_sealed(path: Path, table: pa.Table) -> None:
    """Write a table as sealed Parquet; not atomic by itself."""
    sink = pa.BufferOutputStream()
    write_parquet(sink, table)
    data = sink.getvalue().to_pybytes()
    footer = _footer(data)
    digest = hashlib.sha256(data).digest()
    path.write_bytes(data[:footer] + MARK + digest + data[footer:])


def read_sealed(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read sealed Parquet, or some of its columns.

    Raises:
        CorpusError: It is missing, no regular file, damaged, or was never sealed.
    """
    data = read_whole(path)
    _check(path, data)
    try:
        # pyarrow's data set reader leaves threads that may abort Python at its exit
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            return file.read(columns=columns, use_threads=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(f"{path} is damaged: {error}") from error


def check_seal(path: Path) -> None:
    """Compare a file with the digest that it carries; it is not parsed.

    Raises:
        CorpusError: As `read_sealed`.
    """
    _check(path, read_whole(path))


def _check(path: Path, data: bytes) -> None:
    if not data:
        raise CorpusError(f"{path} is damaged: it is empty")
    end = _footer(data)
    start = end - _SEAL_BYTES
    seal = data[max(start, 0) : end]
    if start < 0 or not seal.startswith(MARK):
        raise CorpusError(
            f"{path} is damaged, or no file of this version of runcast: it carries no "
            "digest"
        )
    found = hashlib.sha256(data[:start])
    found.update(data[end:])
    if found.digest() != seal.removeprefix(MARK):
        raise CorpusError(f"{path} is damaged: it differs from the digest it carries")


def _footer(data: bytes) -> int:
    """Return where the footer begins, or what damaged bytes say of it."""
    length = int.from_bytes(data[-_TAIL_BYTES:-4], "little")
    return max(0, len(data) - _TAIL_BYTES - length)
