import math
import re

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.publish import build
from harness.seed_noise import seed_noise
from harness.show import corpus_figure, corpus_text, find_run, run_figure, run_text
from harness.show.glance import (
    binned,
    early_losses,
    run_curves,
    smoothed,
    spearman,
)
from harness.show.typeset import BLOCKS, sparkline

PARTIAL = {
    "one run": [{}],
    "no shift": [{"seed": s, "ood": False} for s in range(3)],
    "diverged only": [{"seed": s, "status": "diverged"} for s in range(2)],
    "failed only": [{"status": "failed"}],
    "all kinds": [
        {},
        {"seed": 1, "status": "diverged"},
        {"seed": 2, "status": "failed"},
    ],
    "nothing": [],
}


@pytest.fixture(params=PARTIAL)
def partial_corpus(request, tmp_path, make_record):
    for arguments in PARTIAL[request.param]:
        make_record(**arguments).save(tmp_path / "shards")
    build(tmp_path, name="partial", grids={})
    return Corpus.open(tmp_path)


@pytest.fixture
def corpus(corpus_folder):
    return Corpus.open(corpus_folder)


def test_text_and_figure_work_for_partial_corpora(partial_corpus):
    assert corpus_text(partial_corpus).startswith("partial, version 1")
    corpus_figure(partial_corpus).canvas.draw()
    for run_id in partial_corpus.runs()["run_id"]:
        assert run_text(partial_corpus, run_id).startswith(run_id)
        run_figure(partial_corpus, run_id).canvas.draw()


def test_the_corpus_text_fits_80_columns_and_says_what_there_is(corpus):
    text = corpus_text(corpus, blocks=False)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 80
    assert "12 runs in 4 families: 9 completed, 2 diverged, 1 failed" in text
    rows = corpus.runs().filter(pl.col("optimizer.name") == "sgd")
    quartiles = np.quantile(
        rows["final.test_accuracy"].to_numpy(), [0, 0.25, 0.5, 0.75, 1]
    )
    shown = re.search(r"sgd cosine +(\d+)((?: +\d\.\d+){5})", text)
    assert int(shown[1]) == 6
    assert [float(x) for x in shown[2].split()] == pytest.approx(quartiles, abs=5e-4)


def test_the_run_text_fits_80_columns_and_says_how_the_run_ended(corpus):
    (run_id,) = corpus.runs().filter(pl.col("status") == "diverged")["run_id"][:1]
    text = run_text(corpus, run_id, blocks=False)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 80
    assert "diverged at update 51" in text
    assert re.search(r"train_loss +51 .* nan .*x$", text, re.MULTILINE)
    assert "of 200" in text
    assert re.search(r"fog( +\d\.\d{3}){4}$", text, re.MULTILINE)
    assert "train=1.5" in text


def test_a_failed_run_shows_its_error(corpus):
    (run_id,) = corpus.runs().filter(pl.col("status") == "failed")["run_id"]
    assert "RuntimeError: out of memory" in run_text(corpus, run_id)


def test_blocks_are_drawn_when_asked(corpus):
    assert set(BLOCKS) & set(corpus_text(corpus, blocks=True))
    assert not set(BLOCKS) & set(corpus_text(corpus, blocks=False))


def test_a_run_is_found_by_a_unique_start(corpus):
    ids = corpus.runs()["run_id"].to_list()
    for run_id in ids:
        assert find_run(corpus, run_id) == run_id
        assert find_run(corpus, run_id[2:10]) == run_id
    with pytest.raises(KeyError, match="12 runs of test-corpus start with r-"):
        find_run(corpus, "r-")
    with pytest.raises(KeyError, match=f"nearest: {ids[4]}"):
        find_run(corpus, ids[4][:-1] + "z")


def test_a_runs_curves_are_joined(corpus, some_records):
    for record in some_records[8:11]:
        curves = run_curves(corpus, record.config.run_id)
        assert set(curves) == set(record.curves)
        for name, (steps, values) in curves.items():
            np.testing.assert_array_equal(steps, record.curves[name].steps)
            np.testing.assert_array_equal(values, record.curves[name].values)


def test_seed_noise_of_a_table_computed_by_hand():
    runs = pl.DataFrame(
        {
            "family_id": ["a", "a", "b", "b", "c"],
            "final.test_accuracy": [0.0, 2.0, 10.0, 12.0, 99.0],
        }
    )
    noise = seed_noise(runs)
    assert noise.within == pytest.approx(math.sqrt(2))
    assert noise.between == pytest.approx(math.sqrt(50))
    assert noise.typical == pytest.approx(math.sqrt(2))
    assert noise.families == 2
    assert seed_noise(runs.head(3)) is None


def test_rank_correlation_agrees_with_scipy():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, 40).astype(float)
    y = x + rng.normal(size=40).round()
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert spearman(np.ones(5), x[:5]) is None
    assert spearman(x[:2], y[:2]) is None


def test_early_losses_are_geometric_means_of_the_window(corpus, some_records):
    early = early_losses(corpus)
    assert set(early) == {r.config.run_id for r in some_records if r.curves}
    for record in some_records[:11]:
        steps, values = record.curves["train_loss"]
        inside = (steps > 15) & (steps <= 20)
        expected = np.exp(np.log(values[inside].astype(float)).mean())
        assert early[record.config.run_id] == pytest.approx(expected, rel=1e-12)


def test_a_sparkline_goes_from_lowest_to_highest():
    assert sparkline(np.arange(8.0), 8, "01234567") == "01234567"
    assert sparkline(np.array([0.0, 1.0, np.nan, np.inf]), 4, "_#") == "_#xx"
    assert sparkline(np.ones(3), 8, "_#") == "___"
    assert sparkline(np.empty(0), 8) == ""
    assert len(sparkline(np.arange(1000.0), 18)) == 18


def test_binned_power_laws_stay_on_their_line():
    steps = np.arange(1.0, 2000.0)
    x, y = binned(steps, steps**-0.5, 20)
    np.testing.assert_allclose(y, x**-0.5, rtol=1e-12)
    assert len(x) <= 20
    x, y = binned(steps[:3], np.array([np.nan, 0.0, -1.0]))
    assert len(x) == len(y) == 0


def test_smoothing_is_a_running_mean():
    values = np.array([1.0, 2.0, 6.0, 3.0])
    np.testing.assert_allclose(smoothed(values, 3), [1.5, 3.0, 11 / 3, 4.5])
    np.testing.assert_array_equal(smoothed(values, 1), values)
    assert len(smoothed(values, 99)) == 4
    assert np.isnan(smoothed(np.array([1.0, np.inf, 1.0]), 1)).tolist() == [0, 1, 0]


def test_figures_are_1200_pixels_wide_and_touch_no_global_state(corpus, tmp_path):
    import sys

    for figure in (
        corpus_figure(corpus),
        run_figure(corpus, corpus.runs()["run_id"][0]),
    ):
        figure.savefig(tmp_path / "f.png")
        width = int.from_bytes((tmp_path / "f.png").read_bytes()[16:20], "big")
        assert width == 1200
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_the_corpus_figure_shows_every_run(corpus):
    figure = corpus_figure(corpus)
    curves, shift, spread, forecast = figure.axes[:4]
    done = 11
    assert len(curves.collections[0].get_segments()) == done
    for panel in (shift, spread, forecast):
        points = sum(len(c.get_offsets()) for c in panel.collections)
        assert points == done
    assert "diverged" in " ".join(t.get_text() for t in shift.get_legend().get_texts())
