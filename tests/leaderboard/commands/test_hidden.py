"""Hidden boards from the first submission to the close of the version."""

import json

import pytest

from leaderboard.boards import board, truth_of
from leaderboard.hidden.version import close, closed_name, public_skills, truth_of_half
from leaderboard.ranking.standing import standing
from leaderboard.scoring import entrant
from leaderboard.store import stored
from tests.leaderboard.commands.conftest import corpus, run

STEP = 0.05


@pytest.fixture
def options(blind, made, tmp_path):
    return (
        *corpus(blind), "--targets", made.targets,
        "--ledger", tmp_path / "ledger.jsonl", "--team", "Ada",
    )  # fmt: skip


def test_what_is_announced_is_the_public_half_in_steps(
    blind, made, predicted, options, tmp_path
):
    folder = predicted["sotl_e", True]
    told = json.loads(run("leaderboard", "score", folder, *options, "--json").stdout)
    asked = board(blind, hidden=True)
    (one,) = [
        entrant(found, folder.parent)
        for found in stored(folder.parent, asked)
        if found.folder == folder.name
    ]
    half = public_skills(one, asked, truth_of_half(blind, made.targets, "public"))
    assert set(told["announced"]) == {k for k, v in half.items() if v is not None}
    for subject, skill in told["announced"].items():
        assert abs(skill - half[subject]) <= STEP / 2 + 1e-9
        assert abs(skill / STEP - round(skill / STEP)) < 1e-6
    whole = public_skills(one, asked, truth_of(blind, made.targets))
    assert whole != half


def test_s20_the_same_files_cost_nothing_and_others_count(predicted, options):
    first = json.loads(
        run(
            "leaderboard", "score", predicted["sotl_e", True], *options, "--json"
        ).stdout
    )
    again = json.loads(
        run(
            "leaderboard", "score", predicted["sotl_e", True], *options, "--json"
        ).stdout
    )
    assert again == first | {"repeated": True}
    other = json.loads(
        run(
            "leaderboard", "score", predicted["last_value", True], *options, "--json"
        ).stdout
    )
    assert (first["left_today"], other["left_today"]) == (4, 3)
    free = (*options, "--anew", "--json")
    told = json.loads(
        run("leaderboard", "score", predicted["sotl_e", True], *free).stdout
    )
    assert told["left_today"] == 3


def test_hidden_runs_are_scored_by_whoever_holds_targets_public_ones_by_all(
    blind, predicted, options, tmp_path
):
    done = run("leaderboard", "score", predicted["sotl_e", True], *corpus(blind))
    assert "only maintainers can score it, who hold the targets" in done.stdout
    done = run("leaderboard", "score", predicted["sotl_e", False], *options)
    assert "answers for public runs, of which nothing is announced" in done.stdout
    assert not (tmp_path / "ledger.jsonl").exists()
    done = run("leaderboard", "score", predicted["sotl_e", False], *corpus(blind))
    assert "final-acc/w04" in done.stdout
    half = run("leaderboard", "score", predicted["sotl_e", True], *options[:4], code=2)
    assert "--targets, --ledger and --team go together" in half.stderr


def test_a_closed_version_is_the_private_half_in_full_and_never_changes(
    blind, made, entered, tmp_path
):
    words = (
        "--corpus", blind.folder, "--targets", made.targets,
        "--submissions", entered, "--out", tmp_path / "closed",
    )  # fmt: skip
    run("leaderboard", "close", *words, "--resamples", 50)
    (path,) = (tmp_path / "closed").iterdir()
    found = json.loads(path.read_text())
    asked = board(blind, hidden=True)
    assert path.stem == closed_name(found["board"])
    entrants = [entrant(one, entered) for one in stored(entered, asked)]
    truth = truth_of_half(blind, made.targets, "private")
    said = standing(asked, truth, entrants, resamples=50)
    overall = said.overall.filter(pool="settings").to_dicts()
    rows = found["board"]["pools"]["settings"]
    shown = {row["name"]: row["skill"][0] for row in rows if row["rank"] is not None}
    assert shown == pytest.approx({r["name"]: r["skill"] for r in overall}, rel=1e-4)
    run("leaderboard", "close", *words, "--resamples", 50)  # the same, so no change
    done = run("leaderboard", "close", *words, "--resamples", 51, code=2)
    assert "a closed version does not change" in done.stderr
    with pytest.raises(ValueError, match=r"has no submission to score"):
        close(blind, made.targets, [])
