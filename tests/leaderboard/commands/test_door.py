"""`harness leaderboard check` and `add`: in by the door, or told everything."""

import json
import shutil

import polars as pl
import pytest

from harness.errors import RuncastError
from tasks.submission import table_path
from tests.files import contents
from tests.leaderboard.commands.conftest import corpus, described, run

TASK = "final-acc/w04"


def test_what_predict_wrote_lacks_nothing_but_what_a_person_knows(blind, tmp_path):
    words = ("--predictor", "median", "--task", TASK, "--public")
    run("predict", *corpus(blind), *words, "--out", tmp_path / "mine")
    done = run("leaderboard", "check", tmp_path / "mine", *corpus(blind), code=1)
    for field in ("authors", "contact", "code", "licence"):
        assert f"] {field}: " in done.stdout
    assert done.stdout.startswith(f"{tmp_path / 'mine'}: rejected, 4 problem(s):\n")
    described(tmp_path / "mine")
    fine = run("leaderboard", "check", tmp_path / "mine", *corpus(blind))
    assert "mine: fine: median, 1 tasks, sha256 " in fine.stdout


def test_problems_of_several_are_told_at_once_also_to_machines(blind, mine, tmp_path):
    good = shutil.copytree(mine, tmp_path / "good")
    path = table_path(mine, TASK)
    pl.read_parquet(path).with_columns(prediction=pl.lit(97.0)).write_parquet(path)
    done = run("leaderboard", "check", mine, good, *corpus(blind), "--json", code=1)
    bad, fine = json.loads(done.stdout)
    assert [problem["code"] for problem in bad["problems"]] == ["bad_value"]
    assert "percent" in bad["problems"][0]["mend"]
    assert (fine["problems"], fine["name"]) == ([], "sotl_e")
    assert len(fine["sha256"]) == 64


def test_what_is_added_is_the_files_and_nothing_else(blind, mine, tmp_path):
    place = tmp_path / "all"
    run("leaderboard", "add", mine, *corpus(blind), "--submissions", place)
    assert contents(place) == {f"mine/{k}": v for k, v in contents(mine).items()}
    run("leaderboard", "add", mine, *corpus(blind), "--submissions", place)
    assert set(contents(place)) == {f"mine/{name}" for name in contents(mine)}


def test_other_predictions_take_its_place_only_when_told_to(blind, mine, tmp_path):
    place = ("--submissions", tmp_path / "all")
    run("leaderboard", "add", mine, *corpus(blind), *place)
    path = table_path(mine, TASK)
    table = pl.read_parquet(path).with_columns(prediction=pl.lit(0.5, pl.Float32))
    table.write_parquet(path)
    done = run("leaderboard", "add", mine, *corpus(blind), *place, code=2)
    assert "holds other predictions" in done.stderr
    run("leaderboard", "add", mine, *corpus(blind), *place, "--replace")
    assert contents(tmp_path / "all") == {
        f"mine/{name}": data for name, data in contents(mine).items()
    }


def test_a_corpus_named_twice_is_one_corpus(blind, mine):
    twice = (*corpus(blind), *corpus(blind))
    done = run("leaderboard", "score", mine, *twice, "--json")
    assert {row["task"] for row in json.loads(done.stdout)["scores"]} == {
        TASK,
        "curve/w20",
    }


def test_two_of_one_name_cannot_stand_on_a_board(blind, mine, predicted, tmp_path):
    place = ("--submissions", tmp_path / "all")
    run("leaderboard", "add", mine, *corpus(blind), *place)
    other = shutil.copytree(predicted["last_value", False], tmp_path / "other")
    described(other, name="SOTL_E")
    done = run("leaderboard", "add", other, *corpus(blind), *place, code=1)
    assert (
        "[bad_name] the submission mine has the same name on this board" in done.output
    )
    hidden = predicted["sotl_e", True]  # another board
    run("leaderboard", "add", hidden, *corpus(blind), *place)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Mine", "[bad_name] the folder's name 'Mine' is not 1 to 60 of"),
        ("con", "Windows"),
    ],
)
def test_s08_a_folder_has_a_plain_name(blind, mine, tmp_path, name, said):
    folder = mine.rename(tmp_path / "x")
    folder = folder.rename(tmp_path / name)
    done = run("leaderboard", "check", folder, *corpus(blind), code=1)
    assert said in done.output


def test_another_corpus_has_no_board(whole, mine):
    done = run("leaderboard", "check", mine, *corpus(whole), code=1)
    assert (
        "[wrong_corpus] there is no board of public runs of this corpus" in done.output
    )


def test_without_a_corpus_the_error_says_how_to_name_one(mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("leaderboard", "check", mine, code=2)
    assert "holds no corpus: name one with --corpus" in done.stderr
    with pytest.raises(RuncastError, match=r"nowhere"):
        run("leaderboard", "check", mine, "--corpus", tmp_path / "nowhere")
