"""200 curves of other programs, as broken as they come: no baseline crashes on them."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.importers.convert import Request, import_corpus
from harness.seeds import stream
from harness.spec import Part
from tasks.answering import answer
from tasks.availability import unavailable
from tasks.base import TASKS, Task
from tasks.prediction import PREDICTORS
from tasks.question import ask

RUNS = 200
FAST = {"forest": {"trees": 10}, "hyper_boosting": {"iterations": 10}}
SOME = ("final-acc/w20", "curve/w20")
KINDS = (*["plain"] * 12, "nan", "short", "constant", "gaps", "huge", "late")


def curve(draw: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and losses of a run of some length."""
    length = 3 if kind == "short" else 5 * int(draw.integers(12, 32))
    time = np.arange(1, length + 1) / 5
    loss = draw.uniform(0.5, 3) * time ** -draw.uniform(0.1, 0.8)
    loss *= np.exp(0.1 * draw.standard_normal(length))
    steps = np.arange(1, length + 1)
    if kind == "constant":
        loss[:] = 2.3
    if kind == "nan":
        loss[int(draw.integers(1, length)) :] = np.nan
    if kind == "huge":
        loss[length // 2 :: 3] = 1e30
    if kind == "gaps":
        kept = draw.uniform(size=length) < 0.5
        steps, loss = steps[kept], loss[kept]
    if kind == "late":
        steps, loss = steps[length // 2 :], loss[length // 2 :]
    return steps, loss


def facts(draw: np.random.Generator, number: int, losses: np.ndarray) -> dict:
    """Return settings and results; some runs have no settings, some no accuracy."""
    usable = losses[np.isfinite(losses) & (losses < 1e3)]
    end = float(usable[-1]) if len(usable) else 9.0
    bare = number % 9 == 0
    return {
        "optimizer": None if bare else str(draw.choice(["sgd", "adamw"])),
        "lr": None if bare else 10 ** draw.uniform(-3, 0),
        "seed": number % 3,
        "final_test_accuracy": np.exp(-end) if number % 11 else None,
        "final_validation_loss": end * draw.uniform(1, 1.2),
        "steps_per_epoch": 5,
    }


def run(number: int) -> pl.DataFrame:
    """Return the rows of a run; every other one has more signals than its loss."""
    draw = stream(0, "foreign curves", number)
    steps, losses = curve(draw, KINDS[int(draw.integers(len(KINDS)))])
    every = steps[::5]
    signals = {
        "train_loss": (steps, losses),
        "val_accuracy": (every, np.exp(-np.nan_to_num(losses[::5], nan=9.0))),
        "lambda_1": (every, draw.normal(1, 1, len(every))),
        "lr": (steps, np.linspace(0.1, 0.0, len(steps))),
    }
    told = facts(draw, number, losses)
    frames = [
        pl.DataFrame({"step": at, "value": values.astype(np.float64)}).select(
            pl.lit(f"run {number}").alias("run_id"),
            pl.lit(name).alias("signal"),
            "step",
            "value",
            *(pl.lit(value, pl.String).alias(key) for key, value in told.items()),
        )
        for name, (at, values) in signals.items()
        if name == "train_loss" or number % 2
    ]
    return pl.concat(frames)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The curves, written as long CSV and imported."""
    folder: Path = tmp_path_factory.mktemp("foreign")
    pl.concat([run(number) for number in range(RUNS)]).write_csv(folder / "curves.csv")
    files = [folder / "curves.csv"]
    import_corpus(Request(files=files, format="long", out=folder / "corpus"))
    return Corpus.open(folder / "corpus")


def in_halves(task: Task) -> Task:
    """Return a task whose folds are two: fewer fits of equally broken curves."""
    if task.split.name != "grouped_folds":
        return task
    return dataclasses.replace(task, split=Part("grouped_folds", {"folds": 2}))


def declined(corpus: Corpus, task: Task) -> dict[str, Counter[str]]:
    """Return how many of its examples each predictor declined, by reason."""
    question, answers = ask(corpus, task)
    found = {}
    for name in PREDICTORS.names():
        table = answer(question, Part(name, FAST.get(name, {}))).table.unique("id")
        assert set(table["id"]) == set(answers.ids)
        lost = table.filter(pl.col("prediction").is_null())
        assert all(lost["reason"].str.len_chars() > 8)
        assert table["reason"].count() == len(lost)
        found[name] = Counter(lost["reason"].to_list())
    return found


@pytest.mark.parametrize("name", SOME)
def test_no_baseline_crashes_on_foreign_curves(foreign, name):
    task = TASKS.get(name)()
    assert unavailable(task, foreign) is None
    found = declined(foreign, in_halves(task))
    assert not found[task.reference]
    assert not found["median"]
    assert not found["forest"]
    assert found["nearest_curves"].total() < RUNS / 4


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in TASKS.names() if n not in SOME])
def test_no_baseline_crashes_at_any_task_that_may_be_asked(foreign, name):
    task = TASKS.get(name)()
    if why := unavailable(task, foreign):
        assert len(why) > 20
        return
    assert not declined(foreign, task)[task.reference]


def test_the_curves_are_as_different_as_they_should_be(foreign):
    runs = foreign.runs()
    assert len(runs) == RUNS
    assert runs["num_steps"].n_unique() > 10
    assert runs["final.test_accuracy"].null_count() >= RUNS // 11
    assert (runs["status"] == "diverged").sum() > 0
