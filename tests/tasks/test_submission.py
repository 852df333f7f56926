import dataclasses

import polars as pl
import pytest

from harness.errors import CorpusError
from harness.spec import Part
from tasks.answering import answer
from tasks.prediction import Charge
from tasks.question import ask
from tasks.submission import (
    Submission,
    read_predictions,
    read_submission,
    table_path,
    write_answers,
)
from tests.tasks.asking import task


@pytest.fixture
def written(corpus, tmp_path):
    """A folder with the answers of the median to two tasks."""
    start = Submission(
        name="The middle",
        predictor=Part("median"),
        charge=Charge(signals=(), settings=False),
        corpus="",
        corpus_sha256="",
        tasks={},
        runcast="",
        corpus_version="",
        seconds={},
    )
    tables = {}
    for name in ("test/w40", "other"):
        question, _ = ask(corpus, dataclasses.replace(task(), name=name))
        answered = answer(question, start.predictor)
        start = write_answers(tmp_path, start, question, answered)
        tables[name] = answered.table
    return tmp_path, start, tables


def test_what_is_written_is_read(written, corpus):
    folder, submission, tables = written
    assert read_submission(folder) == _rounded(submission)
    assert submission.tasks == {"other": "1", "test/w40": "1"}
    assert submission.corpus_sha256 == corpus.data_sha256
    for name, table in tables.items():
        assert read_predictions(folder, name).equals(table)


def _rounded(submission):
    seconds = {k: round(v, 3) for k, v in submission.seconds.items()}
    return dataclasses.replace(submission, seconds=seconds)


def test_a_table_may_be_written_by_hand_as_csv(written):
    folder, _, tables = written
    path = table_path(folder, "test/w40")
    path.unlink()
    tables["test/w40"].write_csv(path.with_suffix(".csv"))
    found = read_predictions(folder, "test/w40")
    assert found["id"].equals(tables["test/w40"]["id"])
    assert found["prediction"].cast(pl.Float32).equals(tables["test/w40"]["prediction"])


def test_two_tables_or_none_of_a_task_are_refused(written):
    folder, _, tables = written
    tables["other"].write_csv(table_path(folder, "other", ".csv"))
    with pytest.raises(CorpusError, match=r"stands there twice, as \.parquet and"):
        read_predictions(folder, "other")
    with pytest.raises(CorpusError, match=r"none\.parquet is missing"):
        read_predictions(folder, "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"is no submission: submission\.toml is missing"),
        ("name = ", "is not TOML in UTF-8"),
        ('name = "x"', "lacks or misuses 'predictor'"),
        ('name = "x"\npredictor = 3', "lacks or misuses"),
    ],
)
def test_a_damaged_card_is_told(tmp_path, text, message):
    if text is not None:
        (tmp_path / "submission.toml").write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_submission(tmp_path)
