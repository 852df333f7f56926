"""Figures of a release: the same bytes, and only of what was measured."""

import hashlib

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.stats import spearmanr

from harness.corpus import Corpus
from harness.release.figures import (
    early_correlations,
    rate_figure,
    side_by_side,
    write_figures,
)
from tests.harness.release.kinds import REFERENCE

ACCURACY = "final.test_accuracy"


def test_the_same_corpus_gives_the_same_bytes(corpus_of, tmp_path):
    digests = []
    for folder in ("one", "two"):
        drawn = write_figures(corpus_of("many"), tmp_path / folder)
        assert [picture.name for picture in drawn] == ["glance.png", "rates.png"]
        assert all(picture.caption.endswith(".") for picture in drawn)
        paths = sorted((tmp_path / folder).iterdir())
        assert [path.name for path in paths] == ["glance.png", "rates.png"]
        digests.append([hashlib.sha256(p.read_bytes()).hexdigest() for p in paths])
        with Image.open(paths[0]) as image:
            assert image.width > 1000
            assert set(image.info) == {"dpi"}
    assert digests[0] == digests[1]


@pytest.mark.parametrize("kind", ["failed", "empty"])
def test_without_scores_nothing_is_drawn(kind, corpus_of, tmp_path):
    assert write_figures(corpus_of(kind), tmp_path / "figures") == []
    assert not (tmp_path / "figures").exists()


def test_strange_names_are_drawn_as_they_are(corpus_of, tmp_path):
    drawn = write_figures(corpus_of("strange"), tmp_path)
    assert [picture.name for picture in drawn] == ["glance.png"]


def test_one_learning_rate_is_no_figure(corpus_of):
    assert rate_figure(corpus_of("one").runs()) is None
    assert rate_figure(pl.DataFrame({ACCURACY: [0.5]})) is None


def test_families_of_one_rate_stand_beside_one_another():
    runs = pl.DataFrame(
        {
            "family_id": ["a", "a", "b", "c"],
            "optimizer.lr": [0.1, 0.1, 0.1, 1.0],
            ACCURACY: [0.5, 0.7, 0.9, 1.0],
        }
    )
    placed = side_by_side(runs)
    assert placed["error"].to_list() == pytest.approx([0.5, 0.3, 0.1, 1e-4])
    a, again, b, c = placed["x"].to_list()
    # half of the way to the next rate is divided among the two families
    step = np.exp(0.5 * np.log(10) / 2)
    assert a == again
    assert c == pytest.approx(1.0)
    assert a / b == pytest.approx(step)
    assert (a * b) ** 0.5 == pytest.approx(0.1)


def test_correlations_are_of_the_last_value_in_a_window():
    corpus = Corpus.open(REFERENCE / "t8-digits")
    runs = corpus.runs()
    found = early_correlations(corpus, runs)
    assert "lr" not in found
    assert not [name for name in found if name.endswith("_se")]
    score = dict(runs.select("run_id", ACCURACY).rows())
    for window, edge in enumerate((0.04, 0.1, 0.2, 0.3, 0.5)):
        last = {}
        curves = corpus.curves(["val_loss"], until=edge).sort("segment")
        for row in curves.iter_rows(named=True):
            last[row["run_id"]] = row["values"][-1]
        pairs = [(last[i], score[i]) for i in last]
        expected = spearmanr(*zip(*pairs, strict=True)).statistic
        assert found["val_loss"][window] == pytest.approx(expected)
