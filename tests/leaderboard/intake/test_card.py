import time

import pytest
import tomli_w

from leaderboard.intake.card import parse_card
from leaderboard.problems import Rejected
from tasks.submission import read_submission
from tests.leaderboard.intake.made import a_card, toml

DEEP = "x = " + "[" * 30 + "]" * 30


def refused(data):
    try:
        parse_card(data)
    except Rejected as rejected:
        return rejected.problems
    return ()


def test_a_card_is_read_as_the_tasks_read_it(tmp_path):
    (tmp_path / "submission.toml").write_bytes(toml())
    assert parse_card(toml()) == read_submission(tmp_path)
    assert parse_card(b"\xef\xbb\xbf" + toml()) == read_submission(tmp_path)


@pytest.mark.parametrize(
    "field", ["name", "authors", "contact", "code", "licence", "predictor", "corpus",
              "tasks"]
)  # fmt: skip
def test_what_a_leaderboard_needs_must_be_there(field):
    problems = refused(toml(**{field: None}))
    assert len(problems) == 1
    assert field in problems[0].what or field == "tasks"
    assert problems[0].code == "bad_card"


def test_everything_wrong_is_told_at_once():
    card = a_card(name="<b>", code="http://x", licence="!", extra=1, authors=[])
    card["predictor"] = {"nam": "x", "reads_settings": 1, "reads_curves": "yes"}
    card["corpus"] = {"name": "toy", "version": 1, "sha256": "AB" * 32, "hidden": "no"}
    text = "\n".join(p.what + p.mend for p in refused(tomli_w.dumps(card).encode()))
    for part in ("name:", "code:", "licence:", "'extra'", "authors:",
                 "did you mean name",
                 "predictor.reads_settings: '1', expected true or false",
                 "predictor.reads_curves: text", "corpus.version: '1', expected text",
                 "corpus.sha256:", "corpus.hidden: text"):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"authors": ["A"] * 21}, "21 entries"),
        ({"authors": ["A", "A"]}, "twice"),
        ({"authors": [1]}, "expected text"),
        ({"authors": "A"}, "expected a list"),
        ({"name": True}, "expected text"),
        ({"description": "a\nb"}, "one line"),
        ({"description": "a" * 1001}, "1001 characters"),
        ({"description": "\u202e"}, "one line"),
        ({"licence": "MIT; rm -rf"}, "SPDX"),
        ({"compute": {"fit_s": float("nan")}}, "seconds"),
        ({"compute": {"fit_s": float("inf")}}, "seconds"),
        ({"compute": {"fit_s": -1}}, "seconds"),
        ({"compute": {"fit_s": True}}, "seconds"),
        ({"compute": []}, "no table"),
        ({"predictor": 3}, "no table"),
        ({"tasks": {"../x": {"version": "1"}}}, "names no task"),
        ({"tasks": {"a" * 200: {"version": "1"}}}, "names no task"),
        ({"tasks": {"x": {"version": 1}}}, "expected text"),
        ({"tasks": {"x": {}}}, "is missing"),
        ({"tasks": {}}, "no task"),
    ],
)
def test_fields_are_of_their_type_and_range(changes, what):
    problems = refused(toml(**changes))
    assert len(problems) == 1
    assert what in problems[0].what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"x = nan", "not finite"),
        (b"x = [1, inf]", "not finite"),
        (b"x = 2026-11-22", "a date"),
        (b"x = 0x" + b"f" * 5000, "64 bits"),
        (b"x = " + b"9" * 5000, "not TOML"),
        (b"x = {a = {b = {c = {d = {e = {f = {g = 1}}}}}}}", "8 deep"),
        (b"\n".join(b"k%d = 1" % i for i in range(65)), "68 keys"),
        (b"x = [" + b"1," * 257 + b"]", "257 entries"),
    ],
)
def test_s11_arguments_are_plain_data_within_limits(text, what):
    card = tomli_w.dumps(a_card()).replace(
        "[predictor.arguments]", "[predictor.arguments]\n" + text.decode(), 1
    )
    problems = refused(card.encode())
    assert len(problems) == 1
    assert what in problems[0].what


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"name = 'a'\nname = 'b'", "bad_format"),
        (b"[a]\n[a]", "bad_format"),
        (b"a: &a [x]\nb: *a\n<<: *a", "bad_format"),
        (b'{"name": "x"}', "bad_format"),
        (b"\xff\xfen\0a\0", "bad_format"),
        (b"name = '\xff'", "bad_format"),
        (b"\x80\x04\x95", "bad_format"),
        (b"PK\x03\x04", "bad_format"),
        (DEEP.encode(), "too_large"),
        (b"x = " + b"[" * 60_000, "too_large"),
        (b"x = " + b"{a=" * 9_000, "too_large"),
        (b"a" + b".a" * 30_000 + b" = 1", "too_large"),
        (b'a."' + b'x"."\\""."' * 5_000 + b'" = 1', "too_large"),
        (b"[" + b"a . " * 9_000 + b"a]", "too_large"),
        (b"a" * 65_000, "bad_format"),
        (b'"' + b'\\"' * 32_000, "bad_format"),
        (b"a=" + b" " * 65_000, "bad_format"),
        (b"#" * 65_537, "too_large"),
        (b"", "bad_card"),
    ],
)
def test_s11_cards_that_are_no_small_toml_are_refused(data, code):
    started = time.process_time()
    problems = refused(data)
    assert {problem.code for problem in problems} == {code}
    assert time.process_time() - started < 5  # one of these took the parser a minute


def test_s11_types_are_exact():
    """A number is no text, and the text "true" is no truth value."""
    predictor = a_card()["predictor"] | {"reads_settings": "true", "reads_curves": 0}
    assert [p.what for p in refused(toml(predictor=predictor))] == [
        "predictor.reads_settings: text, expected true or false",
        "predictor.reads_curves: '0', expected true or false",
    ]


def test_what_is_not_known_is_told_with_the_nearest_name():
    (problem,) = refused(toml(licens="MIT"))
    assert problem.mend == "did you mean licence?"
    with pytest.raises(Rejected, match=r"\[bad_card\] 'licens' is not known"):
        parse_card(toml(licens="MIT"))
