"""Every declared task is well-formed and can be asked of a corpus that has it all."""

from pathlib import Path

import polars as pl
import pytest

from harness.corpus import Corpus
from harness.registry import complete
from harness.schema import SIGNALS
from tasks.availability import unavailable
from tasks.base import FOLDS, TASKS, Task
from tasks.metrics.table import metric
from tasks.question import ask
from tasks.splits import SPLITS
from tasks.targets import TARGETS
from tests.tasks.full_corpus import build_full

REFERENCES = {"median", "last_value", "zero", "accuracy_on_the_line", "random_order"}
UNITS = {"accuracy", "ln nat", "nat", "epochs", "probability", "share of steps"}
NEEDS = {
    "value": {"mean", "quantiles", "decision"},
    "probability": {"probability"},
    "curve": {"curve"},
}
SUPPLIED = {"threshold", "cost", "share", "tolerance", "k", "levels", "counted"}
WINDOWS = {"w04": 0.04, "w10": 0.1, "w20": 0.2, "w30": 0.3, "w50": 0.5}


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Corpus:
    return build_full(Path(tmp_path_factory.mktemp("full")) / "corpus")


def task(name: str) -> Task:
    return TASKS.get(name)()


def test_the_catalogue_is_that_of_the_plan():
    assert [n for n in TASKS.names() if "digits" in n or "/cif" not in n] == [
        "ckpt-prune/w20",
        "curve/w20",
        "curve/w20/sched=step",
        "diverge/w04",
        "final-acc/w04",
        "final-acc/w10",
        "final-acc/w20",
        "final-acc/w50",
        "final-valce/w30",
        "loss2loss/cinic10",
        "loss2loss/digits-corrupted",
        "loss2loss/mnist-8",
        "loss2loss/val",
        "ood-acc/cinic10/w20",
        "ood-acc/digits-corrupted/w20",
        "ood-acc/mnist-8/w20",
        "plateau/w30",
        "prune/w20",
        "rank/pairs/w20",
        "seed-residual/w20",
        "shift/aug=randaug",
        "shift/bs=max",
        "shift/lr=max",
        "shift/opt=lion",
        "shift/sched=step",
    ]


@pytest.mark.parametrize("name", TASKS.names())
def test_a_task_is_well_formed(name):
    found = task(name)
    assert found.name == name
    assert found.unit in UNITS
    assert found.reference in REFERENCES
    for part, registry in ((found.target, TARGETS), (found.split, SPLITS)):
        complete(part.name, registry.get(part.name), part.params)
    for window, share in WINDOWS.items():
        if window in name.split("/"):
            assert found.visibility.until == share
    shown = found.visibility.signals
    known = {signal.name for signal in SIGNALS}
    assert shown is None or set(shown) <= known
    assert shown is None or set(found.requires) <= set(shown)


@pytest.mark.parametrize("name", TASKS.names())
def test_a_task_is_scored_by_what_its_answers_are(name):
    found = task(name)
    for each in map(metric, found.metrics):
        assert each.needs in NEEDS[found.kind]
        if each.unit == "target":
            assert found.kind == "value"


@pytest.mark.parametrize("name", TASKS.names())
def test_every_task_can_be_asked_of_a_corpus_that_has_it_all(full, name):
    found = task(name)
    assert unavailable(found, full) is None
    question, answers = ask(full, found)
    assert len(question.rounds) == (5 if found.split == FOLDS else 1)
    assert len(answers.ids) == len(set(answers.run_ids)) >= 2
    context = set(answers.context) | SUPPLIED
    for each in map(metric, found.metrics):
        assert set(each.takes) <= context


@pytest.mark.parametrize("name", TASKS.names())
def test_a_target_has_a_row_for_each_run_that_did_not_fail(full, name):
    found = task(name)
    table = TARGETS.get(found.target.name)(full, **found.target.params)
    runs = full.runs().filter(pl.col("status") != "failed")
    assert table["run_id"].to_list() == sorted(runs["run_id"])
    assert table.columns[:2] == ["run_id", "value"]
    kind = pl.List(pl.Float64) if found.kind == "curve" else pl.Float64
    assert table.schema["value"] == kind


@pytest.mark.parametrize("name", TASKS.names())
def test_families_stay_whole_over_the_whole_corpus(full, name):
    found = task(name)
    runs = full.runs()
    family = dict(runs.select("run_id", "family_id").rows())
    divisions = SPLITS.get(found.split.name)(runs, **found.split.params)
    tested = [run for division in divisions for run in division.test]
    assert len(tested) == len(set(tested))
    if found.split == FOLDS:
        assert sorted(tested) == sorted(family)
    for division in divisions:
        parts = [{family[run] for run in part} for part in division]
        assert not parts[0] & parts[2]
        assert not parts[1] & (parts[0] | parts[2])


def test_pairs_of_the_same_question_are_asked_of_the_same_target():
    accuracy = task("final-acc/w20")
    for name in TASKS.names():
        if name.startswith(("shift/", "prune/", "rank/", "final-acc/")):
            assert task(name).target == accuracy.target
        if name.startswith("shift/"):
            assert task(name).visibility == accuracy.visibility
            assert task(name).metrics == accuracy.metrics
