"""Every submission of this repository, by the rules for those of strangers."""

from collections import Counter

import polars as pl
import pytest

from harness.corpus import Corpus
from leaderboard.boards import board, truth_of
from leaderboard.intake.files import read_folder
from leaderboard.intake.names import folder_name, same_name
from leaderboard.ranking.standing import standing
from leaderboard.store import card_of, entrant, folders, stored
from tests.conftest import ROOT

SUBMISSIONS = ROOT / "leaderboard" / "submissions"
CORPORA = sorted(path.parent.name for path in ROOT.glob("corpora/*/corpus.json"))


@pytest.mark.parametrize("folder", folders(SUBMISSIONS), ids=lambda path: path.name)
def test_a_submission_has_a_card_a_plain_name_and_a_corpus(folder):
    card = card_of(folder)
    assert folder_name(folder.name) is None
    corpus = Corpus.open(ROOT / "corpora" / card.corpus)
    assert (card.corpus_version, card.corpus_sha256) == (
        corpus.manifest["release"]["version"],
        corpus.data_sha256,
    )
    tables = {name for name in read_folder(folder) if name.startswith("predictions/")}
    assert {t.removeprefix("predictions/").rsplit(".", 1)[0] for t in tables} == set(
        card.tasks
    )
    if card.about.code.startswith("baselines/"):
        assert (ROOT / card.about.code).is_file()


def test_no_two_on_a_board_have_one_name():
    cards = [card_of(folder) for folder in folders(SUBMISSIONS)]
    names = Counter((c.corpus_sha256, c.hidden, same_name(c.name)) for c in cards)
    assert set(names.values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPORA)
def test_submissions_are_in_order_and_score_as_reproduce_says(name):
    corpus = Corpus.open(ROOT / "corpora" / name)
    asked = board(corpus, hidden=False)
    entrants = [entrant(one, SUBMISSIONS) for one in stored(SUBMISSIONS, asked)]
    assert len(entrants) >= 18
    known = pl.read_parquet(ROOT / "corpora" / "scores" / name / "scores.parquet")
    known = known.filter(pl.col("primary") & (pl.col("status") == "ok"))
    said = standing(asked, truth_of(corpus), entrants, resamples=2)
    keys = ["task", "metric", "predictor"]
    both = said.rows.select(*keys, "value", "skill", "declined").join(
        known.select(*keys, "value", "skill", "declined"), on=keys, suffix="_known"
    )
    named = {(t, p) for t, _, p in both.select(keys).rows()}
    wanted = known.filter(pl.col("predictor").is_in([e.name for e in entrants]))
    assert named == set(wanted.select("task", "predictor").rows())
    assert (both["declined"] == both["declined_known"]).all()
    for column in ("value", "skill"):
        gap = (both[column] - both[f"{column}_known"]).abs().max()
        assert gap is None or gap < 1e-6
