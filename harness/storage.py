"""Files that are absent or whole: every write of the harness goes through here.

Recipe: unique temporary name in the same folder, write, fsync, atomic rename (or hard
link, where the first writer must win), fsync of the folder.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import CorpusError, StorageError

TEMPORARY_PREFIX: Final = ".tmp-"
"""Names that a crash may leave behind; never read, swept at a later start."""
ABANDONED_S: Final = 3600.0
"""Seconds without a change after which a temporary is a crash's and is swept."""
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What a file system answers that makes no hard links."""


def replacing(path: Path, *, keep: Path | None = None) -> AbstractContextManager[Path]:
    """Return a context that yields a temporary path and then renames it to `path`.

    `path` is replaced whole, or untouched and without a trace.

    Args:
        path: The file.
        keep: Where the file goes that stood there before, once the new one is whole.

    Raises:
        StorageError: The file could not be written; names path and cause.
    """

    def rename(temporary: Path) -> None:
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)

    return _writing(path, rename)


def creating(path: Path) -> AbstractContextManager[Path]:
    """Like `replacing`, but an existing `path` stays: the first writer wins.

    Raises:
        StorageError: The file could not be written; names path and cause.
    """

    def claim(temporary: Path) -> None:
        with contextlib.suppress(FileExistsError):
            link(temporary, path)

    return _writing(path, claim)


@contextlib.contextmanager
def _writing(path: Path, commit: Callable[[Path], object]) -> Iterator[Path]:
    temporary = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        commit(temporary)
        _sync(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        _discard(temporary)


def link(source: Path, target: Path) -> None:
    """Give a file another name in its folder, whole at once, unless that is taken.

    Raises:
        FileExistsError: The name is taken; what has it stays.
        OSError: The link could not be made.
        StorageError: The file system makes no hard links.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise StorageError(
            f"cannot write {target}: {error.strerror}: its file system makes no hard "
            "links, by which runs are claimed and committed; finished runs are "
            "untouched: run the command with another folder, on a local disk or a "
            "network file system with hard links"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_parquet(
    where: Path | pa.NativeFile,
    table: pa.Table,
    row_groups: list[pa.Table] | None = None,
    encodings: Mapping[str, str] | None = None,
) -> None:
    """Write a table with page checksums, page index and zstd; not atomic by itself.

    Args:
        where: A path, or a stream of pyarrow's.
        table: The rows; gives the schema.
        row_groups: The same rows cut into row groups, so that a reader can skip some.
        encodings: Encoding by leaf of the nested columns, in place of dictionaries,
            where numbers hardly repeat.
    """
    flat = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    with pq.ParquetWriter(
        where,
        table.schema,
        compression="zstd",
        use_dictionary=flat if encodings else True,
        column_encoding=dict(encodings) if encodings else None,
        write_page_checksum=True,
        write_page_index=True,
        use_content_defined_chunking=True,
    ) as writer:
        for group in row_groups if row_groups is not None else [table]:
            if len(group):  # an empty row group stops readers that size batches by it
                writer.write_table(group, row_group_size=len(group))


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file for verified reading.

    Raises:
        CorpusError: The file is not readable Parquet.
    """
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(f"{path} is not readable Parquet: {error}") from error


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a whole Parquet file, checking every page against its checksum.

    Raises:
        CorpusError: The file is damaged.
    """
    with open_parquet(path) as file:
        try:
            return file.read(columns=columns)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise CorpusError(f"{path} is damaged: {error}") from error


def remove(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        StorageError: It could not be removed; names path and cause.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> None:
    """Remove what crashes left in `folder` and in the folders directly below it.

    Temporaries younger than `ABANDONED_S` stay: another process may be writing them,
    perhaps on a machine with another clock. Where nothing may be written all stay.
    """
    for place in (folder, *folder.glob("*/")):
        if place.name.startswith(TEMPORARY_PREFIX):
            continue  # goes as a whole, and a look at the clock would make it young
        found = list(place.glob(f"{TEMPORARY_PREFIX}*"))
        if not found or (now := time_in(place)) is None:
            continue
        for left in found:
            with contextlib.suppress(OSError):  # gone, or the next start sees to it
                if now - _changed(left) > ABANDONED_S:
                    _discard(left)


def _changed(left: Path) -> float:
    """Return when something in a temporary changed last, by its file system's clock."""
    inside = [left, *left.rglob("*")] if left.is_dir() else [left]
    found = [path.lstat() for path in inside]
    # a record that is linked keeps the time at which it was written
    return max(max(one.st_mtime, one.st_ctime) for one in found)


def time_in(folder: Path) -> float | None:
    """Return what time it is by the clock of a file system, in seconds.

    Clocks of machines differ. Tells it from a nameless file, gone at once; None where
    none can be made.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX) as file:
            os.utime(file.fileno())
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return None


def _discard(path: Path) -> None:
    """Remove a temporary; what cannot be removed stays until it is swept."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return what to raise for a file that could not be written."""
    free = "unknown"
    with contextlib.suppress(OSError):
        stat = os.statvfs(path.parent)
        free = f"{stat.f_bavail * stat.f_frsize:,}"
    return StorageError(
        f"cannot write {path}: {error.strerror or error} ({free} bytes free); finished "
        "runs are untouched: make room or mend the permissions, then run the same "
        "command again"
    )
