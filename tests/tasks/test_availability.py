"""Why a task cannot be asked: of crippled corpora, of foreign ones, of none at all."""

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.corpus import Corpus
from harness.importers.convert import Request, import_corpus
from harness.publish import build
from tasks.availability import unavailable
from tasks.base import TASKS, Visibility
from tasks.question import ask
from tests.tasks.full_corpus import build_full, only, without


def reasons(corpus: Corpus) -> dict[str, str | None]:
    return {name: unavailable(TASKS.get(name)(), corpus) for name in TASKS.names()}


def no_ends(one):
    return dataclasses.replace(one, final={}, ood=())


def no_curves(one):
    return dataclasses.replace(one, curves={})


def healthy(one):
    return dataclasses.replace(
        one, status="completed", final=one.final | {"test_correct": 100}
    )


SGD = {"optimizer": "sgd"}
SMALL = {**SGD, "batch_size": 32}
CRIPPLED = {
    "bare": (without("lambda_1", "train_loss", "val_accuracy"), SGD),
    "no ends": (no_ends, SGD),
    "no curves": (no_curves, SGD),
    "healthy": (healthy, SGD),
    "one seed": (lambda one: one, {"seed": 0}),
    "sgd": (lambda one: one, SGD),
    "lion": (lambda one: one, {"optimizer": "lion"}),
    "small": (lambda one: one, SMALL),
    "tiny": (lambda one: one, {**SMALL, "schedule": "step"}),
}


@pytest.fixture(scope="module")
def crippled(tmp_path_factory) -> Callable[[str], Corpus]:
    """A function that returns the corpus of a kind of `CRIPPLED`."""

    @functools.cache
    def made(kind: str) -> Corpus:
        change, kept = CRIPPLED[kind]
        folder = tmp_path_factory.mktemp("crippled") / "corpus"
        keep = only(**kept)
        return build_full(folder, lambda one: change(one) if keep(one) else None)

    return made


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("bare", "plateau/w30", "no run .* values of lambda_1: record"),
        ("bare", "curve/w20", "values of train_loss: record or import"),
        ("bare", "ckpt-prune/w20", "no run .* values of val_accuracy"),
        ("no ends", "final-acc/w20", "no values of 'final.test_accuracy'"),
        ("no ends", "ood-acc/cifar10-c/w20", "it has: nothing like it"),
        ("no ends", "loss2loss/cifar10-c", "no losses on the set 'cifar10-c'"),
        ("no ends", "loss2loss/val", "no values of 'final.validation_loss'"),
        ("healthy", "diverge/w04", "ended with final.test_accuracy below 0.2"),
        ("healthy", "prune/w20", "all 16 runs .* have the value 0.5: there is nothing"),
        ("one seed", "rank/pairs/w20", "differ in their seed only"),
        ("one seed", "seed-residual/w20", "no family of full has two runs"),
        ("sgd", "shift/opt=lion", "nothing to test on; record more"),
        ("lion", "shift/opt=lion", "nothing to train on; record more"),
        ("sgd", "diverge/w04", "1 of 16 runs .* have the outcome 1 "),
        ("small", "shift/bs=max", "nothing to train on"),
        ("small", "final-acc/w20", "4 families of runs cannot be dealt to 5 folds"),
        ("tiny", "shift/lr=max", "leave 1 families to score: record runs of more"),
        ("no curves", "prune/w20", "records nothing that the task shows: record or"),
    ],
)
def test_a_crippled_corpus_says_what_it_lacks(crippled, kind, name, reason):
    found = unavailable(TASKS.get(name)(), crippled(kind))
    assert re.search(reason, found or "available")


@pytest.mark.parametrize("kind", CRIPPLED)
def test_what_is_available_can_be_asked_and_nothing_is_raised(crippled, kind):
    corpus = crippled(kind)
    for name, reason in reasons(corpus).items():
        if reason is None:
            question, answers = ask(corpus, TASKS.get(name)())
            assert len(answers.ids) >= 2
            assert all(targets.ids for targets, _ in question.rounds)


def test_a_task_that_gives_a_later_value_needs_it(crippled):
    corpus = crippled("sgd")
    shows = Visibility(until=0.2, finals=("final.test_ece",))
    task = dataclasses.replace(TASKS.get("final-acc/w20")(), visibility=shows)
    assert "no values of 'final.test_ece', which" in (unavailable(task, corpus) or "")


def test_a_corpus_without_runs_answers_nothing_and_raises_nothing(tmp_path):
    build(tmp_path / "c", name="nothing", grids={})
    assert all(reasons(Corpus.open(tmp_path / "c")).values())


HEADER = "run_id,signal,step,value,final_test_accuracy,optimizer,lr,family"


def imported(folder: Path, every: int, seeds: int, curve: str = "train_loss") -> Corpus:
    """Return a foreign corpus of twelve families whose loss is logged at intervals."""
    rows = [
        f"{family}-{seed},{curve},{step},{3 / step + family},{0.5 + 0.03 * family},"
        f"sgd,{0.1 * (1 + family % 2)},{family}"
        for family in range(12)
        for seed in range(seeds)
        for step in range(every, 41, every)
    ]
    file = folder / "curves.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    import_corpus(
        Request(files=[file], format="long", out=folder / "c", steps_per_epoch=5)
    )
    return Corpus.open(folder / "c")


def test_a_foreign_corpus_is_asked_what_it_can_answer(tmp_path):
    found = reasons(imported(tmp_path, every=1, seeds=2))
    can = {name for name, reason in found.items() if reason is None}
    assert can == {
        "curve/w20",
        "final-acc/w04",
        "final-acc/w10",
        "final-acc/w20",
        "final-acc/w50",
        "prune/w20",
        "rank/pairs/w20",
    }
    assert "no column 'batch_size'" in found["shift/lr=max"]
    assert "all 24 runs" in found["seed-residual/w20"]
    assert "schedule.name" in found["shift/sched=step"]


def test_a_loss_that_is_not_logged_at_every_update_is_no_curve(tmp_path):
    found = reasons(imported(tmp_path, every=2, seeds=1))
    assert found["final-acc/w20"] is None
    assert "train_loss at every update" in found["curve/w20"]
    assert "--step-scale" in found["curve/w20"]
    assert "differ in their seed only" in found["rank/pairs/w20"]


def test_a_foreign_corpus_of_another_curve_raises_nothing(tmp_path):
    found = reasons(imported(tmp_path, every=2, seeds=1, curve="reward"))
    assert found["final-acc/w20"] is None
    assert "values of train_loss" in found["curve/w20"]
    assert all(isinstance(each, str | None) for each in found.values())
