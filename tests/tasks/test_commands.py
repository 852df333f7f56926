"""The commands on tasks, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import RuncastError
from harness.folders import CACHE_DIR_VARIABLE
from tasks.base import TASKS
from tasks.commands import predictor_part
from tasks.submission import read_submission, table_path

REPOSITORY = Path(__file__).resolve().parents[2]
TASK = "final-acc/w20"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep what is kept for later in a folder of the test."""
    monkeypatch.setenv(CACHE_DIR_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def predicted(corpus, out, predictor="median", *more):
    where = ("--corpus", corpus.folder, "--out", out)
    return run("predict", *where, "--predictor", predictor, "--task", TASK, *more)


def test_tasks_are_listed_with_their_questions():
    result = run("tasks")
    for name in TASKS.names():
        assert f"{name}: {TASKS.get(name)().question}" in result.stdout


def test_with_a_corpus_ceilings_and_reasons_are_told(corpus):
    rows = json.loads(run("tasks", "--corpus", corpus.folder, "--json").stdout)
    by_name = {row["task"]: row for row in rows}
    assert set(by_name) == set(TASKS.names())
    asked = by_name[TASK]
    assert asked["unavailable"] is None
    assert (asked["runs"], asked["families"]) == (17, 6)
    assert asked["ceiling"] > 0
    assert "lambda_1" in by_name["plateau/w30"]["unavailable"]
    text = run("tasks", "--corpus", corpus.folder).stdout
    assert "plateau/w30: cannot be asked: " in text
    assert max(map(len, text.splitlines()[-20:])) <= 80


def test_an_unknown_task_is_told_with_its_neighbour():
    result = run("tasks", "--task", "final-acc/w2", code=2)
    assert "no task is called 'final-acc/w2'; did you mean 'final-acc/w20'" in (
        result.stderr
    )


def test_predictions_are_scored_against_the_corpus(corpus, tmp_path):
    out = tmp_path / "mine"
    done = json.loads(predicted(corpus, out, "sotl_e", "--json").stdout)
    assert done["tasks"][TASK]["examples"] == 17
    rows = json.loads(run("score", out, "--corpus", corpus.folder, "--json").stdout)
    main = {row["predictor"]: row for row in rows if row["primary"]}
    assert set(main) == {"sotl_e", "median"}
    assert main["median"]["skill"] == 0
    assert main["median"]["cost_passes"] == 0  # it reads no curve
    text = run("score", out, "--corpus", corpus.folder).stdout
    assert f"{TASK}@1, mae in pp: 17 runs, 6 families" in text


def test_scores_are_written_as_csv_and_parquet(corpus, tmp_path):
    out = tmp_path / "mine"
    predicted(corpus, out)
    tables = []
    for name in ("scores.csv", "scores.parquet"):
        path = tmp_path / name
        run("score", out, "--corpus", corpus.folder, "--out", path)
        read = pl.read_csv if path.suffix == ".csv" else pl.read_parquet
        tables.append(read(path)["value"].to_list())
    assert tables[0] == pytest.approx(tables[1])
    result = run("score", out, "--corpus", corpus.folder, "--out", "x.txt", code=2)
    assert "expected a file ending in .parquet or .csv" in result.stderr


def test_the_truth_is_kept_and_gives_the_same_scores(corpus, tmp_path, cache):
    out = tmp_path / "mine"
    predicted(corpus, out, "sotl_e")
    first = run("score", out, "--corpus", corpus.folder, "--json").stdout
    kept = sorted(cache.rglob("*.parquet"))
    assert kept
    again = run("score", out, "--corpus", corpus.folder, "--json").stdout
    assert again == first
    kept[0].write_bytes(b"PAR1 nothing of use")  # damaged: made anew
    assert run("score", out, "--corpus", corpus.folder, "--json").stdout == first


def test_the_order_of_rows_and_their_form_change_no_score(corpus, tmp_path):
    out = tmp_path / "mine"
    predicted(corpus, out, "sotl_e")
    before = run("score", out, "--corpus", corpus.folder, "--json").stdout
    path = table_path(out, TASK)
    table = pl.read_parquet(path)
    path.unlink()
    table.reverse().write_csv(path.with_suffix(".csv"))
    after = run("score", out, "--corpus", corpus.folder, "--json").stdout
    one, two = (
        [row | {"predictions_sha256": None} for row in json.loads(text)]
        for text in (before, after)
    )
    assert one == two


def test_wrong_predictions_are_refused_with_all_reasons(corpus, tmp_path):
    out = tmp_path / "mine"
    predicted(corpus, out)
    path = table_path(out, TASK)
    table = pl.read_parquet(path)
    bad = pl.concat([table[1:], table[-1:]])
    bad.write_parquet(path)
    result = run("score", out, "--corpus", corpus.folder, code=2)
    assert "2 problem(s) with predictions" in result.stderr
    assert "missing" in result.stderr
    assert "there more than once" in result.stderr


def test_answers_about_another_corpus_are_refused(corpus, tmp_path):
    out = tmp_path / "mine"
    predicted(corpus, out)
    other = REPOSITORY / "corpora" / "t8-digits"
    with pytest.raises(RuncastError, match="answers about tasks-corpus"):
        run("score", out, "--corpus", other)


def test_tasks_are_added_to_a_submission_but_not_another_predictor(corpus, tmp_path):
    out = tmp_path / "mine"
    predicted(corpus, out)
    where = ("--corpus", corpus.folder, "--out", out)
    run("predict", *where, "--predictor", "median", "--task", "final-acc/w50")
    assert set(read_submission(out).tasks) == {TASK, "final-acc/w50"}
    result = run("predict", *where, "--predictor", "sotl_e", "--task", TASK, code=2)
    assert "holds answers of median" in result.stderr


def test_a_task_that_cannot_be_asked_is_an_error_if_named_else_told(corpus, tmp_path):
    where = ("--corpus", corpus.folder, "--predictor", "median")
    with pytest.raises(RuncastError, match="plateau/w30 cannot be asked: "):
        run("predict", *where, "--out", tmp_path / "a", "--task", "plateau/w30")
    done = run("predict", *where, "--out", tmp_path / "b", "--json")
    assert "plateau/w30" in json.loads(done.stdout)["not_asked"]


def test_s14_code_of_the_users_own_is_run_with_a_warning(corpus, tmp_path):
    where = ("--corpus", corpus.folder, "--task", TASK)
    own = ("--predictor", "tests.tasks.asking:Recorder", "--out", tmp_path / "own")
    assert (
        "Recorder runs as you, with all that you may do"
        in run("predict", *where, *own).stderr
    )
    known = ("--predictor", "median", "--out", tmp_path / "known")
    assert "runs as you" not in run("predict", *where, *known).stderr


def test_a_crash_at_one_task_is_told_and_the_others_are_answered(corpus, tmp_path):
    where = ("--corpus", corpus.folder, "--out", tmp_path / "mine")
    picky = ("--predictor", "tests.tasks.asking:Picky")
    done = json.loads(run("predict", *where, *picky, "--json", code=1).stdout)
    assert "rank/pairs/w20" in done["failed"]
    assert (
        "Picky failed at rank/pairs/w20, fold 1 of 5"
        in (done["failed"]["rank/pairs/w20"])
    )
    assert "diverge/w04" not in done["failed"]
    assert set(read_submission(tmp_path / "mine").tasks) == set(done["tasks"])
    with pytest.raises(RuncastError, match="Traceback"):
        run("predict", *where, *picky, "--task", "rank/pairs/w20")


def test_arguments_are_numbers_words_and_lists():
    part = predictor_part("p", ["k=5", "rate=0.5", "kind=word", "levels=[1, 2]"])
    assert part.params == {"k": 5, "rate": 0.5, "kind": "word", "levels": (1, 2)}
    with pytest.raises(ValueError, match="--set k: expected NAME=VALUE"):
        predictor_part("p", ["k"])


def test_an_unknown_predictor_is_told(corpus, tmp_path):
    where = ("--corpus", corpus.folder, "--out", tmp_path / "x")
    result = run("predict", *where, "--predictor", "sotl", code=2)
    assert "no predictor is called 'sotl'; did you mean 'sotl_e'" in result.stderr


def test_everything_is_reproduced_and_written(corpus, tmp_path):
    out = tmp_path / "all"
    where = ("--corpus", corpus.folder, "--out", out, "--resamples", "50")
    chosen = ("--task", TASK, "--task", "prune/w20", "--task", "plateau/w30")
    few = ("--predictor", "median", "--predictor", "sotl_e", "--predictor", "zero")
    done = json.loads(
        run("reproduce", *where, *chosen, *few, "--jobs", "1", "--json").stdout
    )
    assert done["failed"] == []
    assert set(done["unavailable"]) == {"plateau/w30"}
    assert set(done["canary_p"]) == {TASK, "prune/w20"}
    scores = pl.read_parquet(out / "scores.parquet")
    of_task = scores.filter(pl.col("task") == TASK)
    assert set(of_task["predictor"]) == {"median", "sotl_e", "zero"}
    of_task = scores.filter(pl.col("task") == "prune/w20")
    assert set(of_task["predictor"]) == {"median", "sotl_e", "zero", "random_order"}
    declined = scores.filter(pl.col("predictor") == "zero")
    assert set(declined["status"]) == {"declined"}
    table = pl.read_parquet(out / "predictions" / "final-acc" / "w20.parquet")
    assert table["predictor"].value_counts()["count"].to_list() == [17, 17, 17]
    for name in done["files"]:
        assert (out / name).stat().st_size > 0
    assert {"figures/skill.png", "figures/cost.png", "scores.md"} <= set(done["files"])


@pytest.mark.slow
def test_a_reproduction_is_the_same_again_and_with_more_processes(corpus, tmp_path):
    tables = []
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        where = ("--corpus", corpus.folder, "--out", out, "--resamples", "50")
        run(
            "reproduce", *where, "--task", TASK, "--task", "final-acc/w04",
            "--predictor", "hyper_ridge", "--jobs", jobs,
        )  # fmt: skip
        tables.append(pl.read_parquet(out / "scores.parquet"))
    assert tables[0].equals(tables[1])


def test_a_predictor_that_crashes_is_told_and_the_others_are_scored(corpus, tmp_path):
    out = tmp_path / "all"
    where = ("--corpus", corpus.folder, "--out", out, "--resamples", "50")
    crashing = "tests.tasks.asking:Crashing"
    result = run(
        "reproduce", *where, "--task", TASK, "--predictor", crashing, "--jobs", 1,
        code=1,
    )  # fmt: skip
    assert "Crashing failed at final-acc/w20, fold 1 of 5" in result.output
    scores = pl.read_parquet(out / "scores.parquet")
    assert set(scores["predictor"]) == {"median"}


def test_commands_on_tasks_do_not_load_torch(corpus):
    code = (
        "import sys; from harness.cli import main; "
        f"sys.argv = ['harness', 'tasks', '--corpus', {str(corpus.folder)!r}]; "
        "\ntry: main()\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "False"
