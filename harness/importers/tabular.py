"""Reads CSV and Parquet a block of rows at a time, so that memory stays bounded."""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from harness.errors import DataError
from harness.importers.points import Context

BLOCK_BYTES: Final = 8 << 20
"""Bytes of CSV that are parsed at a time; a row has to fit in."""
BLOCK_ROWS: Final = 1 << 18
"""Rows of Parquet that are read at a time."""
DELIMITERS: Final = ",;\t"
BLANK: Final = ("", "null", "None", "NA", "N/A", "<NA>")
"""Cells that mean "not measured"; NaN means measured and not finite."""
_BOMS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

Accepts = Callable[[Sequence[str]], bool]
"""Tells whether column names are those of a format."""


class Block(NamedTuple):
    """Consecutive rows of a file."""

    path: Path
    first_row: int
    """Number of the first row in the file; the header of a CSV file is row 1. Blank
    lines do not count."""
    frame: pl.DataFrame
    """Columns as named in the file, stripped; cells of a CSV file are text."""

    def problem(self, index: int, column: str, expected: str, mend: str) -> DataError:
        """Return an error that points at a cell."""
        got = self.frame[column][index]
        return DataError(
            f"{self.path}, row {self.first_row + index}, column {column!r}: got "
            f"{_shown(got)}, expected {expected}; {mend}"
        )


def is_parquet(path: Path) -> bool:
    """Tell whether a file is Parquet, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def header(path: Path, accepts: Accepts) -> list[str]:
    """Return the column names of a file, none of an empty one.

    Raises:
        DataError: The file is not readable.
    """
    if is_parquet(path):
        with _parquet(path) as file:
            return [name.strip() for name in file.schema_arrow.names]
    return _Dialect.of(path, accepts).names


def blocks(path: Path, accepts: Accepts, context: Context) -> Iterator[Block]:
    """Yield the rows of a CSV or Parquet file, a bounded number at a time.

    Args:
        path: The file; Parquet is told by its first bytes, the delimiter of a CSV file
            (comma, semicolon or tab) by its header, its encoding by a mark (UTF-8 or
            UTF-16) or by trying UTF-8.
        accepts: Tells whether column names are the right ones.
        context: Takes remarks.

    Raises:
        DataError: The file is not readable, or has a column twice.
    """
    if is_parquet(path):
        yield from _parquet_blocks(path)
        return
    dialect = _Dialect.of(path, accepts)
    if dialect.encoding == "latin-1":
        context.note(
            f"{path.name} is not UTF-8 and was read as Latin-1: compare names with "
            "letters beyond ASCII"
        )
    if dialect.names:
        yield from _csv_blocks(path, dialect)


def numbers(block: Block, column: str) -> pl.Series:
    """Return a column as Float64; null where nothing was measured.

    Raises:
        DataError: A cell is neither a number nor blank.
    """
    values = loose_numbers(block.frame[column])
    bad = values.is_null() & ~is_blank(block.frame[column])
    if bad.any():
        raise block.problem(
            bad.arg_true()[0],
            column,
            "a number such as 0.5, 1e-3, NaN or inf, or an empty cell",
            "correct the cell, or leave the column or signal out (--drop)",
        )
    return values


def loose_numbers(cells: pl.Series) -> pl.Series:
    """Return cells as Float64, null where they are no numbers."""
    if cells.dtype == pl.String:
        cells = cells.str.strip_chars()
    elif not (cells.dtype.is_numeric() or cells.dtype == pl.Boolean):
        return pl.Series([None] * len(cells), dtype=pl.Float64)
    return cells.cast(pl.Float64, strict=False)


def is_blank(cells: pl.Series) -> pl.Series:
    """Return which cells say nothing."""
    if cells.dtype != pl.String:
        return cells.is_null()
    return cells.is_null() | cells.str.strip_chars().is_in(BLANK)


def names(block: Block, column: str) -> pl.Series:
    """Return a column of names as text.

    Raises:
        DataError: A name is missing or has a control character.
    """
    cells = block.frame[column].cast(pl.String)
    for bad, expected in (
        (cells.is_null() | (cells == ""), "a name"),
        (cells.str.contains(r"\p{Cc}"), "a name without control characters"),
    ):
        if bad.any():
            mend = "name it, or delete the row"
            raise block.problem(bad.arg_true()[0], column, expected, mend)
    return cells


class _Dialect(NamedTuple):
    """How a CSV file is to be read."""

    encoding: str
    delimiter: str
    names: list[str]

    @classmethod
    def of(cls, path: Path, accepts: Accepts) -> "_Dialect":
        encoding = _encoding(path)
        with _open(path) as file, io.TextIOWrapper(file, encoding, newline="") as text:
            first = next((line for line in text if line.strip()), "")
            rest = io.StringIO(first + text.read(1 << 20))
        choices = []
        for delimiter in DELIMITERS:
            rest.seek(0)
            try:
                row = next(csv.reader(rest, delimiter=delimiter), [])
            except csv.Error as error:
                raise DataError(f"{path} is not readable as CSV: {error}") from error
            choices.append(cls(encoding, delimiter, [name.strip() for name in row]))
        right = (choice for choice in choices if accepts(choice.names))
        return next(right, max(choices, key=lambda choice: len(choice.names)))


def _encoding(path: Path) -> str:
    """Return the encoding by its mark, or UTF-8 if all of the file is."""
    with _open(path) as file:
        beginning = file.read(1 << 20)
        for mark, name in _BOMS.items():
            if beginning.startswith(mark):
                return name
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while beginning:
                decoder.decode(beginning)
                beginning = file.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _open(path: Path) -> Any:
    """Open a file, decompressed by the end of its name, as in runs.csv.gz."""
    try:
        return pa.input_stream(path, compression="detect")
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _csv_blocks(path: Path, dialect: _Dialect) -> Iterator[Block]:
    _no_doubles(path, dialect.names)
    row = 2
    try:
        reader = pa.csv.open_csv(
            _open(path),
            read_options=pa.csv.ReadOptions(
                use_threads=False,  # rows are numbered in messages without threads only
                block_size=BLOCK_BYTES,
                encoding=dialect.encoding,
                column_names=dialect.names,
                skip_rows_after_names=1,
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(dialect.names, pa.string()),
                strings_can_be_null=False,
            ),
        )
        for batch in reader:
            yield Block(path, row, _frame(batch, dialect.names))
            row += len(batch)
    except pa.ArrowException as error:
        raise DataError(
            f"{path} is not readable as CSV: {error}; every row needs as many cells as "
            f"the header, {len(dialect.names)}, and text with a delimiter needs quotes"
        ) from error


def _parquet_blocks(path: Path) -> Iterator[Block]:
    with _parquet(path) as file:
        names = [name.strip() for name in file.schema_arrow.names]
        _no_doubles(path, names)
        row = 1
        try:
            for batch in file.iter_batches(BLOCK_ROWS):
                yield Block(path, row, _frame(batch, names))
                row += len(batch)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is damaged: {error}") from error


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is not readable Parquet: {error}") from error


def _frame(batch: pa.RecordBatch, names: list[str]) -> pl.DataFrame:
    frame = pl.from_arrow(pa.Table.from_batches([batch]).rename_columns(names))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _no_doubles(path: Path, names: list[str]) -> None:
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise DataError(
            f"{path} has more than one column called {double[0]!r}: rename all but one"
        )


def _shown(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."
