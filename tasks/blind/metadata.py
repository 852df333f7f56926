"""The canary of a blind release: names, places and sizes must not tell the ends."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import rankdata

from harness.early.curves import LOSS, last_step
from harness.measure import Floats
from tasks.blind.findings import Finding, Made
from tasks.blind.hidden import ROLES_FILE, RUNS_FILE, curves_file
from tasks.blind.view import read_table
from tasks.canary import characters, foretold, varying
from tasks.metrics.inputs import Ints
from tasks.question import Answers
from tasks.statistics.multiplicity import holm
from tasks.statistics.permutation import against, permuted_targets

LEVEL: Final = 0.05
"""Of all tasks together (Holm)."""
PERMUTATIONS: Final = 999
"""Enough for one test of fifty, two a task, to fail."""
FOLDS: Final = 5


def metadata(made: Made) -> Finding:
    """Say whether metadata alone foretell a target of the hidden runs.

    Metadata of a run: the characters of its id, its place in hidden_runs, in its
    window's curves and in the task's roles, how many rows of curves it has, and how
    many values it lacks that others of its length have, unless its training loss ends
    within the window, which everybody may see. Families are divided into five folds;
    a ridge over all and the mean around each place answer (`tasks.canary.foretold`);
    and the largest rank correlation of a place or a size with the target is taken.
    Statistic: the least p-value, of both for each task, against targets that whole
    families exchange, adjusted after Holm; .05 or less is a leak.
    """
    runs = read_table(made.blind, RUNS_FILE)["run_id"].to_list()
    roles = read_table(made.blind, ROLES_FILE)
    sizes = {window.name: _sizes(made, window.name) for window in made.windows}
    p_values: dict[str, float] = {}
    for task in made.tasks:
        answers = made.answers[task.name]
        own = roles.filter(task=task.name)["run_id"].to_list()
        around, lengths = sizes[made.window(task.name).name]
        where = [_places(runs, answers.ids), around, _places(own, answers.ids)]
        told, ordered = foretelling(answers, where, lengths)
        p_values |= {task.name: told, f"the order of {task.name}": ordered}
    adjusted = dict(zip(p_values, holm(list(p_values.values())).tolist(), strict=True))
    worst = min(adjusted, key=lambda name: adjusted[name])
    least = adjusted[worst]
    text = (
        f"metadata alone foretell {worst} with p = {least:.2g} ({len(adjusted)} "
        f"tests, Holm), expected more than {LEVEL:g}"
    )
    if least <= LEVEL:
        text += (
            ": chance does this to one honest release in twenty, and a release with "
            "another key then passes; a leak does it again"
        )
    return Finding(passed=least > LEVEL, statistic=least, text=text)


def _places(order: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Return where each name first stands in an order, in [0, 1]."""
    first = {name: i for i, name in reversed(list(enumerate(order)))}
    return {name: first[name] / len(order) for name in names}


def _sizes(made: Made, window: str) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return, by id, the place in a window's curves, and how much lies there."""
    runs = made.runs().filter(window=window).select(pl.col("id"), "num_steps")
    seen = next(w for w in made.windows if w.name == window).visibility
    ends = last_step(seen.until, runs["num_steps"].to_numpy())
    curves = read_table(made.blind, curves_file(window)).with_row_index("row")
    length = pl.col("steps").list.len().cast(pl.Int64)
    loss = pl.when(pl.col("signal") == LOSS).then(pl.col("steps").list.max())
    found = (
        curves.group_by("run_id")
        .agg(
            first=pl.col("row").min(),
            rows=pl.len().cast(pl.Int64),
            values=length.sum(),
            last=loss.max(),
        )
        .join(runs.with_columns(end=pl.Series(ends)), left_on="run_id", right_on="id")
    )
    whole = (pl.col("last") >= pl.col("end")).fill_null(False)
    lack = [
        pl.when(whole)
        .then(pl.col(name) - pl.col(name).max().over("num_steps"))
        .otherwise(0)
        .alias(name)
        for name in ("rows", "values")
    ]
    found = found.with_columns(lack)
    names = found["run_id"].to_list()
    places = (found["first"] / max(len(curves), 1)).to_list()
    numbers = found.select("rows", "values").cast(pl.Float64).rows()
    lengths = {name: list(row) for name, row in zip(names, numbers, strict=True)}
    return dict(zip(names, places, strict=True)), lengths


def foretelling(
    answers: Answers,
    where: Sequence[Mapping[str, float]],
    sizes: Mapping[str, Sequence[float]],
    *,
    permutations: int = PERMUTATIONS,
) -> tuple[float, float]:
    """Return two p-values: of models that answer, and of the best rank correlation.

    Args:
        answers: The truth.
        where: Places by id, in several orders.
        sizes: Further numbers by id.
        permutations: Targets dealt anew.
    """
    ids = list(answers.ids)
    last = [np.log(curve[-1]) for curve in answers.curves]
    truth = np.array(last if answers.curves else answers.values, np.float64)
    label = np.unique(answers.families, return_inverse=True)[1]
    kept = _exchangeable(label)
    places = [np.array([place[name] for name in ids])[kept] for place in where]
    numbers_of = np.array([sizes[name] for name in ids])[kept]
    names = [ids[row] for row in kept.tolist()]
    numbers = varying(np.column_stack([characters(names), *places, numbers_of]))
    label = np.unique(label[kept], return_inverse=True)[1]
    rounds = _rounds(label)
    truth = truth[kept]
    found = foretold(numbers, places, truth, label, rounds, permutations=permutations)
    columns = np.column_stack([*places, numbers_of])
    return found.p, _ordered(columns, truth, label, permutations)


def _ordered(columns: Floats, truth: Floats, label: Ints, permutations: int) -> float:
    """Return the p-value of the largest squared rank correlation of any column."""
    ranks = rankdata(truth)
    dealt = permuted_targets(ranks, label, permutations=permutations)
    targets = np.vstack([ranks[None], dealt])
    known = np.column_stack([rankdata(column) for column in varying(columns).T])
    known = (known - known.mean(axis=0)) / known.std(axis=0)
    centred = (targets - ranks.mean()) / (ranks.std() or 1.0)
    best = ((centred @ known / len(ranks)) ** 2).max(axis=1)
    return against(float(best[0]), best[1:], direction="max").p


def _exchangeable(label: Ints) -> Ints:
    """Return rows whose families can exchange targets.

    All of them, unless no two families have the same number of runs: then as many of
    each as the smallest has.
    """
    sizes = np.bincount(label)
    if len(np.unique(sizes)) < len(sizes):
        return np.arange(len(label))
    fewest = sizes.min()
    return np.sort(
        np.concatenate([np.flatnonzero(label == i)[:fewest] for i in range(len(sizes))])
    )


def _rounds(label: Ints) -> list[tuple[Ints, Ints]]:
    """Return folds of families: rows to learn from and rows to answer for."""
    folds = min(FOLDS, int(label.max()) + 1)
    fold = label % folds
    return [
        (np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(folds)
    ]
