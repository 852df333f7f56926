"""Predictions and truth become self-describing rows, one a predictor and metric."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from harness import __version__
from harness.measure import Floats
from tasks.base import Task
from tasks.checked import Given, checked
from tasks.cost import Cost
from tasks.question import Answers
from tasks.scores import Scores, scores
from tasks.statistics.bootstrap import Bootstrap
from tasks.statistics.incremental import incremental_skills
from tasks.statistics.multiplicity import holm
from tasks.statistics.skill import share_of_attainable

FOLDS: Final = 5
"""Of the ridge that measures incremental skill."""
OK: Final = "ok"
DECLINED: Final = "declined"
UNDEFINED: Final = "undefined"

COLUMNS: Final = pl.Schema(
    {
        "task": pl.String,
        "task_version": pl.String,
        "predictor": pl.String,
        "arguments_json": pl.String,
        "corpus": pl.String,
        "corpus_sha256": pl.String,
        "metric": pl.String,
        "primary": pl.Boolean,
        "unit": pl.String,
        "direction": pl.String,
        "optimum": pl.Float64,
        "status": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,
        "families": pl.Int64,
        "declined": pl.Int64,
        "reason": pl.String,
        "reference": pl.String,
        "reference_value": pl.Float64,
        "skill": pl.Float64,
        "skill_low": pl.Float64,
        "skill_high": pl.Float64,
        "ceiling": pl.Float64,
        "share_of_attainable": pl.Float64,
        "incremental": pl.Float64,
        "incremental_low": pl.Float64,
        "incremental_high": pl.Float64,
        "p": pl.Float64,
        "p_holm": pl.Float64,
        "cost_observed": pl.Float64,
        "cost_passes": pl.Float64,
        "cost_seconds": pl.Float64,
        "cost_unknown": pl.String,
        "skill_per_cost": pl.Float64,
        "resamples": pl.Int64,
        "seed": pl.Int64,
        "runcast_version": pl.String,
        "predictions_sha256": pl.String,
    }
)
"""Columns of the rows, in order:

status: "ok"; "declined": the predictor declined every example; "undefined": the
    metric has no value, such as a rank correlation of a constant. Other than "ok"
    has no value.
value, low, high: score and its 95 % percentile interval over resampled families,
    the same draws for all predictors and tasks of equal families.
n, families, declined, reason: scored runs, their families, and how many of the runs
    the predictor declined, mostly why. Instead of what is declined the reference's
    answer is scored, so that declining never pays. A metric of quantiles has no row
    for a predictor without any, and counts a run without quantiles as declined.
reference_value, skill, ...: `tasks.statistics.skill`, paired: 0 is the reference,
    1 the optimum; of a metric that should be near its optimum, of the distance.
ceiling, share_of_attainable: `tasks.statistics.attainable`; no share where the
    reference is at the ceiling or better.
incremental, ...: skill of the predictor's answers beyond `controls`
    (`tasks.statistics.incremental`), where these are given, of the primary metric
    of tasks that ask for a value, with 10 families or more.
p, p_holm: of the primary metric being that of the reference, two-sided: paired
    Student's t over mean errors by family, squared where the metric squares them,
    or, where it averages no errors, the bootstrapped difference. Adjusted over the
    predictors of this call (Holm 1979).
cost_*, skill_per_cost: `tasks.cost`; skill over passes.
predictions_sha256: `tasks.checked.digest`.
"""


def evaluate(
    task: Task,
    answers: Answers,
    predictions: Mapping[str, pl.DataFrame],
    *,
    corpus: str,
    corpus_sha256: str,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
    costs: Mapping[str, Cost] | None = None,
    controls: Floats | None = None,
    asked: pl.DataFrame | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Return a row a (predictor, metric) with the columns of `COLUMNS`.

    Args:
        task: What was asked.
        answers: The truth.
        predictions: Tables as `tasks.answering` makes them, by predictor, the task's
            reference among them. The order of rows does not matter.
        corpus: Name of the corpus.
        corpus_sha256: Digest of its manifest.
        arguments: What each predictor was made with.
        costs: What each predictor consumed, see `tasks.cost`.
        controls: `[n, C]`, see `tasks.controls`.
        asked: What had to be answered, see `tasks.checked.checked`.
        resamples: Bootstrap resamples.
        seed: Names all draws.

    Raises:
        ValueError: A table is not what was asked for, see `tasks.checked`; the
            reference is not among them, or declines; fewer than two families.

    Cost: 432 runs, 17 predictors, 7 metrics, 1,000 resamples: about .6 s on one core.
    """
    said = checked(task, answers, predictions, asked)
    reference = _reference(task, said)
    filled = {name: one.filled(reference) for name, one in said.items()}
    found = scores(task, answers, filled, resamples=resamples, seed=seed)
    rows = [
        _row(task, one, at, said[name])
        for one in found
        for at, name in enumerate(one.names)
        if one.metric.needs != "quantiles" or said[name].quantiles is not None
    ]
    _tested(rows, found[0])
    gained = _incremental(task, answers, filled, controls, resamples, seed)
    shared = {
        "task": task.name,
        "task_version": task.version,
        "corpus": corpus,
        "corpus_sha256": corpus_sha256,
        "n": len(answers.ids),
        "families": len(set(answers.families)),
        "reference": task.reference,
        "resamples": resamples,
        "seed": seed,
        "runcast_version": __version__,
    }
    for row in rows:
        name = row["predictor"]
        made = dict((arguments or {}).get(name, {}))
        price = (costs or {}).get(name, Cost())
        row |= shared | price.columns()
        row["arguments_json"] = json.dumps(made, sort_keys=True)
        if row["primary"] and row["status"] != DECLINED:
            row |= gained.get(name, {})
        if row["skill"] is not None and price.passes:
            row["skill_per_cost"] = row["skill"] / price.passes
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def _reference(task: Task, said: Mapping[str, Given]) -> Given:
    """Return the reference's answers.

    Raises:
        ValueError: It is not there, or declines.
    """
    if task.reference not in said:
        raise ValueError(
            f"{task.name} is scored against {task.reference!r}, which is not among "
            f"the predictions of {sorted(said)}: answer with it too"
        )
    reference = said[task.reference]
    if declined := int(reference.gone().sum()):
        raise ValueError(
            f"{task.reference}, the reference of {task.name}, declines {declined} "
            "example(s), but it must answer all: "
            f"{reference.reason(reference.gone())}"
        )
    return reference


def _row(task: Task, one: Scores, at: int, said: Given) -> dict[str, Any]:
    """Return what the metric says of the predictor in place `at`."""
    gone = said.gone(one.metric.needs == "quantiles")
    reference = _number(one.score.value[0])
    row: dict[str, Any] = {
        "predictor": one.names[at],
        "metric": one.metric.name,
        "primary": one.metric.name == task.metrics[0],
        "unit": task.unit if one.metric.unit == "target" else one.metric.unit,
        "direction": one.metric.direction,
        "optimum": one.optimum,
        "status": DECLINED if gone.all() else OK,
        "declined": int(gone.sum()),
        "reason": said.reason(gone),
        "reference_value": reference,
        "ceiling": one.ceiling,
        "predictions_sha256": said.sha256,
        "skill": None,
    }
    if gone.all():
        return row
    row |= _ends(one.score.at(at), "value", "low", "high")
    row |= _ends(one.skill.at(at), "skill", "skill_low", "skill_high")
    if row["value"] is None:
        row["status"] = UNDEFINED
    elif one.ceiling is not None and reference is not None:
        sign = -1 if one.metric.direction == "max" else 1
        if sign * (reference - one.ceiling) > 0:
            row["share_of_attainable"] = _number(
                share_of_attainable(row["value"], reference, one.ceiling)
            )
    return row


def _ends(boot: Bootstrap, value: str, low: str, high: str) -> dict[str, float | None]:
    """Return a statistic and its interval, which it has where it has a value."""
    number = _number(boot.value)
    if number is None:
        return {value: None}
    return {value: number, low: _number(boot.low), high: _number(boot.high)}


def _number(value: npt.ArrayLike) -> float | None:
    number = float(np.asarray(value))
    return number if math.isfinite(number) else None


def _tested(rows: list[dict[str, Any]], one: Scores) -> None:
    """Add p-values to the primary rows, adjusted over the predictors tested."""
    p = dict(zip(one.names, one.p.tolist(), strict=True))
    tested = [
        row
        for row in rows
        if row["primary"] and row["status"] == OK and math.isfinite(p[row["predictor"]])
    ]
    p_values = [p[row["predictor"]] for row in tested]
    for row, value, adjusted in zip(tested, p_values, holm(p_values), strict=True):
        row |= {"p": value, "p_holm": float(adjusted)}


def _incremental(
    task: Task,
    answers: Answers,
    filled: Mapping[str, Given],
    controls: Floats | None,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """Return the incremental skill of each predictor, where it is defined."""
    few = len(set(answers.families)) < 2 * FOLDS
    if controls is None or task.kind != "value" or few:
        return {}
    names = sorted(filled)
    gained = incremental_skills(
        answers.values,
        controls,
        np.stack([filled[name].mean for name in names]),
        answers.families,
        folds=FOLDS,
        resamples=resamples,
        seed=seed,
    )
    columns = ("incremental", "incremental_low", "incremental_high")
    return {name: _ends(gained.skill.at(at), *columns) for at, name in enumerate(names)}
