import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaderboard.intake import isolated
from leaderboard.intake.isolated import validate_isolated
from leaderboard.intake.validate import validate
from leaderboard.problems import Rejected
from tests.leaderboard.intake.made import (
    a_board,
    a_submission,
    answers,
    laid_out,
    plain,
    problems_of,
)


def test_a_submission_is_read_alike_in_its_own_process(tmp_path):
    folder = laid_out(tmp_path, a_submission())
    here, there = (
        validate(a_submission(), a_board()),
        validate_isolated(folder, a_board()),
    )
    assert there.submission == here.submission
    assert (there.sha256, there.notes) == (here.sha256, here.notes)
    assert list(there.tables) == list(here.tables)
    for name, table in here.tables.items():
        assert there.tables[name].equals(table)


def test_problems_travel_as_they_are(tmp_path):
    files = a_submission(final=plain(prediction=["2"] * 12), card=b"x")
    with pytest.raises(Rejected, match=r"6 problem|2 problem") as rejected:
        validate_isolated(laid_out(tmp_path, files), a_board())
    assert list(rejected.value.problems) == problems_of(files)


@pytest.mark.slow
def test_s06_a_cell_of_a_gigabyte_is_refused_by_the_memory_limit(tmp_path):
    """A page says that it unpacks to a gigabyte, and does: the footer cannot tell."""
    table = answers("diverge/w04").to_arrow().drop_columns(["reason"])
    text = pa.array([None] * 11 + [b"x" * 1_000_000_000], pa.binary()).cast(pa.string())
    buffer = io.BytesIO()
    pq.write_table(
        table.append_column("reason", text),
        buffer,
        compression="zstd",
        compression_level=-5,  # a sixth of the time, as small
        use_dictionary=False,
        write_statistics=False,
    )
    assert len(buffer.getvalue()) < 1_000_000
    folder = laid_out(tmp_path, a_submission(diverge=buffer.getvalue()))
    with pytest.raises(Rejected, match=r"diverge/w04.parquet: \[too_large\]"):
        validate_isolated(folder, a_board())


def test_s07_nothing_that_waits_is_waited_for(tmp_path):
    folder = laid_out(tmp_path, a_submission())
    (folder / "predictions/extra.csv").symlink_to("/dev/zero")
    with pytest.raises(Rejected, match=r"symbolic link"):
        validate_isolated(folder, a_board())


def test_a_module_in_the_current_folder_is_not_imported(tmp_path, monkeypatch):
    folder = laid_out(tmp_path, a_submission())
    for name in ("leaderboard", "json", "polars"):
        (folder / f"{name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(folder)
    with pytest.raises(Rejected, match=r"'json.py' \(a file\) does not belong"):
        validate_isolated(folder, a_board())


def test_a_board_travels_with_its_definitions(tmp_path):
    """The version that a board scores is the board's, not the catalogue's."""
    folder = laid_out(tmp_path, a_submission())
    board = a_board(version="9.9")
    with pytest.raises(
        Rejected, match=r"corpus.version is '1.0.0', of this board '9.9'"
    ):
        validate_isolated(folder, board)
    assert board.tasks["diverge/w04"].examples["first"].dtype == pl.Int64


@pytest.mark.parametrize("reading", [None, ""], ids=["no file", "an empty file"])
def test_a_process_that_never_began_is_no_fault_of_the_folder(
    reading, tmp_path, monkeypatch
):
    def ends_at_once(_, desk):
        if reading is not None:
            (desk / isolated.READING).write_text(reading)
        return 1

    monkeypatch.setattr(isolated, "_started", ends_at_once)
    folder = laid_out(tmp_path, a_submission())
    with pytest.raises(RuntimeError, match=r"ended with 1 before it read anything"):
        validate_isolated(folder, a_board())
