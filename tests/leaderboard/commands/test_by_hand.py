"""A submission written without `harness predict`, from files and the page alone."""

import polars as pl

from leaderboard.intake.files import read_folder
from tasks.submission import CARD, read_predictions
from tests.leaderboard.commands.conftest import corpus, run

CARD_TEXT = """
name = "By hand"
authors = ["A. Nother"]
contact = "a@example.org"
code = "https://example.org/by-hand"
licence = "MIT"

[predictor]
name = "by-hand"
reads_settings = false
reads_curves = false

[corpus]
name = "{name}"
version = ""
sha256 = "{sha256}"

[tasks."final-acc/w04"]
version = "1"
"""


def test_medians_of_the_other_folds_by_hand_are_those_of_the_baseline(blind, tmp_path):
    path = tmp_path / "examples.csv"
    task = ("--task", "final-acc/w04", "--public", "--out", path)
    run("leaderboard", "examples", *corpus(blind), *task)
    rows = pl.read_csv(path)
    ends = pl.read_parquet(blind.folder / "runs" / "*.parquet").select(
        "run_id", end="final.test_accuracy"
    )
    rows = rows.join(ends, on="run_id")
    median = {
        fold: rows.filter(pl.col("fold") != fold)["end"].median()
        for fold in rows["fold"].unique()
    }
    table = rows.select("id", prediction=pl.col("fold").replace_strict(median))
    folder = tmp_path / "by-hand"
    (folder / "predictions" / "final-acc").mkdir(parents=True)
    table.write_csv(folder / "predictions" / "final-acc" / "w04.csv")
    card = CARD_TEXT.format(name=blind.name, sha256=blind.data_sha256)
    (folder / CARD).write_text(card)
    run("leaderboard", "check", folder, *corpus(blind))
    assert len(read_folder(folder)) == 2
    words = ("--predictor", "median", "--task", "final-acc/w04", "--public")
    run("predict", *corpus(blind), *words, "--out", tmp_path / "baseline")
    known = read_predictions(tmp_path / "baseline", "final-acc/w04").sort("id")
    assert table.sort("id")["prediction"].cast(pl.Float32).equals(known["prediction"])


def test_a_curve_task_tells_its_epochs_and_an_unknown_one_what_there_is(
    blind, tmp_path
):
    path = tmp_path / "examples.csv"
    curve = ("--task", "curve/w20", "--out", path)
    assert (
        "examples of curve/w20 in "
        in run("leaderboard", "examples", *corpus(blind), *curve).stdout
    )
    rows = pl.read_csv(path)
    assert (rows["first_epoch"] <= rows["last_epoch"]).all()
    other = ("--task", "final-acc/w99", "--out", path)
    done = run("leaderboard", "examples", *corpus(blind), *other, code=2)
    assert "does not ask 'final-acc/w99' (it asks: " in done.stderr
