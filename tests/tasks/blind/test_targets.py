"""Hidden runs are answered by everybody and scored by whoever holds the targets."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.errors import CorpusError, DataError
from harness.spec import Part
from tasks.base import TASKS
from tasks.blind.targets import CARD, HiddenTargets
from tasks.commands import PredictRequest, predict, score
from tasks.listing import list_tasks, tasks_text
from tasks.submission import read_predictions, read_submission, table_path
from tests.files import contents
from tests.tasks.blind.making import TASKS as ASKED


def predicted(folder: Path, out: Path, predictor="last_value", **changes):
    request = PredictRequest(
        corpus=folder, part=Part(predictor), out=out, tasks=None, name="mine"
    )
    return predict(dataclasses.replace(request, **changes))


@pytest.fixture(scope="module")
def answers(made, tmp_path_factory) -> Path:
    """A submission about all hidden runs."""
    out = tmp_path_factory.mktemp("answers") / "mine"
    predicted(made.folder, out)
    return out


def test_all_tasks_that_hide_runs_are_answered(made, answers):
    submission = read_submission(answers)
    assert submission.hidden
    assert tuple(submission.tasks) == ASKED
    for name in ASKED:
        table = read_predictions(answers, name)
        asked, _ = made.tasks[name]
        assert table["id"].n_unique() == asked
        assert table["id"].str.starts_with("x-").all()


def test_scores_are_those_against_the_ends_of_the_hidden_runs(made, answers, whole):
    rows = score(answers, made.folder, targets=made.targets, resamples=20)
    (mine,) = rows.filter(
        task="final-acc/w04", predictor="mine", metric="mae"
    ).to_dicts()
    table = read_predictions(answers, "final-acc/w04")
    truth = made.made.link.join(whole.runs(), on="run_id")
    both = table.join(truth, on="id").drop_nulls("final.test_accuracy")
    errors = (both["prediction"] - both["final.test_accuracy"]).abs()
    assert mine["n"] == len(both) == made.tasks["final-acc/w04"][1]
    assert mine["value"] == pytest.approx(errors.mean(), rel=1e-6)
    assert mine["corpus"] == "full-blind"
    assert set(rows["task"]) == set(ASKED)
    assert (rows.filter(predictor="last_value")["status"] == "ok").any()


def unscored(made) -> str:
    """Return a hidden run that the curve task asks for and does not score."""
    told = HiddenTargets.open(made.targets).sealed(TASKS.get("curve/w20")())
    (name, *_) = set(told.asked["id"]) - set(told.answers.ids)
    return name


def test_runs_without_a_target_are_asked_about_and_not_scored(made, answers):
    name = unscored(made)
    run = made.made.runs().filter(id=name)
    assert run["status"][0] == "diverged"
    assert name in set(read_predictions(answers, "curve/w20")["id"])
    asked, counted = made.tasks["curve/w20"]
    assert counted < asked


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t, bad: t.filter(pl.col("id") != bad), r"row\(s\) \(x-.* missing"),
        (lambda t, bad: t.with_columns(
            prediction=pl.when(pl.col("id") == bad).then(-1.0).otherwise("prediction")
        ), r"with a value that is not positive"),
    ],
    ids=["missing", "negative"],
)  # fmt: skip
@pytest.mark.parametrize("is_scored", [False, True])
def test_no_error_tells_which_runs_are_not_scored(
    made, answers, tmp_path, change, match, is_scored
):
    table = read_predictions(answers, "curve/w20")
    bad = unscored(made)
    if is_scored:
        (bad, *_) = set(table["id"]) - {bad}
    copy = Path(shutil.copytree(answers, tmp_path / "copy"))
    change(table, bad).write_parquet(table_path(copy, "curve/w20"))
    with pytest.raises(ValueError, match=match):
        score(copy, made.folder, tasks=["curve/w20"], targets=made.targets)


def test_only_who_holds_the_targets_can_score(made, answers):
    with pytest.raises(ValueError, match=r"only whoever holds their targets .*--tar"):
        score(answers, made.folder)


def test_public_families_can_be_answered_and_scored_by_everybody(made, tmp_path):
    out = tmp_path / "public"
    predicted(made.folder, out, public=True, tasks=["final-acc/w04"])
    assert not read_submission(out).hidden
    rows = score(out, made.folder, resamples=20)
    public = Corpus.open(made.folder).runs().drop_nulls("final.test_accuracy")
    assert rows["n"].unique().to_list() == [len(public)]
    with pytest.raises(ValueError, match=r"score it without --targets"):
        score(out, made.folder, targets=made.targets)
    with pytest.raises(ValueError, match=r"holds answers for public runs, these are f"):
        predicted(made.folder, out)


def test_a_task_that_hides_no_runs_is_told(made, tmp_path):
    with pytest.raises(DataError, match=r"prune/w20 cannot be asked: full-blind hides"):
        predicted(made.folder, tmp_path / "x", tasks=["prune/w20"])
    found = HiddenTargets.open(made.targets)
    with pytest.raises(DataError, match=r"has no targets of prune/w20 \(it has: curve"):
        found.sealed(TASKS.get("prune/w20")())


@pytest.mark.parametrize(
    "name", ["linking.parquet", "tasks/curve/w20/sealed.json", CARD]
)
def test_a_changed_byte_of_the_targets_is_refused(made, tmp_path, name):
    copy = Path(shutil.copytree(made.targets, tmp_path / "copy"))
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(CorpusError, match=r"changed|holds no targets"):
        HiddenTargets.open(copy)


def test_a_missing_file_and_a_missing_folder_are_refused(made, tmp_path):
    copy = Path(shutil.copytree(made.targets, tmp_path / "copy"))
    (copy / "linking.parquet").unlink()
    with pytest.raises(CorpusError, match=r"linking.parquet is missing or has changed"):
        HiddenTargets.open(copy)
    with pytest.raises(CorpusError, match=r"holds no targets of a blind corpus"):
        HiddenTargets.open(tmp_path)


def test_targets_of_another_corpus_are_refused(made):
    found = HiddenTargets.open(made.targets)
    found.belongs_to(Corpus.open(made.folder).data_sha256, "mine")
    with pytest.raises(CorpusError, match=r"targets of full-blind .*mine is of anoth"):
        found.belongs_to("0" * 64, "mine")


def test_nothing_of_the_targets_is_in_the_public_folder(made):
    public = b"".join(contents(made.folder).values())
    manifest = HiddenTargets.open(made.targets).manifest
    for entry in manifest["files"].values():
        assert entry["sha256"].encode() not in public
    assert manifest["manifest_sha256"].encode() not in public
    assert set(contents(made.folder)).isdisjoint(contents(made.targets))


def test_the_list_of_tasks_tells_hidden_runs(made):
    rows = list_tasks(Corpus.open(made.folder), ["final-acc/w04", "prune/w20"])
    assert [row["hidden"] for row in rows] == [made.tasks["final-acc/w04"][0], 0]
    assert "hidden" in tasks_text(rows).splitlines()[0]


def test_the_reference_is_the_same_as_by_hand(made, blind):
    task = TASKS.get("final-acc/w04")()
    told = HiddenTargets.open(made.targets).sealed(task)
    public = blind.runs()["final.test_accuracy"].drop_nulls().median()
    np.testing.assert_allclose(told.reference["prediction"], public, rtol=1e-6)
