"""The information barrier: the hidden cannot be seen, and the shown is right."""

import shutil

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.early.curves import early_curves
from harness.publish import build
from harness.record import RunRecord
from harness.spec import Part
from tasks.base import Task, Visibility
from tasks.observations import example_id, observe
from tests.tasks.hiding import contents, scrambled


def task(**visibility) -> Task:
    return Task(
        name="final-acc/w20",
        version="1",
        question="How accurate is it in the end?",
        kind="value",
        target=Part("column", {"name": "final.test_accuracy"}),
        visibility=Visibility(**({"until": 0.2} | visibility)),
        metrics=("mae",),
    )


def runs_of(corpus: Corpus) -> list[str]:
    runs = corpus.runs().filter(pl.col("status") != "failed")
    return runs["run_id"].to_list()


def rebuilt(corpus: Corpus, folder, change) -> Corpus:
    """Return the corpus of the changed records."""
    for path in sorted((corpus.folder / "shards").glob("r-*.parquet")):
        change(RunRecord.load(path)).save(folder / "shards")
    build(folder, name=corpus.name, grids={})
    return Corpus.open(folder)


@pytest.mark.parametrize("until", [0.04, 0.2, 0.37])
@pytest.mark.parametrize("planned", [False, True])
def test_scrambling_what_is_hidden_changes_no_byte(corpus, tmp_path, until, planned):
    other = rebuilt(corpus, tmp_path / "other", scrambled(until))
    one, _ = observe(corpus, task(until=until, planned_rate=planned), runs_of(corpus))
    two, _ = observe(other, task(until=until, planned_rate=planned), runs_of(other))
    assert contents(one) == contents(two)
    assert (
        corpus.runs()["final.test_accuracy"].to_list()
        != other.runs()["final.test_accuracy"].to_list()
    )


def test_no_name_seed_cost_or_end_is_shown(corpus):
    seen, _ = observe(corpus, task(), runs_of(corpus))
    hidden = {"seed", "run_id", "family_id", "trajectory_id", "config_json", "status"}
    assert not hidden & set(seen.settings.columns)
    beginnings = ("final.", "ood.", "cost.", "environment.", "recording.", "grids")
    assert not [c for c in seen.settings.columns if c.startswith(beginnings)]
    text = contents(seen)
    for run_id in runs_of(corpus):
        assert run_id.encode() not in text


def test_what_is_shown_belongs_to_the_run_behind_the_name(corpus):
    seen, run_of = observe(corpus, task(planned_rate=True), runs_of(corpus))
    (block,), (rates,) = seen.blocks, seen.planned
    assert seen.ids == block.run_ids == tuple(seen.settings["id"])
    assert list(seen.ids) == sorted(seen.ids)
    (raw,) = early_curves(corpus, 0.2, runs_of(corpus))
    where = {run_id: row for row, run_id in enumerate(raw.run_ids)}
    optimizer = dict(corpus.runs().select("run_id", "optimizer.name").rows())
    for row, example in enumerate(seen.ids):
        old = where[run_of[example]]
        np.testing.assert_array_equal(block.loss[row], raw.loss[old])
        assert seen.settings["optimizer.name"][row] == optimizer[run_of[example]]
        for name, curve in block.recorded.items():
            before = raw.recorded[name]
            for part in ("steps", "values"):
                np.testing.assert_array_equal(
                    getattr(curve, part)[slice(*curve.offsets[row : row + 2])],
                    getattr(before, part)[slice(*before.offsets[old : old + 2])],
                )
    assert rates.shape == (len(seen), block.num_steps)


def test_only_the_signals_that_the_task_names_are_shown(corpus):
    seen, _ = observe(corpus, task(signals=("val_loss",)), runs_of(corpus))
    assert [set(block.recorded) for block in seen.blocks] == [{"val_loss"}]
    assert np.isnan(seen.blocks[0].rate).all()


def test_who_reads_no_curve_is_shown_nothing_of_the_run(corpus):
    seen, _ = observe(corpus, task(), runs_of(corpus))
    assert any(block.recorded for block in seen.blocks)
    blind = seen.showing(None, curves=False)
    for block in blind.blocks:
        assert block.recorded == {}
        assert np.isnan(block.loss).all()
        assert np.isnan(block.rate).all()


def test_settings_may_be_hidden_and_finals_given(corpus):
    seen, _ = observe(
        corpus, task(settings=False, finals=("final.test_loss",)), runs_of(corpus)
    )
    assert seen.settings.columns == [
        "id",
        "num_steps",
        "steps_per_epoch",
        "final.test_loss",
    ]


def test_a_diverged_run_has_the_planned_rates_of_its_family(corpus):
    seen, run_of = observe(corpus, task(planned_rate=True), runs_of(corpus))
    assert np.isfinite(seen.planned[0]).all()
    diverged = corpus.runs().filter(pl.col("status") == "diverged")["run_id"][0]
    assert diverged in run_of.values()


def test_names_are_the_tasks_own(corpus):
    run_id = runs_of(corpus)[0]
    other = Task(
        name="final-acc/w10",
        version="1",
        question="?",
        kind="value",
        target=Part("column"),
        visibility=Visibility(until=0.1),
        metrics=("mae",),
    )
    assert example_id(task(), corpus, run_id) != example_id(other, corpus, run_id)


def test_a_copy_of_the_corpus_shows_the_same(corpus, tmp_path):
    copy = Corpus.open(shutil.copytree(corpus.folder, tmp_path / "copy"))
    one, two = (observe(c, task(), runs_of(c))[0] for c in (corpus, copy))
    assert contents(one) == contents(two)
