"""What every registered predictor promises, put to each and to each kind of task."""

import dataclasses
import functools
import inspect
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from baselines.noise_proxies import PROBED
from harness.corpus import Corpus
from harness.errors import Declined
from harness.record import Curve, RunRecord
from harness.schema import SIGNALS, Signal
from harness.seeds import stream
from harness.spec import Part
from tasks.answering import declined, tabulate
from tasks.base import Visibility
from tasks.observations import Observations, is_setting
from tasks.prediction import (
    EVERYTHING,
    PREDICTORS,
    Charge,
    Prediction,
    make_predictor,
)
from tasks.question import ask
from tests.tasks.asking import task
from tests.tasks.full_corpus import build_full

FAST = {"forest": {"trees": 10}, "hyper_boosting": {"iterations": 15}}
VALIDATION = Part("column", {"name": "final.validation_loss", "log": True})
QUESTIONS = {
    "accuracy": {"kind": "value"},
    "log-loss": {"target": VALIDATION},
    "deviation": {"target": Part("deviation", {})},
    "failure": {"target": Part("failed_to_learn", {}), "kind": "probability"},
    "curve": {
        "kind": "curve",
        "visibility": Visibility(until=0.4, planned_rate=True),
    },
    "plateau": {"target": Part("plateau", {"signal": "lambda_1"})},
    "loss-to-loss": {
        "target": VALIDATION,
        "visibility": Visibility(
            until=1.0, signals=("train_loss", "lr"), settings=False
        ),
    },
    "checkpoint": {"target": Part("last_good_checkpoint", {})},
}
EVERY = pytest.mark.parametrize("name", PREDICTORS.names())
DECLARING = [
    name for name in PREDICTORS.names() if Charge.of(PREDICTORS.get(name)) != EVERYTHING
]
"""Predictors that do not read everything."""
ASKED = pytest.mark.parametrize("question", QUESTIONS)


def probed(one: RunRecord) -> RunRecord:
    """Add what noise probes measure, of six runs in seven; make families differ."""
    one = differing(one)
    if one.status == "failed" or int(one.config.run_id[-2:], 16) % 7 == 0:
        return one
    draw = stream(one.config.seed, f"probed/{one.config.run_id}")
    steps = np.arange(0, max(one.curves["train_loss"].steps) + 1, 10, dtype=np.int32)
    added = {
        name: Curve(steps, np.exp(draw.standard_normal(len(steps))).astype(np.float32))
        for name in PROBED
    }
    dictionary = tuple(
        Signal(name=name, meaning="noise", unit="1", range="R", probe="noise")
        for name in PROBED
    )
    return dataclasses.replace(
        one, curves=one.curves | added, signals=(*one.signals, *dictionary)
    )


def differing(one: RunRecord) -> RunRecord:
    """Scale a run's losses by its family; epochs become short, so that laws fit."""
    if one.status == "failed":
        return one
    steps, losses = one.curves["train_loss"]
    scale = stream(0, f"scale/{one.config.family_id}").uniform(0.5, 3)
    scaled = (losses * scale).astype(np.float32)
    final = dict(one.final)
    if one.status == "completed":
        final["validation_loss"] = 0.1 + 1.2 * float(scaled[-20:].mean())
    curves = one.curves | {"train_loss": Curve(steps, scaled)}
    return dataclasses.replace(one, steps_per_epoch=5, curves=curves, final=final)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """24 families of 2 seeds; one run diverged, one failed, two families learn nothing.

    Plateaus, evaluations, noise and curvature are recorded.
    """
    return build_full(tmp_path_factory.mktemp("contract") / "corpus", probed)


@pytest.fixture(scope="module")
def fold_of(corpus: Corpus):
    """A function that returns the first fold of a question, as a predictor sees it."""

    @functools.cache
    def asked(question: str):
        made = dict(QUESTIONS[question])
        target, visibility = made.pop("target", None), made.pop("visibility", None)
        one = task(**made, name="final.test_accuracy")
        changes = {"target": target, "visibility": visibility}
        changes = {key: value for key, value in changes.items() if value is not None}
        return ask(corpus, dataclasses.replace(one, name=question, **changes))[0]

    @functools.cache
    def fold(question: str, charge: Charge):
        return next(asked(question).folds(charge))

    return fold


@pytest.fixture(scope="module")
def learned(fold_of):
    """A function that returns a predictor's fold, what learned, and its answer."""

    @functools.cache
    def of(name: str, question: str):
        part = Part(name, FAST.get(name, {}))
        fold = fold_of(question, Charge.of(make_predictor(part)))
        return fold, *answered(part, fold)

    return of


def answered(part: Part, fold, test: Observations | None = None):
    """Return a fitted predictor (None: it declined) and its answer."""
    test = test or fold.test
    predictor = make_predictor(part)
    try:
        predictor.fit(fold.train, fold.targets)
        return predictor, predictor.predict(test)
    except Declined as reason:
        return None, declined(test, str(reason))


def by_id(seen: Observations, found: Prediction) -> pl.DataFrame:
    """Return an answer as rows, sorted."""
    table = tabulate(seen, found)
    return table.sort([c for c in ("id", "epoch") if c in table.columns])


@EVERY
@ASKED
def test_it_answers_or_declines_with_a_reason(learned, name, question):
    fold, _, found = learned(name, question)
    table = by_id(fold.test, found)
    assert set(table["id"]) == set(fold.test.ids)
    lost = table.filter(pl.col("prediction").is_null())
    assert all(len(reason) > 8 for reason in lost["reason"])
    assert table.filter(pl.col("prediction").is_not_null())["reason"].null_count() == (
        len(table) - len(lost)
    )


@EVERY
def test_it_answers_something(learned, name):
    answers = [by_id(*_seen(learned(name, question))) for question in QUESTIONS]
    assert any(table["prediction"].count() for table in answers)


@EVERY
@ASKED
def test_the_same_question_has_the_same_answer_to_the_bit(learned, name, question):
    fold, _, found = learned(name, question)
    again = answered(Part(name, FAST.get(name, {})), fold)[1]
    assert by_id(fold.test, again).equals(by_id(fold.test, found))


@EVERY
@ASKED
def test_an_answer_depends_on_its_own_example_alone(learned, name, question):
    fold, predictor, found = learned(name, question)
    if predictor is None:
        return
    whole = by_id(fold.test, found)
    for some in (fold.test.ids[1::2], fold.test.ids[2:3]):
        fewer = fold.test.of(some)
        part = by_id(fewer, predictor.predict(fewer))
        same = whole.filter(pl.col("id").is_in(some))
        assert part["reason"].equals(same["reason"])
        for column in part.columns[1:]:
            if part[column].dtype.is_float():
                ours, theirs = (t[column].fill_null(-1.0) for t in (part, same))
                np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", DECLARING)
@ASKED
def test_it_reads_only_what_it_declares(fold_of, learned, name, question):
    """What it does not declare is shown, but is noise: nothing may change."""
    hidden, _, found = learned(name, question)
    part = Part(name, FAST.get(name, {}))
    charge = Charge.of(make_predictor(part))
    shown = fold_of(question, EVERYTHING)
    noisy = dataclasses.replace(
        shown,
        train=disturbed(shown.train, charge, "train"),
        test=disturbed(shown.test, charge, "test"),
    )
    again = answered(part, noisy)[1]
    assert by_id(noisy.test, again).equals(by_id(hidden.test, found))


def disturbed(seen: Observations, charge: Charge, purpose: str) -> Observations:
    """Return observations of which all that is not declared is noise."""
    blocks = []
    for block in seen.blocks:
        recorded = dict(block.recorded)
        for signal, curve in recorded.items():
            if charge.signals is not None and signal not in charge.signals:
                draw = stream(0, f"{purpose}/{signal}", len(block))
                values = draw.uniform(0.1, 5, len(curve.values)).astype(np.float32)
                recorded[signal] = dataclasses.replace(curve, values=values)
        loss, rate = block.loss, block.rate
        if not charge.curves:
            draw = stream(0, f"{purpose}/curves", len(block))
            loss, rate = (
                draw.uniform(0.1, 5, values.shape).astype(np.float32)
                for values in (loss, rate)
            )
        blocks.append(
            dataclasses.replace(block, recorded=recorded, loss=loss, rate=rate)
        )
    settings = seen.settings
    if not charge.settings:
        draw = stream(0, purpose, len(seen))
        settings = settings.with_columns(
            pl.Series(column, draw.uniform(1, 9, len(seen)))
            for column in settings.columns
            if is_setting(column)
        )
    return dataclasses.replace(seen, blocks=tuple(blocks), settings=settings)


@EVERY
def test_arguments_are_named_have_defaults_and_are_stored(name):
    thing = PREDICTORS.get(name)
    made = make_predictor(Part(name))
    for argument in inspect.signature(thing).parameters.values():
        assert argument.kind is inspect.Parameter.KEYWORD_ONLY
        assert argument.default is not inspect.Parameter.empty
        assert getattr(made, argument.name) == argument.default


@EVERY
def test_the_signals_that_it_uses_are_documented(name):
    page = (Path(__file__).parents[2] / "docs" / "signals.md").read_text()
    known = {signal.name for signal in SIGNALS}
    for signal in getattr(PREDICTORS.get(name), "uses", None) or ():
        assert signal in known or f"`{signal}`" in page


@ASKED
def test_nothing_that_a_predictor_is_given_can_be_written_to(fold_of, question):
    fold = fold_of(question, EVERYTHING)
    for seen in (fold.train, fold.test):
        for block, planned in zip(seen.blocks, seen.planned, strict=True):
            arrays = [block.loss, block.rate]
            for curve in block.recorded.values():
                arrays += [curve.offsets, curve.steps, curve.values]
            assert not any(array.flags.writeable for array in arrays)
            assert planned is None or not planned.flags.writeable


@EVERY
def test_learning_leaves_the_targets_as_they_were(fold_of, name):
    part = Part(name, FAST.get(name, {}))
    fold = fold_of("accuracy", Charge.of(make_predictor(part)))
    before = fold.targets.values.copy()
    answered(part, fold)
    np.testing.assert_array_equal(fold.targets.values, before)


def _seen(learned_of):
    fold, _, found = learned_of
    return fold.test, found
