import io
import pickle

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.intake.csv_table import read_csv
from leaderboard.problems import Rejected
from tests.leaderboard.intake.made import (
    FINAL,
    IDS,
    a_submission,
    answers,
    as_csv,
    asked_for,
    codes,
    final,
    plain,
    problems_of,
)

ASKED = asked_for("final-acc/w20")


def archive():
    buffer = io.BytesIO()
    np.savez(buffer, prediction=np.zeros(3))
    return buffer.getvalue()


def refused(data):
    try:
        read_csv(data, ASKED, FINAL)
    except Rejected as rejected:
        return rejected.problems
    return ()


def test_a_table_is_read_as_it_was_written():
    table = answers("final-acc/w20")
    assert read_csv(as_csv(table), ASKED, FINAL).frame.equals(table)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.rstrip(b"\n"),
        lambda data: data + b"\n\n",
        lambda data: data.replace(b"run-", b'"run-').replace(b",0.", b'",0.', 1),
    ],
    ids=["bom", "crlf", "cr", "no end", "blank lines", "quotes"],
)
def test_s03_spellings_of_the_same_table_are_taken(change):
    data = plain()
    if change(data).count(b'"') > 2:
        rows = data.decode().splitlines()
        quoted = [f'"{row.split(",")[0]}",{row.split(",")[1]}' for row in rows]
        assert codes(a_submission(final="\n".join(quoted).encode())) == []
    else:
        assert codes(a_submission(final=change(data))) == []


@pytest.mark.parametrize(
    ("change", "code", "hint"),
    [
        (lambda data: data.replace(b",", b";"), "bad_format", "semicolons"),
        (lambda data: data.replace(b",", b"\t"), "bad_format", "tabs"),
        (lambda data: data.replace(b",", b"|"), "bad_format", "bars"),
        (lambda data: data.decode().encode("utf-16"), "bad_format", "UTF-16"),
        (lambda data: data + b"\0", "bad_format", "NUL"),
        (lambda data: data + b"\xff,0.5\n", "bad_format", "UTF-8"),
        (lambda data: data + b"\xff,0.5,1\n", "bad_format", "UTF-8"),
        (lambda data: data.replace(b",0.1", b",0,1", 1), "bad_format", "than 2 cells"),
        (lambda data: data.replace(b"run-", b'"run-', 1), "bad_format", ""),
        (lambda data: data.split(b"\n", 1)[1], "bad_columns", "no header"),
        (lambda data: data.replace(b"id,", b"ID,"), "bad_columns", "no column id"),
        (lambda data: b"id," + data, "bad_columns", "more than once"),
        (lambda data: b"", "bad_format", "empty"),
        (lambda data: b"\n\n \n", "bad_format", "empty"),
        (lambda data: b"x" * 5000, "bad_columns", "longer than"),
        (lambda data: data + b"r," * 2_000_000, "bad_format", ""),
    ],
)
def test_s03_other_tables_are_refused_with_a_hint(change, code, hint):
    problems = refused(change(plain()))
    assert code in [problem.code for problem in problems]
    assert hint in " ".join(problem.what for problem in problems)


def test_s03_the_header_stands_there_once():
    rows = problems_of(a_submission(final=plain() + b"id,prediction\n"))
    assert [row.code for row in rows] == ["extra_rows", "bad_value"]
    assert rows[0].rows == (13,)
    assert "the header stands there again" in rows[0].mend


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"id": 1}, 4),
        pickle.dumps({"id": 1}, 0),
        archive(),
        b"\x1f\x8b\x08" + b"\0" * 20,
        b"x" * 257 + b"ustar\x00" + b"\0" * 300,
        b"<html><body>404</body></html>",
        b"%PDF-1.7\n",
        b"PAR1" + b"\0" * 20 + b"PAR1",
        b'{"id": [], "prediction": []}',
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    ],
    ids=["pickle 4", "pickle 0", "npz", "gzip", "tar", "html", "pdf", "parquet", "json",
         "lfs"],
)  # fmt: skip
def test_s05_what_is_no_csv_is_refused_whatever_its_name(data):
    problems = refused(data)
    assert len(problems) == 1
    assert problems[0].code in ("bad_format", "bad_columns")


def test_s05_what_it_looks_like_is_told():
    assert "a pickle" in refused(pickle.dumps([1], 4))[0].what
    assert "a zip archive" in refused(archive())[0].what


@pytest.mark.parametrize("rows", [1013, 200_000])
def test_s06_a_table_of_many_rows_is_refused_unread(rows):
    (problem,) = refused(b"id,prediction\n" + b",\n" * rows + b"a,1\n" * 20)
    assert problem.code == "too_large"


def test_s06_a_table_of_many_columns_is_refused_unread():
    (problem,) = refused(b",".join(b"c%d" % i for i in range(100_000)) + b"\n")
    assert problem.code == "bad_columns"


def test_rows_of_other_lengths_are_named():
    (problem,) = refused(plain().replace(b",0.13", b"").replace(b",0.15", b",0.15,1"))
    assert problem.rows == (4, 6)
    assert problem.count == 2


NUMBERS = ["1_000", "\uff10.5", "0,5", "1e", "+0.5", ".5", "5.", " 0.5", "0.5 ", "nan",
           "NaN", "inf", "-Infinity", "0x1p-2", "1+2j", "True", "null", "None", "NA",
           "50%", "1/2", "--1", "0.5.5", "1e+-5", "\u0665", "0.5\n", "1e9999",
           "'0.5"]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_s01_what_is_no_decimal_is_refused(number):
    values = ["0.5"] * len(IDS)
    values[3] = number
    data = plain(prediction=values)
    problems = problems_of(a_submission(final=data))
    assert [problem.code for problem in problems] == ["bad_value"]
    assert problems[0].rows == (4,)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
@settings(max_examples=100, deadline=None)
def test_decimals_are_rounded_as_python_rounds_them(value):
    texts = [repr(float(value)), f"{value:.17e}", f"{value:.9g}"]
    data = "id,prediction\n" + "".join(f"a,{text}\n" for text in texts)
    read = read_csv(data.encode(), ASKED, FINAL)
    assert read.quoted == {}
    found = read.frame["prediction"].to_numpy()
    np.testing.assert_array_equal(found, np.full(3, value, np.float32))


@pytest.mark.parametrize("epoch", ["5.0", "05", "+5", "5e0", " 5", "", "-5", "9" * 10])
def test_s03_epochs_are_whole_numbers_in_digits(epoch):
    table = answers("curve/w20").cast(pl.String)
    at = table["epoch"].to_list()
    at[4] = epoch
    files = a_submission(curve=None)
    files["predictions/curve/w20.csv"] = as_csv(
        table.with_columns(epoch=pl.Series(at)).fill_null("")
    )
    problems = problems_of(files)
    assert [problem.code for problem in problems] == ["missing_rows", "bad_value"]
    assert problems[1].rows == (5,)


def test_s01_a_blank_cell_declines_where_it_may():
    assert codes(a_submission(final=plain(prediction=[""] * len(IDS)))) == []
    assert codes(a_submission(final=final(id=[""] * len(IDS)))) == [
        "missing_rows",
        "bad_value",
    ]
