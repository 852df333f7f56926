"""All metrics of a task for all predictors at once, over the same resamples.

The arithmetic between checked answers (`tasks.checked`) and rows (`tasks.evaluate`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.measure import Floats
from tasks.base import Task
from tasks.checked import Given, counted
from tasks.metrics.inputs import ratio
from tasks.metrics.table import Metric, metric
from tasks.question import Answers
from tasks.statistics.attainable import attainable
from tasks.statistics.bootstrap import (
    Bootstrap,
    cluster_bootstrap,
    combine,
    family_index,
)
from tasks.statistics.ceiling import typical_sigma
from tasks.statistics.paired import paired_p
from tasks.statistics.skill import skill_interval

KEPT: Final = 3
"""Runs that a decision keeps, the k of `regret_at_k`."""
LOSSES: Final = ("nat", "ln nat")
"""Units of targets of which less is better."""
RELATIVE: Final = ("deviation",)
"""Targets that compare replicates with each other: to families they have no ceiling."""
SQUARED: Final = ("rmse", "r2", "brier")
"""Metrics that average squared errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One metric of those predictors that it applies to, the reference first."""

    metric: Metric
    names: tuple[str, ...]
    """`[P]`, predictors."""
    score: Bootstrap
    """`[P]`."""
    skill: Bootstrap
    """`[P]`, against the reference, to the optimum."""
    optimum: float
    """Of the rows as they are."""
    ceiling: float | None
    """What seeds leave attainable, see `tasks.statistics.attainable`."""
    p: Floats
    """`[P]`, of no difference from the reference; NaN: none can be told."""
    said: Floats
    """`[P, n]` and further axes, what was scored."""
    truth: Bootstrap | None = None
    """`[1]`, what the truth scores, where the optimum varies with the resamples."""


def scores(
    task: Task,
    answers: Answers,
    given: Mapping[str, Given],
    *,
    resamples: int,
    seed: int,
    among: Sequence[str] | None = None,
) -> list[Scores]:
    """Return every metric of the task, with intervals over the same draws.

    Args:
        task: Names metrics and reference.
        answers: The truth.
        given: What each predictor said, without gaps; the reference is among them.
        resamples: B.
        seed: Names the draws.
        among: Families that are drawn from, see `cluster_bootstrap`.
    """
    names = sorted(given, key=lambda name: (name != task.reference, name))
    truth = true_values(task, answers)
    keywords = _keywords(task, answers)
    parts: list[tuple[Metric, list[str], Floats, Callable[[Floats], Floats]]] = []
    for one in map(metric, task.metrics):
        fitting = [
            name
            for name in names
            if one.needs != "quantiles" or given[name].quantiles is not None
        ]
        if not fitting:
            continue
        if task.reference not in fitting:
            fitting.insert(0, task.reference)
        said = _said(task, one, given, fitting)
        if one.optimum is None:
            said = np.concatenate([said, truth[None]])
        function = _bound(task, one, truth, said, keywords)
        if one.compares:
            function = _by_fold(task, one, truth, said, keywords, answers)
        parts.append((one, fitting, said, function))

    def everything(weights: Floats) -> Floats:
        return np.concatenate([function(weights) for *_, function in parts])

    boot = cluster_bootstrap(
        everything, answers.families, resamples=resamples, seed=seed, among=among
    )
    result, start = [], 0
    for one, fitting, said, _ in parts:
        mine = boot.at(slice(start, start + len(said)))
        start += len(said)
        result.append(_scored(task, answers, one, fitting, truth, said, mine))
    return result


def true_values(task: Task, answers: Answers) -> Floats:
    """Return the truth, `[n]`, or `[n, E]` of curves, with 1 behind short ones."""
    if task.kind != "curve":
        return answers.values
    truth = np.ones(counted(answers).shape)
    truth[counted(answers)] = np.concatenate(answers.curves)
    return truth


def _keywords(task: Task, answers: Answers) -> dict[str, Any]:
    """Return everything that a metric may take, by its name."""
    runs = answers.runs
    cost = runs["num_steps"].cast(float)
    if "batch_size" in runs.columns and not runs["batch_size"].null_count():
        cost = cost * runs["batch_size"]
    known: dict[str, Any] = {
        name: _table(column) for name, column in answers.context.items()
    }
    known |= {
        "threshold": _threshold(task, answers),
        "cost": cost.to_numpy(),
        "share": task.visibility.until,
        "k": KEPT,
        "tolerance": task.tolerance,
        "levels": task.levels,
    }
    if task.kind == "curve":
        known["counted"] = counted(answers)
    return known


def _table(column: Any) -> npt.NDArray[Any]:
    """Return a column of the context; lists become rows that end in NaN."""
    if not isinstance(column, list):
        return np.asarray(column)
    rows = [np.asarray(row, np.float64) for row in column]
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table


def _threshold(task: Task, answers: Answers) -> float:
    """Return the least difference that is more than seeds: 2 sigma_w, 0 if unknown.

    Of the typical family: one configuration in which some seeds fail would else decide
    how different all others must be.
    """
    if task.kind == "curve":
        return 0.0
    values, families = answers.replicated["value"], answers.replicated["family_id"]
    try:
        return 2 * typical_sigma(values.to_numpy(), families.to_numpy())
    except DataError:
        return 0.0


def _said(
    task: Task, one: Metric, given: Mapping[str, Given], names: list[str]
) -> Floats:
    """Return `[P, n]`, with `[L]` of quantiles or `[E]` of curves behind."""
    if one.needs != "quantiles":
        return np.stack([given[name].mean for name in names])
    # A point forecast is a distribution without width.
    points = [np.repeat(given[n].mean[:, None], len(task.levels), 1) for n in names]
    widths = [given[name].quantiles for name in names]
    return np.stack(
        [p if q is None else q for p, q in zip(points, widths, strict=True)]
    )


def _bound(
    task: Task, one: Metric, truth: Floats, said: Floats, keywords: Mapping[str, Any]
) -> Callable[[Floats], Floats]:
    """Return the metric as a function of weights `[N, b]` alone."""
    sign = -1.0 if one.needs == "decision" and task.unit in LOSSES else 1.0
    signed, meant = sign * truth, sign * said
    taken = {name: keywords[name] for name in one.takes}

    def function(weights: Floats) -> Floats:
        return one.function(signed, meant, weights=weights, **taken)

    return function


def _by_fold(
    task: Task,
    one: Metric,
    truth: Floats,
    said: Floats,
    keywords: Mapping[str, Any],
    answers: Answers,
) -> Callable[[Floats], Floats]:
    """Return a metric that ranks runs, scored in each fold alone: the mean by runs.

    The folds' predictors learned from different runs: a constant, each fold's own, has
    no order, and over all folds together would have a wrong one. A fold without rows,
    or in which the metric is undefined, does not count.
    """
    folds = answers.runs["fold"].to_numpy()
    places = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    num_rows = len(folds)
    functions = [
        _bound(
            task,
            one,
            truth[rows],
            said[:, rows],
            {
                # a list of as many levels as there are rows is not one value a row
                name: value[rows]
                if isinstance(value, np.ndarray) and len(value) == num_rows
                else value
                for name, value in keywords.items()
            },
        )
        for rows in places
    ]

    def function(weights: Floats) -> Floats:
        total, mass = np.zeros((2, len(said), weights.shape[1]))
        for rows, score in zip(places, functions, strict=True):
            own = weights[rows]
            size = own.sum(axis=0)
            own[:, size == 0] = 1.0  # scored, but of no weight
            found = score(own)
            known = np.isfinite(found)
            total += np.where(known, found, 0.0) * size
            mass += known * size
        return ratio(total, mass)

    return function


def _scored(
    task: Task,
    answers: Answers,
    one: Metric,
    names: list[str],
    truth: Floats,
    said: Floats,
    boot: Bootstrap,
) -> Scores:
    """Return a metric's skill, ceiling and p-values from its bootstrap."""
    rows = slice(len(names))
    score, reference = boot.at(rows), boot.at(slice(1))
    ends = None
    if one.optimum is None:
        ends = boot.at(slice(len(names), None))
        optimum = float(ends.value[0])
        skill = skill_interval(score, reference, optimum=ends)
    elif one.direction == "near":
        optimum = task.levels[-1] - task.levels[0]
        distance = combine(lambda s: np.abs(s - optimum), score)
        skill = skill_interval(distance, distance.at(slice(1)))
    else:
        optimum = one.optimum
        skill = skill_interval(score, reference, optimum=optimum)
    return Scores(
        metric=one,
        names=tuple(names),
        score=score,
        skill=skill,
        optimum=optimum,
        ceiling=_ceiling(task, answers, one),
        p=p_values(one, answers, truth, said[rows], score),
        said=said[rows],
        truth=ends,
    )


def _ceiling(task: Task, answers: Answers, one: Metric) -> float | None:
    if task.kind == "curve" or task.target.name in RELATIVE:
        return None
    values, families = answers.replicated["value"], answers.replicated["family_id"]
    return attainable(one.name, values.to_numpy(), families.to_numpy())


def p_values(
    one: Metric,
    answers: Answers,
    truth: Floats,
    said: Floats,
    score: Bootstrap,
    against: int = 0,
) -> Floats:
    """Return two-sided p-values `[P]` of no difference from the row `against`.

    Where the metric averages an error a run, Student's paired t over the families'
    mean errors; else the difference over its deviation in the resamples, against
    Student's distribution with (families - 1) degrees of freedom.
    """
    from scipy.special import stdtr

    if len(set(answers.families)) < 2:
        return np.full(len(said), np.nan)
    index, num_families = family_index(answers.families)
    errors = _errors(one, answers, truth, said)
    if errors is not None:
        sums = np.array([np.bincount(index, row) for row in errors])
        means = sums / np.bincount(index)
        return paired_p(means, means[against])
    difference = score.value - score.value[against]
    spread = (score.samples - score.samples[against]).std(axis=1, ddof=1)
    return np.asarray(2 * stdtr(num_families - 1, -np.abs(ratio(difference, spread))))


def _errors(
    one: Metric, answers: Answers, truth: Floats, said: Floats
) -> Floats | None:
    """Return the error of each run that the metric averages, `[P, n]`, if it does."""
    if one.name in SQUARED:
        return np.asarray((said - truth) ** 2)
    if one.name in ("log_mae", "curve_error"):
        misses = np.abs(np.log(said) - np.log(truth))
        if one.name == "log_mae":
            return np.asarray(misses)
        mask = counted(answers)
        return np.asarray((misses * mask).sum(axis=-1) / mask.sum(axis=-1))
    return np.asarray(np.abs(said - truth)) if one.name == "mae" else None
