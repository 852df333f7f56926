"""`harness publish --blind`, `predict` and `score`, as maintainer and participant."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.manifest import read_manifest
from tests.files import contents
from tests.tasks.blind.making import KEY

TASK = "final-acc/w04"


def run(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def release(whole, place: Path, to: object, *more: object, code: int = 0) -> Any:
    options = ("--targets", place / "targets", "--key", place / "key", "--hide", 0.65)
    chosen = ("--task", TASK, "--accept", "retraining")
    return run(
        *("publish", whole.folder, "--to", to, "--blind"),
        *(*options, *chosen, *more),
        code=code,
    )


@pytest.fixture(scope="module")
def place(whole, tmp_path_factory) -> Path:
    """A folder with key, targets and the public corpus of a blind release."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "key").write_text(f"{KEY.hex()}\n")
    (folder / "key").chmod(0o600)
    release(whole, folder, folder / "public")
    return folder


def test_the_public_corpus_is_a_release_and_tells_what_is_hidden(place):
    manifest = read_manifest(place / "public")
    assert manifest["release"]["version"] == "1.0.0"
    assert manifest["blind"]["accepted"] == ["retraining"]
    assert "every file is as it was written" in run("verify", place / "public").output
    card = (place / "public" / "README.md").read_text()
    assert "What is hidden" in card
    assert "retraining" in card


def test_the_same_command_again_makes_the_same_and_says_so(whole, place):
    before = contents(place)
    done = release(whole, place, place / "public")
    assert "already published" in done.output
    assert contents(place) == before


def test_targets_of_another_key_are_not_overwritten(whole, place, tmp_path):
    before = contents(place / "targets")
    (place / "another").write_text("ab" * 32 + "\n")
    (place / "another").chmod(0o600)
    result = CliRunner().invoke(
        app,
        [
            *("publish", str(whole.folder), "--to", str(tmp_path / "out"), "--blind"),
            *("--targets", str(place / "targets"), "--key", str(place / "another")),
            *("--hide", "0.65", "--task", TASK),
            *("--accept", "retraining", "--accept", "metadata"),
        ],
    )
    assert result.exit_code == 1
    assert "something else than the targets of this release" in str(result.exception)
    assert contents(place / "targets") == before
    assert not (tmp_path / "out").exists()


def test_a_participant_predicts_and_the_holder_scores(place, tmp_path):
    corpus, out = ("--corpus", place / "public"), tmp_path / "mine"
    run("predict", *corpus, "--predictor", "sotl_e", "--out", out)
    rows = json.loads(
        run(
            *("score", out, *corpus, "--targets", place / "targets"),
            *("--resamples", 20, "--json"),
        ).stdout
    )
    assert {row["predictor"] for row in rows} == {"sotl_e", "median"}
    assert {row["task"] for row in rows} == {TASK}
    said = run("score", out, *corpus, code=2).output
    assert "only whoever holds their targets can score it" in said


def test_everybody_can_cross_validate_on_the_public_runs(place, tmp_path):
    corpus, out = ("--corpus", place / "public"), tmp_path / "mine"
    options = ("--predictor", "median", "--task", TASK, "--public", "--out", out)
    run("predict", *corpus, *options)
    rows = json.loads(run("score", out, *corpus, "--resamples", 20, "--json").stdout)
    assert {row["predictor"] for row in rows} == {"median"}


def test_the_targets_go_to_a_private_repository_only(lfs_hub, place, tmp_path):
    run("publish", place / "targets", "--to", "org/targets")
    assert lfs_hub.repository("org/targets").private
    held = lfs_hub.files("org/targets", "v1.0.0")
    assert {name: held[name] for name in contents(place / "targets")} == contents(
        place / "targets"
    )
    run("publish", place / "public", "--to", "org/open")
    result = CliRunner().invoke(
        app, ["publish", str(place / "targets"), "--to", "org/open"]
    )
    assert "org/open can be read by everybody" in str(result.exception)
    public = b"".join(lfs_hub.files("org/open", "main").values())
    secret = json.loads((place / "targets" / "targets.json").read_text())
    for entry in secret["files"].values():
        assert entry["sha256"].encode() not in public


def test_mistakes_are_told_before_anything_is_made(whole, tmp_path):
    said = run("publish", whole.folder, "--to", tmp_path, "--blind", code=2).output
    assert "--blind needs --targets FOLDER and --key FILE" in said
    where = ("publish", whole.folder, "--to", tmp_path / "out")
    said = run(*where, "--hide", 0.3, code=2).output
    assert "options of --blind are given without it" in said
    blind = ("--blind", "--targets", tmp_path / "t", "--key", tmp_path / "key")
    said = run(*where, *blind, "--hide", 0.3, "--hidden", whole.folder, code=2).output
    assert "expected either hide, a share of the families, or hidden" in said
    said = run(*where, *blind, "--accept", "everything", code=2).output
    assert "no check is called 'everything'" in said
    assert not (tmp_path / "out").exists()
