"""Targets, compared with the tables they come from."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.errors import DataError
from harness.fits.plateau import find_plateau
from harness.record import Curve, RunRecord
from tasks.base import TASKS
from tasks.catalogue.ood_accuracy import SETS
from tasks.observations import observe
from tasks.targets import (
    TARGETS,
    column,
    deviation,
    failed_to_learn,
    last_good_checkpoint,
    ood_loss,
    plateau,
    remaining_curve,
)
from tests.tasks.full_corpus import build_full, only

ACCURACY = "final.test_accuracy"


def test_a_column_is_that_of_the_runs_that_did_not_fail(corpus):
    runs = corpus.runs().filter(pl.col("status") != "failed")
    found = dict(column(corpus, name=ACCURACY).rows())
    assert found == dict(runs.select("run_id", ACCURACY).rows())
    assert len(found) == 17


def test_a_logarithm_leaves_out_what_has_none(corpus):
    runs = dict(corpus.runs().select("run_id", "final.test_loss").rows())
    found = dict(column(corpus, name="final.test_loss", log=True).rows())
    for run_id, value in found.items():
        loss = runs[run_id]  # null for the diverged run
        assert value == (None if loss is None else pytest.approx(math.log(loss)))
    assert None in found.values()


def test_divergence_is_a_failure_to_learn_and_so_is_a_low_accuracy(corpus):
    runs = corpus.runs().filter(pl.col("status") != "failed")
    found = dict(failed_to_learn(corpus, below=0.0).rows())
    diverged = set(runs.filter(pl.col("status") == "diverged")["run_id"])
    assert {run_id for run_id, bad in found.items() if bad} == diverged
    middle = runs[ACCURACY].median()
    low = dict(failed_to_learn(corpus, below=middle).rows())
    assert sum(low.values()) > len(low) / 3


def test_a_deviation_is_from_the_mean_of_the_other_seeds(corpus):
    runs = corpus.runs().filter(pl.col("status") != "failed").to_dicts()
    found = dict(deviation(corpus).rows())
    for run in runs:
        others = [
            other[ACCURACY]
            for other in runs
            if other["family_id"] == run["family_id"]
            and other["run_id"] != run["run_id"]
        ]
        expected = run[ACCURACY] - sum(others) / len(others)
        assert found[run["run_id"]] == pytest.approx(expected)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Corpus:
    return build_full(Path(tmp_path_factory.mktemp("full")) / "c", only(batch_size=32))


def shards(corpus: Corpus) -> dict[str, RunRecord]:
    """Read the records that a corpus was built of, another way than its tables."""
    paths = (corpus.folder / "shards").glob("r-*.parquet")
    found = [RunRecord.load(path) for path in paths]
    return {one.config.run_id: one for one in found if one.status != "failed"}


def test_a_corpus_without_what_is_asked_says_so(corpus):
    with pytest.raises(DataError, match=r"no values of 'ood\.cinic10_accuracy'"):
        column(corpus, name="ood.cinic10_accuracy")
    with pytest.raises(DataError, match=r"no run of .* shows a plateau of 'lambda_1'"):
        plateau(corpus)
    with pytest.raises(DataError, match="nothing to tell apart"):
        failed_to_learn(corpus, below=2.0)
    with pytest.raises(DataError, match=r"'cinic10' \(it has: corrupted\)"):
        ood_loss(corpus, name="cinic10")
    with pytest.raises(DataError, match="at every update of a whole epoch after 90%"):
        remaining_curve(corpus, after=0.9)


def test_the_loss_on_shifted_data_weighs_cells_alike(full):
    found = dict(ood_loss(full, name="mnist-8", log=True).rows())
    plain = dict(ood_loss(full, name="mnist-8").rows())
    for run_id, one in shards(full).items():
        cells = [cell.loss for cell in one.ood if cell.set == "mnist-8"]
        assert len(cells) == 2
        assert plain[run_id] == pytest.approx(sum(cells) / 2, rel=1e-6)
        assert found[run_id] == pytest.approx(math.log(sum(cells) / 2), rel=1e-5)


def test_a_cell_without_a_loss_leaves_no_mean(tmp_path):
    def change(one):
        if one.config.seed or one.config.batch_size == 64:
            return None
        if one.config.optimizer.name != "lion" or not one.ood:
            return one
        cells = (*one.ood[:-1], one.ood[-1]._replace(loss=None))
        return dataclasses.replace(one, ood=cells)

    corpus = build_full(tmp_path / "c", change)
    runs = dict(corpus.runs(["run_id", "optimizer.name"]).rows())
    for run_id, value in ood_loss(corpus, name=SETS[-1]).rows():
        assert (value is None) == (runs[run_id] == "lion")


@pytest.mark.parametrize("after", [0.04, 0.2, 0.37, 0.61])
def test_the_remaining_curve_is_the_mean_of_each_whole_later_epoch(full, after):
    found = dict(remaining_curve(full, after=after).rows())
    for run_id, one in shards(full).items():
        if one.status == "diverged":
            assert found[run_id] is None
            continue
        size, end = one.steps_per_epoch, math.floor(after * one.num_steps + 1e-9)
        loss = one.curves["train_loss"].values.astype(float)
        expected = [
            loss[epoch * size : (epoch + 1) * size].mean()
            for epoch in range(one.num_steps // size)
            if epoch * size >= end
        ]
        np.testing.assert_allclose(found[run_id], expected, rtol=1e-12)


def test_the_remaining_curve_has_the_epochs_that_predictors_are_asked_for(full):
    task = TASKS.get("curve/w20")()
    found = remaining_curve(full, after=0.2).drop_nulls()
    seen, _ = observe(full, task, found["run_id"])
    lengths = {len(seen.remaining_epochs(block)) for block in seen.blocks}
    assert lengths == set(found["value"].list.len())


def test_a_loss_that_is_not_positive_or_missing_leaves_no_curve(tmp_path):
    def change(one):
        curve = one.curves.get("train_loss")
        if curve is None or one.config.optimizer.name != "sgd":
            return None
        values = curve.values.copy()
        if one.config.seed and one.status == "completed":
            values[-20:] = 0.0
        curves = one.curves | {"train_loss": Curve(curve.steps, values)}
        if one.config.batch_size == 64:
            keep = curve.steps != 55
            curves["train_loss"] = Curve(curve.steps[keep], values[keep])
        return dataclasses.replace(one, curves=curves)

    corpus = build_full(tmp_path / "c", change)
    found = dict(remaining_curve(corpus, after=0.2).rows())
    for run_id, one in shards(corpus).items():
        good = one.config.seed == 0 and one.config.batch_size == 32
        assert (found[run_id] is not None) == good


def test_the_plateau_is_that_of_each_run_alone_or_the_end_of_sight(full):
    table = plateau(full)
    found = {run: (value, seen) for run, value, seen in table.rows()}
    for run_id, one in shards(full).items():
        curve = one.curves["lambda_1"]
        after = curve.steps > 0
        times = curve.steps[after] / one.steps_per_epoch
        alone = find_plateau(times, curve.values[None, after])
        value, happened = found[run_id]
        assert happened == alone.ok[0]
        expected = alone["t_plateau"][0] if happened else times[-1]
        assert value == pytest.approx(expected)
    assert 0 < table["happened"].mean() < 1


def test_a_curvature_that_breaks_off_is_censored_where_it_does(tmp_path):
    def change(one):
        if one.config.optimizer.name != "sgd" or not one.curves:
            return None
        steps = np.arange(0, 101, 2, dtype=np.int32)
        values = np.exp(steps / 20).astype(np.float32)  # rises throughout
        if one.config.seed:
            values[20:] = -1.0  # from step 40
        elif one.config.batch_size == 64:
            values = 1 - np.exp(-steps / 5, dtype=np.float32)  # settles
        if one.config.batch_size == 32:
            size = 3 if one.config.schedule.name == "step" else len(steps)
            steps, values = steps[:size], values[:size]
        curves = one.curves | {"lambda_1": Curve(steps, values)}
        return dataclasses.replace(one, curves=curves)

    corpus = build_full(tmp_path / "c", change)
    found = {run: (value, seen) for run, value, seen in plateau(corpus).rows()}
    for run_id, one in shards(corpus).items():
        short = len(one.curves["lambda_1"].steps) == 3
        settles = one.config.batch_size == 64 and not one.config.seed
        value, happened = found[run_id]
        if short:
            assert (value, happened) == (None, None)
        elif settles:
            assert happened
        else:
            assert (value, happened) == (1.9 if one.config.seed else 5.0, False)


@pytest.mark.parametrize("tolerance", [0.0, 0.001, 0.03])
def test_the_last_good_checkpoint_equals_a_search_over_evaluations(full, tolerance):
    table = last_good_checkpoint(full, tolerance=tolerance)
    rows = {row["run_id"]: row for row in table.to_dicts()}
    for run_id, one in shards(full).items():
        curve = one.curves["val_accuracy"]
        pairs = [
            (step / one.num_steps, float(value))
            for step, value in zip(curve.steps, curve.values, strict=True)
            if step > 0
        ]
        best = max(value for _, value in pairs)
        good = [t for t, value in pairs if best - value <= tolerance + 1e-7]
        row = rows[run_id]
        assert row["value"] == pytest.approx(good[-1])
        assert row["evaluations"] == pytest.approx([t for t, _ in pairs])
        left = [best - max(v for _, v in pairs[k:]) for k in range(len(pairs))]
        np.testing.assert_allclose(row["regrets"], left, atol=1e-6)
        assert row["regrets"][0] == 0


def test_targets_are_registered_by_name():
    assert TARGETS.names() == [
        "column",
        "deviation",
        "failed_to_learn",
        "last_good_checkpoint",
        "ood_loss",
        "plateau",
        "remaining_curve",
    ]
