import os
import socket

import pytest

from leaderboard.intake.files import looks_like, read_folder
from leaderboard.intake.limits import CARD_BYTES, FILE_BYTES, FILES
from leaderboard.problems import Rejected
from tests.leaderboard.intake.made import a_submission, laid_out


@pytest.fixture
def folder(tmp_path):
    return laid_out(tmp_path / "it", a_submission())


def refused(folder):
    try:
        read_folder(folder)
    except Rejected as rejected:
        return [(p.code, p.where, p.what) for p in rejected.problems]
    return []


def test_a_folder_is_read_by_names_made_here(folder):
    assert read_folder(folder) == dict(sorted(a_submission().items()))


def test_s08_links_are_not_followed(folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("id,prediction\n")
    (folder / "predictions/x.csv").symlink_to(secret)
    (folder / "predictions/up").symlink_to(tmp_path)
    (folder / "predictions/gone.csv").symlink_to(tmp_path / "nothing")
    found = refused(folder)
    assert [code for code, _, _ in found] == ["bad_path"] * 3
    assert all("symbolic link" in what for _, _, what in found)


def test_s08_the_card_and_the_folder_may_be_no_links(folder, tmp_path):
    card = folder / "submission.toml"
    card.rename(tmp_path / "card")
    card.symlink_to(tmp_path / "card")
    (tmp_path / "link").symlink_to(folder)
    assert "symbolic link" in refused(folder)[0][2]
    assert refused(tmp_path / "link") == [("bad_path", ".", "there is no such folder")]


def test_s08_pipes_sockets_and_devices_are_not_opened(folder):
    os.mkfifo(folder / "predictions/pipe.csv")
    os.chdir(folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("predictions/socket.csv")
        found = refused(folder)
    assert [what.split(")")[0] for _, _, what in found] == [
        "'pipe.csv' (a pipe",
        "'socket.csv' (a socket",
    ]
    assert refused("/dev/null")[0][0] == "bad_path"


@pytest.mark.parametrize(
    "name",
    ["con.csv", "NUL.csv", "a b.csv", "A.csv", "\u202e.csv", ".hidden.csv", "a\nb.csv",
     "-\\.csv", "<b>.csv", "$(id).csv", "a" * 90 + ".csv"],
)  # fmt: skip
def test_s08_names_are_plain_and_told_in_ascii(folder, name):
    (folder / "predictions" / name).write_text("x")
    ((code, where, what),) = refused(folder)
    assert (code, where) == ("bad_path", "predictions")
    assert what.isascii()
    assert what.isprintable()


@pytest.mark.parametrize("name", ["..", "a\0b", "/etc"])
def test_s08_a_folder_that_is_none_is_refused(folder, name):
    assert (
        refused(folder / "predictions" / name / "submission.toml")[0][0] == "bad_path"
    )


def test_s08_strange_files_are_all_named(folder):
    (folder / "run.py").write_text("import os")
    (folder / "predictions/x.pkl").write_bytes(b"\x80\x04")
    (folder / ".git").mkdir()
    (folder / "predictions/submission.toml").write_text("")
    assert [(where, what.split(" ")[0]) for _, where, what in refused(folder)] == [
        (".", "'.git'"),
        ("predictions/submission.toml", "is"),
        ("predictions/x.pkl", "is"),
        (".", "'run.py'"),
    ]


def test_a_folder_in_the_place_of_the_card_is_refused(tmp_path):
    (tmp_path / "submission.toml").mkdir()
    assert [code for code, _, _ in refused(tmp_path)] == ["bad_path", "bad_card"]


def test_s07_no_more_than_the_limit_is_read(folder):
    with (folder / "predictions/big.csv").open("wb") as file:
        file.truncate(FILE_BYTES + 1)
    with (folder / "predictions/endless.csv").open("wb") as file:
        file.truncate(2**43)
    with (folder / "submission.toml").open("wb") as file:
        file.truncate(CARD_BYTES + 1)
    found = refused(folder)
    assert [(code, where) for code, where, _ in found] == [
        ("too_large", "predictions/big.csv"),
        ("too_large", "predictions/endless.csv"),
        ("too_large", "submission.toml"),
    ]


def test_s07_all_files_together_have_a_limit(tmp_path):
    laid_out(tmp_path, {"submission.toml": b""})
    (tmp_path / "predictions").mkdir()
    for number in range(5):
        with (tmp_path / f"predictions/{number}.csv").open("wb") as file:
            file.truncate(FILE_BYTES - 1)
    assert [where for _, where, _ in refused(tmp_path)] == ["predictions/4.csv"]


def test_s07_so_have_their_number_and_depth(folder):
    deep = folder / "predictions" / "/".join("d" * 12)
    deep.mkdir(parents=True)
    (deep / "x.csv").write_text("")
    assert [what.endswith("too deep") for _, _, what in refused(folder)] == [True]
    for number in range(FILES):
        (folder / f"predictions/{number}.csv").write_text("")
    assert "too_large" in [code for code, _, _ in refused(folder)]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x80\x05\x95", "pickle"),
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x93NUMPY\x01", "NumPy"),
        (b"x" * 257 + b"ustar\x0000", "tar"),
        (b"%PDF-1.7", "PDF"),
        (b"  <!DOCTYPE html>", "HTML"),
        (b"\xef\xbb\xbf<svg>", "HTML"),
        (b"PAR1", "Parquet"),
        (b'{"a": 1}', "JSON"),
    ],
)
def test_s05_bytes_are_known_by_how_they_begin(data, kind):
    assert kind in looks_like(data)
    assert looks_like(b"id,prediction\n") is None
