"""The reference corpora are whole and small, and their scores are those of the code."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.verify import verify
from tasks.canary import FIRES
from tasks.reproduce import Request, reproduce

CORPORA = Path(__file__).resolve().parents[1] / "corpora"
NAMES = sorted(path.parent.name for path in CORPORA.glob("*/corpus.json"))
EXPECTED = {"t4-digits": 432, "t1-digits": 108, "t8-digits": 72, "edge-digits": 288}
MOST_BYTES = 25e6
CONTROLS = {
    "median",
    "zero",
    "last_value",
    "random_order",
    "size_only",
    "hyper_ridge",
    "hyper_boosting",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_is_as_it_was_written(name):
    assert verify(CORPORA / name) == []


def test_the_corpora_are_those_of_the_list_with_all_their_runs():
    found = {name: len(Corpus.open(CORPORA / name).runs(["run_id"])) for name in NAMES}
    assert found == EXPECTED
    text = (CORPORA / "README.md").read_text(encoding="utf-8")
    for name, runs in EXPECTED.items():
        assert f"[{name}]({name}/README.md) | {runs} |" in text


def test_all_of_it_is_small():
    size = sum(p.stat().st_size for p in CORPORA.rglob("*") if p.is_file())
    assert size < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_of_this_corpus_and_its_predictions(name):
    folder = CORPORA / "scores" / name
    scores = pl.read_parquet(folder / "scores.parquet")
    digest = Corpus.open(CORPORA / name).data_sha256
    assert set(scores["corpus_sha256"]) == {digest}
    for task in scores["task"].unique():
        table = pl.read_parquet(folder / "predictions" / f"{task}.parquet")
        told = set(scores.filter(pl.col("task") == task)["predictor"])
        assert told == set(table["predictor"])


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_three_baselines_and_two_controls_and_no_leak(name):
    folder = CORPORA / "scores" / name
    scores = pl.read_parquet(folder / "scores.parquet")
    scored = scores.filter(pl.col("primary") & (pl.col("status") == "ok"))
    for task in scores["task"].unique():
        told = set(scored.filter(pl.col("task") == task)["predictor"])
        assert len(told & CONTROLS) >= 2, task
        assert len(told - CONTROLS) >= 3, task
    found = json.loads((folder / "reproduce.json").read_text(encoding="utf-8"))
    assert set(found["canary_p"]) == set(scores["task"])
    assert all(p > FIRES for p in found["canary_p"].values())


@pytest.mark.slow
def test_the_command_gives_the_committed_predictions_and_scores(tmp_path):
    name = "t8-digits"
    done = reproduce(Request(corpus=CORPORA / name, out=tmp_path, jobs=2))
    assert done.failed == []
    kept = pl.read_parquet(CORPORA / "scores" / name / "scores.parquet")
    key = ["task", "predictor", "metric"]
    both = done.scores.join(kept, on=key, how="full", suffix="_kept", validate="1:1")
    assert len(both) == len(kept) == len(done.scores)
    for column in ("value", "low", "high", "skill", "cost_passes"):
        one, two = (
            both[c].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            for c in (column, f"{column}_kept")
        )
        # other processors round otherwise, and a tree may split elsewhere
        close = np.isclose(one, two, rtol=1e-4, atol=1e-6, equal_nan=True)
        assert close.mean() > 0.99, column
