import io
from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaderboard.intake.parquet_table import read_parquet
from leaderboard.problems import Rejected
from tests.leaderboard.intake.made import answers, as_parquet, asked_for

WHERE = "predictions/final-acc/w20.parquet"
ASKED = asked_for("final-acc/w20")
TABLE = answers("final-acc/w20")


def written(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def with_column(name, values):
    """Return a file in which one column holds something else."""
    table = TABLE.to_arrow()
    at = table.schema.get_field_index(name)
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return written(table.set_column(at, name, array))


def refused(data):
    try:
        read_parquet(data, ASKED, WHERE)
    except Rejected as rejected:
        return rejected.problems
    return ()


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_table_is_read_as_it_was_written(compression, dictionary):
    data = written(
        TABLE.to_arrow(),
        compression=compression,
        use_dictionary=dictionary,
        row_group_size=5,
        write_page_checksum=True,
    )
    assert read_parquet(data, ASKED, WHERE).frame.equals(TABLE)


@pytest.mark.parametrize("write", ["polars", "pandas", "arrow categories"])
def test_what_libraries_write_is_taken(write):
    table = TABLE.to_arrow()
    data = as_parquet(TABLE)
    if write == "pandas":
        data = written(pa.Table.from_pandas(table.to_pandas(), preserve_index=False))
    if write == "arrow categories":
        data = written(table.set_column(0, "id", table["id"].dictionary_encode()))
    frame = read_parquet(data, ASKED, WHERE).frame
    assert frame.drop("reason").equals(TABLE.drop("reason"))
    assert frame["reason"].to_list() == TABLE["reason"].to_list()


def test_the_reason_may_be_left_out():
    table = TABLE.drop("reason")
    assert read_parquet(as_parquet(table), ASKED, WHERE).frame.equals(table)


def test_widths_of_numbers_do_not_matter():
    wide = TABLE.cast({pl.Float32: pl.Float64})
    assert read_parquet(as_parquet(wide), ASKED, WHERE).frame.equals(TABLE)
    whole = TABLE.with_columns(prediction=pl.lit(1, pl.Int64))
    found = read_parquet(as_parquet(whole), ASKED, WHERE).frame
    assert found["prediction"].to_list() == [1.0] * len(TABLE)
    assert found["prediction"].dtype == pl.Float32


def test_a_column_of_nothing_declines():
    empty = TABLE.to_arrow().select(["id"])
    for name in ("prediction", "reason"):
        empty = empty.append_column(name, pa.nulls(len(TABLE)))
    found = read_parquet(written(empty), ASKED, WHERE).frame
    assert found.dtypes == [pl.String, pl.Float32, pl.String]
    assert found["prediction"].null_count() == len(TABLE)


def test_s02_a_blank_reason_is_none():
    table = TABLE.with_columns(reason=pl.lit(""))
    found = read_parquet(as_parquet(table), ASKED, WHERE).frame
    assert found["reason"].null_count() == len(TABLE)


ODD = {
    "nested": ("prediction", [[0.5]] * 12),
    "struct": ("prediction", [{"a": 0.5}] * 12),
    "map": (
        "prediction",
        pa.array([[("a", 1)]] * 12, pa.map_(pa.string(), pa.int64())),
    ),
    "bool": ("prediction", [True] * 12),
    "text": ("prediction", ["0.5"] * 12),
    "binary": ("prediction", [b"0.5"] * 12),
    "decimal": ("prediction", pa.array([1] * 12).cast(pa.decimal128(30, 2))),
    "float16": ("prediction", pa.array(np.ones(12, np.float16))),
    "time": ("prediction", [datetime(2026, 1, 1)] * 12),
    "whole ids": ("id", list(range(12))),
    "real ids": ("id", [float(i) for i in range(12)]),
    "binary ids": ("id", [b"a"] * 12),
    "listed ids": ("id", [["a"]] * 12),
    "null ids": ("id", pa.nulls(12)),
    "real reasons": ("reason", [0.5] * 12),
}


@pytest.mark.parametrize(("name", "values"), ODD.values(), ids=ODD.keys())
def test_s06_other_types_are_refused(name, values):
    problems = refused(with_column(name, values))
    assert "bad_columns" in [problem.code for problem in problems]
    assert name in " ".join(problem.what for problem in problems)


def test_s06_types_that_only_the_writer_knows_are_not_heeded():
    """An extension type is told in the metadata ("ARROW:schema"): data are data."""
    table = TABLE.to_arrow()
    storage = table["prediction"].combine_chunks().cast(pa.float64())
    odd = pa.ExtensionArray.from_storage(pa.opaque(pa.float64(), "x", "y"), storage)
    data = written(table.set_column(1, "prediction", odd))
    assert b"ARROW:schema" in data
    assert "opaque" in str(pq.read_schema(io.BytesIO(data)).field("prediction").type)
    assert read_parquet(data, ASKED, WHERE).frame.equals(TABLE)


def test_s06_zeros_by_the_million_are_refused_by_the_footer():
    bomb = written(pa.table({"id": pa.array(["a"] * 3_000_000).dictionary_encode()}))
    assert len(bomb) < 100_000
    problems = refused(bomb)
    assert [problem.code for problem in problems] == ["too_large", "bad_columns"]
    assert "3000000 rows" in problems[0].what


def test_s06_columns_by_the_thousand_are_refused_by_the_footer():
    many = written(pa.table({f"c{i}": pa.nulls(0) for i in range(5_000)}))
    assert {problem.code for problem in refused(many)} == {"too_large"}


def test_s06_row_groups_by_the_thousand_are_refused():
    many = written(pa.concat_tables([TABLE.to_arrow()] * 86), row_group_size=1)
    assert [problem.code for problem in refused(many)] == ["too_large"]


def test_s06_a_long_text_that_repeats_is_refused_before_it_is_laid_out():
    """Two megabytes a row would be 24 MB; the file has less of them."""
    bomb = with_column("reason", ["x" * 2_000_000] * 12)
    assert len(bomb) < 200_000
    (problem,) = refused(bomb)
    assert problem.code == "too_large"
    assert "2,000,000 bytes in column reason" in problem.what


def test_s06_a_footer_that_lies_about_rows_is_refused():
    data = as_parquet(TABLE)
    footer = pq.ParquetFile(io.BytesIO(data)).metadata
    assert footer.num_rows == 12
    found = [
        refused(data[:at] + bytes([data[at] ^ 2]) + data[at + 1 :])
        for at in range(len(data) - 400, len(data))
    ]
    codes = {problem.code for problems in found for problem in problems}
    assert codes <= {"bad_format", "bad_columns", "too_large", "bad_distribution"}
    assert "bad_format" in codes


def test_s06_text_that_is_no_utf8_is_refused():
    data = as_parquet(TABLE.with_columns(reason=pl.lit("zzzz")))
    plain = written(pl.DataFrame(TABLE).to_arrow(), compression="none")
    assert b"run-" in plain
    (problem,) = refused(plain.replace(b"run-0", b"\xff\xfe\xfd\xfc0"))
    assert problem.code == "bad_format"
    assert refused(data) == ()


def test_s06_epochs_that_do_not_fit_are_refused():
    curve = answers("curve/w20").cast({"epoch": pl.Int64})
    curve = curve.with_columns(epoch=pl.lit(2**40))
    with pytest.raises(Rejected, match=r"\[bad_format\] is damaged"):
        read_parquet(as_parquet(curve), asked_for("curve/w20"), WHERE)


@pytest.mark.parametrize(
    "data",
    [b"", b"PAR1", b"PAR1PAR1", b"id,prediction\n", b"PAR1" + b"\xff" * 20 + b"PAR1",
     as_parquet(TABLE)[:-20], as_parquet(TABLE)[20:], b"PARE" + b"\0" * 20 + b"PARE",
     b"\x80\x04\x95" + b"\0" * 20],
)  # fmt: skip
def test_s05_what_is_no_parquet_is_refused_whatever_its_name(data):
    (problem,) = refused(data)
    assert problem.code in ("bad_format", "too_large")


def test_s03_a_flipped_byte_is_told_by_the_checksum():
    data = bytearray(written(TABLE.to_arrow(), write_page_checksum=True))
    footer = pq.ParquetFile(io.BytesIO(bytes(data))).metadata
    column = footer.row_group(0).column(1)
    data[column.data_page_offset + column.total_compressed_size - 40] ^= 1
    (problem,) = refused(bytes(data))
    assert problem.code == "bad_format"
