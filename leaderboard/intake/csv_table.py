"""A table of predictions from CSV: every cell is text first, and no type is guessed."""

import codecs
from typing import Any, Final

import polars as pl

from leaderboard.boards import Asked
from leaderboard.intake.files import looks_like
from leaderboard.intake.limits import BLOCK_BYTES, FILE_BYTES, rows_read
from leaderboard.intake.names import LIBRARY, shown
from leaderboard.intake.rows import TYPES, Read, check_columns
from leaderboard.problems import SHOWN, Problem, Rejected, rejected
from tasks.base import Task

BOM: Final = b"\xef\xbb\xbf"
DECIMAL: Final = r"\A-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\z"
"""A number, in RE2."""
EPOCH: Final = r"\A(0|[1-9][0-9]{0,8})\z"
HEADER_BYTES: Final = 2000
"""Of the first line."""


def read_csv(data: bytes, asked: Asked, where: str) -> Read:
    """Return a table of predictions; blank cells are null.

    A byte order mark and both line ends are taken. Rows that hold no cell at all are
    not counted.

    Args:
        data: The file.
        asked: Says which columns are possible, and how many rows are looked at.
        where: Name of the file.

    Raises:
        Rejected: It is not such a table; bad numbers are told by `check_rows`.

    Cost: one pass in blocks of a megabyte, 30 MB/s.
    """
    header = _header(data, asked.task, where)
    lines = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
    if lines > rows_read(rows := asked_rows(asked)) + 1:
        what = f"{lines} lines, where {rows} rows are asked for"
        mend = "answer only what is asked for, once"
        raise rejected("too_large", where, what, mend)
    return _table(data, header, where)


def asked_rows(asked: Asked) -> int:
    """Return how many rows a table must have."""
    sizes = asked.examples["last"] - asked.examples["first"] + 1
    return int(sizes.sum())


def _header(data: bytes, task: Task, where: str) -> list[str]:
    """Return the columns that the first line names.

    Raises:
        Rejected: The file is no CSV, or has other columns.
    """
    hint = "save as CSV: comma-separated, UTF-8, decimals with a point"
    if len(data) > FILE_BYTES:
        what = f"{len(data):,} bytes, at most {FILE_BYTES:,}"
        raise rejected("too_large", where, what, "send Parquet")
    if kind := looks_like(data):
        raise rejected("bad_format", where, f"is {kind}, expected CSV", hint)
    if b"\0" in data:
        raise rejected("bad_format", where, "holds NUL bytes, expected text", hint)
    if not _is_utf8(data):  # pyarrow would drop such a row if it is of odd length, too
        raise rejected("bad_format", where, "is not UTF-8", hint)
    start = data[: HEADER_BYTES + 1].removeprefix(BOM)
    if not start.strip():
        raise rejected("bad_format", where, "is empty, expected CSV", hint)
    line = start.splitlines()[0]
    if len(line) >= HEADER_BYTES:
        what = f"the first line is longer than {HEADER_BYTES} bytes"
        raise rejected("bad_columns", where, what, "begin with the names of columns")
    text = line.decode("utf-8")
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if mark in text and "," not in text:
            what = f"is separated by {name}, expected commas"
            raise rejected("bad_format", where, what, hint)
    names = [name.removeprefix('"').removesuffix('"') for name in text.split(",")]
    problems = check_columns(task, names, where)
    if {"id", "prediction"}.isdisjoint(names):
        what = f"the first line is no header: {shown(text)}"
        mend = "begin with the names of the columns"
        raise rejected("bad_columns", where, what, mend)
    if any(problem.code == "bad_columns" for problem in problems):
        raise Rejected(problems)
    return names


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), BLOCK_BYTES):
            decoder.decode(data[start : start + BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _table(data: bytes, header: list[str], where: str) -> Read:
    """Return the rows below the header.

    Raises:
        Rejected: A row has more or fewer cells than the header, or is not UTF-8.
    """
    import pyarrow as pa
    from pyarrow import csv

    odd: list[int] = []

    def note(row: Any) -> str:
        odd.append(row.number)
        return "skip"

    reading = csv.ReadOptions(
        use_threads=False, block_size=BLOCK_BYTES, column_names=header, skip_rows=1
    )
    converting = csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    frames = []
    quoted: dict[str, list[str]] = {name: [] for name in header}
    try:
        with csv.open_csv(
            pa.BufferReader(data),
            read_options=reading,
            parse_options=csv.ParseOptions(invalid_row_handler=note),
            convert_options=converting,
        ) as reader:
            for batch in reader:
                frames.append(_typed(batch, quoted))
    except pa.ArrowInvalid as error:
        what = f"cannot be read as CSV: {shown(str(error), LIBRARY)}"
        mend = "rows are short, in UTF-8, and quotes are closed"
        raise rejected("bad_format", where, what, mend) from None
    if odd:
        problem = Problem(
            code="bad_format",
            where=where,
            what=f"{len(odd)} row(s) with more or fewer than {len(header)} cells",
            mend="separate cells by commas; write decimals with a point",
            rows=tuple(number - 1 for number in odd[:SHOWN]),
            count=len(odd),
        )
        raise Rejected([problem])
    schema = {name: TYPES.get(name, pl.Float32()) for name in header}
    frame = pl.concat([pl.DataFrame(schema=schema), *frames])
    return Read(frame=frame, quoted={k: tuple(v) for k, v in quoted.items() if v})


def _typed(batch: Any, quoted: dict[str, list[str]]) -> pl.DataFrame:
    """Return a batch of texts as numbers, and note the first that are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {}
    for name, texts in zip(batch.schema.names, batch.columns, strict=True):
        if name in ("id", "reason"):
            columns[name] = texts
            continue
        pattern = EPOCH if name == "epoch" else DECIMAL
        fine = pc.match_substring_regex(texts, pattern)
        odd = pc.fill_null(pc.invert(fine), False)
        exact = pc.cast(pc.if_else(fine, texts, None), pa.float64())
        if any_odd := pc.any(odd).as_py():
            room = SHOWN - len(quoted[name])
            quoted[name] += texts.filter(odd).slice(0, max(room, 0)).to_pylist()
        if name == "epoch":
            columns[name] = pc.cast(exact, pa.int32())
            continue
        exact = pc.if_else(odd, float("nan"), exact) if any_odd else exact
        columns[name] = pc.cast(exact, pa.float32(), safe=False)
    frame = pl.from_arrow(pa.table(columns))
    assert isinstance(frame, pl.DataFrame)
    return frame
