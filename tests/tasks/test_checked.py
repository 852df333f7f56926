"""What is wrong with tables of predictions is told, all of it at once."""

import numpy as np
import polars as pl
import pytest

from tasks.evaluate import evaluate
from tasks.question import ask
from tests.tasks.asking import task
from tests.tasks.by_hand import IDENTITY, only, said, truth_as_answer, truths


def test_every_problem_of_every_table_is_named(some):
    good = said(some, 0.5, np.tile(np.arange(7.0), (90, 1)))
    twice = pl.concat([good.slice(1), good.head(3).slice(1), good.tail(1)])
    stranger = good.with_columns(id=pl.lit("e-?") + pl.col("id"))
    tables = {
        "median": good,
        "a": twice,
        "b": stranger,
        "c": good.with_columns(prediction=pl.lit(np.inf)),
        "d": good.with_columns(pl.col("q0.5") + 5),
        "e": good.with_columns(prediction=pl.lit("much")),
        "f": good.drop("q0.5"),
        "g": good.drop("reason").with_columns(score=pl.lit(1.0)),
        "h": good.with_columns(pl.lit(None, pl.Float64).alias("q0.1")),
        "i": good.with_columns(prediction=pl.lit(None, pl.Float64)),
        "j": good.with_columns(id=pl.lit(None, pl.String)),
    }
    with pytest.raises(ValueError, match=r"13 problem\(s\)") as caught:
        evaluate(task(), some, tables, **IDENTITY)
    text = str(caught.value)
    for problem in (
        "a: 1 row(s) (e-000) missing",
        "a: 3 row(s) (e-001, e-002, e-089) there more than once",
        "b: 90 row(s) (e-000, e-001, e-002, ...) missing",
        "b: 90 row(s) (e-?e-000, e-?e-001, e-?e-002, ...) not asked for",
        "c: 90 row(s) (e-000, e-001, e-002, ...) with not finite",
        "d: 90 row(s) (e-000, e-001, e-002, ...) with quantiles that decrease",
        "e: column prediction is String, expected numbers",
        "f: quantiles of some levels only: q0.05, q0.1, q0.25, q0.75, q0.9, q0.95",
        "g: no column reason",
        "g: unknown column score",
        "h: 90 row(s) (e-000, e-001, e-002, ...) with quantiles of some levels only",
        "i: 90 row(s) (e-000, e-001, e-002, ...) with quantiles of a declined example",
        "j: column id is null in 90 row(s)",
    ):
        assert problem in text
    event = truths([0.0, 1.0, 1.0], ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"1 row\(s\) \(e-002\) with a probability"):
        evaluate(
            task("probability", metrics=("brier",)),
            event,
            {"median": said(event, [0.0, 1.0, 1.5])},
            **IDENTITY,
        )


def test_problems_of_curves_name_their_epochs(everything):
    asked = task("curve", metrics=("curve_error",))
    _, answers = ask(everything, asked)
    good = truth_as_answer(asked, answers)
    first = pl.int_range(pl.len()) == 0
    tables = {
        "median": good,
        "a": good.slice(1),
        "b": pl.concat([good, good.head(1).with_columns(pl.col("epoch") + 90)]),
        "c": good.with_columns(prediction=pl.when(~first).then("prediction")),
        "d": good.with_columns(
            prediction=pl.when(first).then(-1.0).otherwise("prediction")
        ),
    }
    with pytest.raises(ValueError, match=r"4 problem\(s\)") as caught:
        evaluate(asked, answers, tables, **IDENTITY)
    name, epoch = good.row(0)[:2]
    for problem in (
        f"a: 1 row(s) ({name} epoch {epoch}) missing",
        f"b: 1 row(s) ({name} epoch {epoch + 90}) not asked for",
        f"c: 1 row(s) ({name}) with some epochs declined",
        f"d: 1 row(s) ({name}) with a value that is not positive",
    ):
        assert problem in str(caught.value)
    # Declined as a whole, a curve is scored as the reference's.
    silent = good.with_columns(
        prediction=pl.when(pl.col("id") != name).then("prediction")
    )
    doubled = good.with_columns(pl.col("prediction") * 2)
    rows = evaluate(
        asked, answers, {"median": doubled, "p": silent}, resamples=5, **IDENTITY
    )
    row = only(rows, "p", "curve_error")
    assert (row["declined"], row["reason"]) == (1, "no finite number")
    assert row["value"] == pytest.approx(np.log(2) / len(answers.ids))
