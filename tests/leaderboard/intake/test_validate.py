import polars as pl
import pytest

from leaderboard.intake.validate import validate
from leaderboard.problems import Rejected
from tests.leaderboard.intake.made import (
    FINAL,
    IDS,
    NAMES,
    a_board,
    a_card,
    a_submission,
    answers,
    as_csv,
    as_parquet,
    codes,
    plain,
    problems_of,
    toml,
)


def test_a_submission_that_is_in_order_is_taken():
    valid = validate(a_submission(), a_board())
    assert valid.submission.name == "My forest"
    assert list(valid.tables) == list(NAMES)
    for name in NAMES:
        assert valid.tables[name].equals(answers(name))
    assert valid.notes == (
        "curve/w20: 3 of 48 rows are declined",
        "diverge/w04: 1 of 12 rows are declined",
        "final-acc/w20: 1 of 12 rows are declined",
    )


def test_s02_the_digest_knows_neither_order_nor_format():
    one = validate(a_submission(), a_board())
    files = a_submission(final=None, curve=None)
    files["predictions/final-acc/w20.parquet"] = as_parquet(
        answers(NAMES[2]).sample(fraction=1, shuffle=True, seed=3)
    )
    files["predictions/curve/w20.csv"] = as_csv(answers(NAMES[0]).reverse())
    assert validate(files, a_board()).sha256 == one.sha256
    other = a_submission(final=plain())
    assert validate(other, a_board()).sha256 != one.sha256


def test_everything_wrong_with_all_files_is_told_at_once_and_in_order():
    files = a_submission(
        card=toml(name="<b>", tasks=a_card()["tasks"]),
        final=plain(prediction=["2"] * 12),
        diverge=b"no",
    )
    found = problems_of(files)
    assert [(problem.where, problem.code) for problem in found] == [
        ("submission.toml", "bad_name"),
        ("predictions/diverge/w04.parquet", "bad_format"),
        (FINAL, "bad_value"),
    ]
    assert found == problems_of(dict(reversed(files.items())))


@pytest.mark.parametrize(
    "corpus",
    [
        {"name": "other", "version": "1.0.0", "sha256": "ab" * 32},
        {"name": "toy", "version": "1.0.1", "sha256": "ab" * 32},
        {"name": "toy", "version": "1.0.0", "sha256": "ac" * 32},
        {"name": "toy", "version": "1.0.0", "sha256": "ab" * 32, "hidden": True},
    ],
)
def test_another_corpus_is_refused(corpus):
    assert codes(a_submission(card=toml(corpus=corpus))) == ["wrong_corpus"]


def test_public_answers_are_no_hidden_ones():
    assert codes(a_submission(), a_board(hidden=True)) == ["wrong_corpus"]


def test_another_version_of_a_task_is_refused():
    tasks = a_card()["tasks"] | {NAMES[2]: {"version": "0"}}
    (problem,) = problems_of(a_submission(card=toml(tasks=tasks)))
    assert problem.code == "wrong_version"


def test_tasks_and_tables_belong_together():
    tasks = {NAMES[0]: {"version": "1"}, "final-acc/w21": {"version": "1"}}
    files = a_submission(card=toml(tasks=tasks), curve=None)
    files["predictions/nothing.csv"] = b"id\n"
    found = [(p.code, p.where) for p in problems_of(files)]
    assert found == [
        ("missing_rows", "submission.toml"),
        ("bad_card", "submission.toml"),
        ("bad_path", "predictions/diverge/w04.parquet"),
        ("bad_path", FINAL),
        ("bad_path", "predictions/nothing.csv"),
    ]
    assert problems_of(files)[1].mend == "did you mean final-acc/w20?"


def test_two_tables_of_a_task_are_refused():
    files = a_submission()
    files["predictions/final-acc/w20.parquet"] = as_parquet(answers(NAMES[2]))
    assert codes(files) == ["bad_path"]


def test_without_a_card_tables_are_checked_all_the_same():
    assert codes(a_submission(card=None, final=b"")) == ["bad_card", "bad_format"]
    with pytest.raises(Rejected, match=r"submission.toml: \[bad_card\] is missing"):
        validate({}, a_board())


@pytest.mark.parametrize(
    "name",
    ["predictions/../x.csv", "/etc/passwd", "predictions/a\0.csv", "x.csv", "run.py",
     "predictions\\x.csv", "predictions//x.csv", "predictions/x.pkl"],
)  # fmt: skip
def test_s08_names_that_are_none_are_refused(name):
    (problem,) = problems_of(a_submission() | {name: b""})
    assert (problem.code, problem.where) == ("bad_path", ".")


def test_s08_a_task_is_no_path():
    tasks = a_card()["tasks"] | {"../../etc": {"version": "1"}}
    (problem,) = problems_of(a_submission(card=toml(tasks=tasks)))
    assert problem.code == "bad_card"


def test_s22_constants_and_copies_are_taken_and_told():
    constant = a_submission(final=plain(prediction=["0.5"] * len(IDS)))
    valid = validate(constant, a_board())
    assert "final-acc/w20: all predictions are 0.5" in valid.notes
    copied = constant | {"submission.toml": toml(name="Another", authors=["B"])}
    assert validate(copied, a_board()).sha256 == valid.sha256


def test_tasks_that_are_left_out_are_noted():
    tasks = {NAMES[2]: {"version": "1"}}
    files = a_submission(card=toml(tasks=tasks), curve=None, diverge=None)
    valid = validate(files, a_board())
    assert valid.notes[-1] == "2 of 3 tasks are not answered"


def test_files_are_named_before_they_are_read():
    names = []
    validate(a_submission(), a_board(), names.append)
    assert names == sorted(a_submission(), key=lambda name: name != "submission.toml")


def test_numbers_are_float32_whatever_they_were():
    table = answers(NAMES[1]).cast({pl.Float32: pl.Float64})
    valid = validate(a_submission(diverge=as_parquet(table)), a_board())
    assert valid.tables[NAMES[1]].equals(answers(NAMES[1]))
