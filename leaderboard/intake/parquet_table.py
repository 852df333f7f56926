"""A table of predictions from Parquet: the footer is judged before a page is read."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl

from leaderboard.boards import Asked
from leaderboard.intake.csv_table import asked_rows
from leaderboard.intake.files import looks_like
from leaderboard.intake.limits import (
    CELL_CHARS,
    FILE_BYTES,
    FOOTER_BYTES,
    ROW_GROUPS,
    rows_read,
)
from leaderboard.intake.names import LIBRARY, shown
from leaderboard.intake.rows import TYPES, Read, check_columns
from leaderboard.problems import Problem, Rejected, rejected

MAGIC: Final = b"PAR1"
TAIL: Final = 8
"""Bytes after the footer: its length and the magic."""
ORIGIN: Final = b"ARROW:schema"
"""Key of the writer's own types, which may be any, extensions among them."""
LIMITS: Final = {
    "thrift_string_size_limit": FOOTER_BYTES,
    "thrift_container_size_limit": 100_000,
}
TEXT: Final = {("BYTE_ARRAY", "STRING")}
WHOLE: Final = {(kind, log) for kind in ("INT32", "INT64") for log in ("NONE", "INT")}
REAL: Final = {("FLOAT", "NONE"), ("DOUBLE", "NONE")}
NOTHING: Final = {("INT32", "UNKNOWN"), ("INT32", "NULL")}
"""A column without a value."""
BATCH: Final = 65_536
"""Rows that are decoded at once."""


def read_parquet(data: bytes, asked: Asked, where: str) -> Read:
    """Return a table of predictions: text, int32, int64, float and double are taken.

    Types that a writer notes beside the schema ("ARROW:schema") are not heeded. Texts
    are read as dictionaries, so that a long one repeated is told before it is laid out.

    Args:
        data: The file.
        asked: Says which columns are possible, and how many rows are looked at.
        where: Name of the file.

    Raises:
        Rejected: It is not such a table, or damaged.

    Cost: one pass in batches; a page that unpacks to more than memory holds is what
    `leaderboard.intake.isolated` is for.
    """
    import pyarrow as pa

    with _told(where):
        footer = _footer(data, where)
        problems = _judged(footer, asked, where)
        if any(problem.code != "bad_distribution" for problem in problems):
            raise Rejected(problems)
        frames = list(_batches(data, footer, where))
    names = [footer.schema.column(i).name for i in range(footer.num_columns)]
    schema = {name: TYPES.get(name, pl.Float32()) for name in names}
    empty = pl.DataFrame(schema=schema)
    frame = pl.concat([empty, *(pl.DataFrame(pa.table(some)) for some in frames)])
    if len(frame) != footer.num_rows:
        what = f"holds {len(frame)} rows, its footer says {footer.num_rows}"
        raise rejected("bad_format", where, what, "write it again")
    return Read(frame=frame)


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what the library says of damaged files into a problem."""
    import pyarrow as pa

    try:
        yield
    except Rejected:
        raise
    except MemoryError:
        what = "unpacks to more than memory holds"
        raise rejected("too_large", where, what, "send CSV") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        what = f"is damaged or of an unknown kind: {shown(str(error), LIBRARY)}"
        mend = "write it again, with polars, pyarrow or pandas"
        raise rejected("bad_format", where, what, mend) from None


def _footer(data: bytes, where: str) -> Any:
    """Return the metadata, read from a copy of the footer alone.

    Raises:
        Rejected: It is no Parquet file, or its footer is too long.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    hint = "write it with polars, pyarrow or pandas, or send CSV"
    if len(data) > FILE_BYTES:
        what = f"{len(data):,} bytes, at most {FILE_BYTES:,}"
        raise rejected("too_large", where, what, "leave out what is not asked for")
    if data[:4] != MAGIC or data[-4:] != MAGIC or len(data) < TAIL + 4:
        kind = looks_like(data) or "something else"
        kind = "a Parquet file that is cut" if data[:4] == MAGIC else kind
        raise rejected("bad_format", where, f"is {kind}, expected Parquet", hint)
    length = int.from_bytes(data[-TAIL:-4], "little")
    if length > min(FOOTER_BYTES, len(data) - TAIL - 4):
        what = f"the footer has {length:,} bytes, at most {FOOTER_BYTES:,}"
        raise rejected("too_large", where, what, hint)
    footer = data[-TAIL - length :].replace(ORIGIN, ORIGIN.swapcase())
    return pq.ParquetFile(pa.BufferReader(MAGIC + footer), **LIMITS).metadata


def _judged(footer: Any, asked: Asked, where: str) -> list[Problem]:
    """Return what is wrong with rows and columns, as the footer has them."""
    problems = []
    rows = asked_rows(asked)
    groups = footer.num_row_groups
    if not 0 <= footer.num_rows <= rows_read(rows) or groups > ROW_GROUPS:
        what = (
            f"{footer.num_rows} rows in {groups} groups, where {rows} rows are asked "
            f"for, in at most {ROW_GROUPS}"
        )
        mend = "answer only what is asked for, once"
        problems.append(Problem(code="too_large", where=where, what=what, mend=mend))
    columns = [footer.schema.column(i) for i in range(min(footer.num_columns, 64))]
    names = [column.path for column in columns]
    problems += check_columns(asked.task, names, where)
    if footer.num_columns > len(columns):
        what = f"{footer.num_columns} columns"
        problems = [Problem(code="too_large", where=where, what=what, mend="see above")]
    for column in columns:
        kind = (column.physical_type, column.logical_type.type)
        if column.path != column.name or column.max_repetition_level:
            kind = ("nested", "")
        if kind not in _allowed(column.name):
            found = " ".join(part for part in kind if part != "NONE").lower()
            what = f"column {shown(column.path)} is {found}"
            mend = "write ids as strings, epochs as integers, the rest as floats"
            found_problem = Problem(
                code="bad_columns", where=where, what=what, mend=mend
            )
            problems.append(found_problem)
    return problems


def _allowed(name: str) -> set[tuple[str, str]]:
    """Return the physical and logical types that a column may have."""
    if name in ("id", "reason"):
        return TEXT | (NOTHING if name == "reason" else set())
    return WHOLE if name == "epoch" else WHOLE | REAL | NOTHING


def _batches(data: bytes, footer: Any, where: str) -> Iterator[dict[str, Any]]:
    """Yield columns as they are checked.

    Raises:
        Rejected: A text is too long, or an epoch too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [footer.schema.column(i).name for i in range(footer.num_columns)]
    file = pq.ParquetFile(
        pa.BufferReader(data),
        metadata=footer,
        read_dictionary=[name for name in names if name in ("id", "reason")],
        page_checksum_verification=True,
        pre_buffer=False,
        **LIMITS,
    )
    rows = 0
    for batch in file.iter_batches(BATCH, use_threads=False):
        rows += len(batch)
        if rows > footer.num_rows:
            what = f"more rows than the {footer.num_rows} of its footer"
            raise rejected("bad_format", where, what, "write it again")
        yield {
            name: _typed(column, name, where)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }


def _typed(column: Any, name: str, where: str) -> Any:
    """Return a column in the type that it has from now on."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name in ("id", "reason"):
        if pa.types.is_null(column.type):
            return column.cast(pa.string())
        lengths = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        if lengths > 4 * CELL_CHARS:
            what = f"a text of {lengths:,} bytes in column {name}"
            mend = f"at most {CELL_CHARS} characters"
            raise rejected("too_large", where, what, mend)
        column.validate(full=True)
        texts = column.dictionary_decode()
        texts.validate(full=True)  # an id may be no UTF-8, which polars takes on trust
        return pc.if_else(pc.equal(texts, ""), None, texts)
    if name == "epoch":
        return column.cast(pa.int32())
    if pa.types.is_null(column.type):
        return column.cast(pa.float32())
    numbers = np.asarray(column.cast(pa.float64(), safe=False).fill_null(0.0))
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    return pa.array(narrow, mask=np.asarray(column.is_null()))
