"""A blind corpus, and submissions to its public and its hidden board."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner

from harness.cli import app
from harness.folders import CACHE_DIR_VARIABLE
from tasks.submission import CARD, About, document, read_submission
from tests.tasks.blind.conftest import blind, made, whole

__all__ = ["blind", "made", "whole"]
ABOUT = About(
    authors=("A. Nother",), contact="a@example.org", code="https://example.org/f",
    licence="MIT",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory) -> Path:
    """Keep sealed tasks in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv(CACHE_DIR_VARIABLE, str(folder))
        yield folder


def run(*arguments, code=0):
    """Call the command line."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def described(folder: Path, **changes) -> Path:
    """Fill in what a person would; return the folder."""
    card = dataclasses.replace(read_submission(folder), about=ABOUT, **changes)
    (folder / CARD).write_text(tomli_w.dumps(document(card)))
    return folder


@pytest.fixture(scope="session")
def predicted(blind, tmp_path_factory) -> dict[tuple[str, bool], Path]:
    """Submissions by predictor and whether they answer for hidden runs."""
    root, found = tmp_path_factory.mktemp("predicted"), {}
    for name in ("last_value", "sotl_e"):
        for hidden in (False, True):
            slug = f"{name}{'-hidden' * hidden}".replace("_", "-")
            words = ("predict", "--corpus", blind.folder, "--predictor", name)
            tasks = ("--task", "final-acc/w04", "--task", "curve/w20")
            run(*words, *tasks, "--out", root / slug, *["--public"] * (not hidden))
            found[name, hidden] = described(root / slug)
    return found


@pytest.fixture
def mine(predicted, tmp_path) -> Path:
    """A submission to change, about public runs."""
    return Path(shutil.copytree(predicted["sotl_e", False], tmp_path / "mine"))


@pytest.fixture(scope="session")
def entered(predicted, blind, tmp_path_factory) -> Path:
    """Two submissions about public runs and two about hidden ones; not to change."""
    place = tmp_path_factory.mktemp("entered") / "submissions"
    for folder in predicted.values():
        run("leaderboard", "add", folder, *corpus(blind), "--submissions", place)
    return place


def corpus(one) -> tuple:
    """Return the option that names a corpus."""
    return ("--corpus", one.folder)
