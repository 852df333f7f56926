"""The page about the leaderboard says what the code does."""

import re
import tomllib
from pathlib import Path

import polars as pl
import pytest

from harness.corpus import Corpus
from leaderboard import pull
from leaderboard.boards import public_board
from leaderboard.hidden import halves, ladder, ledger
from leaderboard.intake import limits
from leaderboard.intake.validate import validate
from leaderboard.problems import CODES
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TASK = "final-acc/w20"


@pytest.fixture(scope="module")
def board():
    return public_board(Corpus.open(ROOT / "corpora" / "t4-digits"))


def block(kind):
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return found


def test_every_code_of_a_problem_is_on_the_page_with_its_meaning():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", PAGE, re.MULTILINE))
    assert rows == CODES


def test_the_example_by_hand_is_accepted(board):
    header, *rows = block("csv").splitlines()
    asked = board.tasks[TASK].examples["id"].to_list()
    assert [row.split(",")[0] for row in rows] == asked[: len(rows)]
    table = [header, *rows, *(f"{name},0.9," for name in asked[len(rows) :])]
    files = {
        "submission.toml": block("toml").encode(),
        f"predictions/{TASK}.csv": "\n".join(table).encode(),
    }
    found = validate(files, board)
    assert found.submission.name == "My forest"
    assert found.tables[TASK]["prediction"].null_count() == 1
    assert found.tables[TASK].filter(pl.col("id") == asked[1])["reason"].to_list() == [
        "no minimum yet"
    ]


def test_the_card_of_the_example_is_of_the_corpus_here(board):
    card = tomllib.loads(block("toml"))["corpus"]
    assert card == {
        "name": board.corpus,
        "version": board.version,
        "sha256": board.sha256,
    }


def test_figures_are_those_of_the_code():
    assert f"{ledger.A_DAY} scored submissions a day (UTC) and " in PAGE
    assert f"and {ledger.A_VERSION} a version" in PAGE
    assert f"by more than {ladder.ETA}, rounded to {ladder.ETA}" in PAGE
    assert f"{limits.FILE_BYTES // 10**6} MB a file" in PAGE
    assert f"{limits.SUBMISSION_BYTES // 10**6} MB in all" in PAGE
    assert halves.FEWEST == 2


def test_s13_s14_the_pages_say_who_runs_a_predictor():
    page, guide = (" ".join(text.split()) for text in (PAGE, GUIDE))
    assert "Maintainers never run a predictor." in page
    assert "run only code that you trust" in page
    assert "only public runs can be scored" in page
    assert "never run a predictor" in guide


def test_s14_the_command_that_runs_code_says_so(command_line):
    code, said, _ = command_line("predict", "--help")
    assert code == 0
    assert "only run code that you trust" in " ".join(said.split())


def test_s14_nothing_here_runs_or_loads_a_predictor():
    """Neither by name nor by unpickling; baselines enter by the same door."""
    forbidden = re.compile(
        r"import_module|make_predictor|pickle|joblib|\beval\(|exec\("
    )
    found = [
        (path.name, hit)
        for path in [
            *(ROOT / "leaderboard" / "hidden").glob("*.py"),
            Path(pull.__file__),
        ]
        for hit in forbidden.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_s25_times_are_shown_as_self_reported():
    (row,) = [r for r in PAGE.splitlines() if r.startswith("| time to fit")]
    assert "self-reported" in row
    assert "used in no score" in row


def test_the_page_is_short_and_its_links_lead_somewhere():
    assert len(PAGE.splitlines()) <= 200
    for name in re.findall(r"\]\(([\w.-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / name).is_file()
    assert Path(ROOT / "tests/leaderboard/process/probing.py").is_file()


def test_every_test_that_the_page_of_threats_names_is_there():
    page = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    named, path = [], ""
    for line in page.splitlines():
        if line.startswith("- `"):
            path = line[3:-1]
        elif line.startswith("  - `"):
            named.append((path, line[5:-1]))
    assert len(named) > 150
    lost = [
        (path, name)
        for path, name in named
        if f"\ndef {name}(" not in (ROOT / "tests" / path).read_text(encoding="utf-8")
    ]
    assert lost == []
    rows = re.findall(r"^## (S-\d\d): ", page, re.MULTILINE)
    assert rows == [f"S-{number:02}" for number in range(1, 26)]
