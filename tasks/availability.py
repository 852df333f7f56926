"""Why a task cannot be asked of a corpus, and what could be done about it."""

import functools
from collections.abc import Sequence
from typing import Final, NamedTuple

import polars as pl

from harness.corpus import Corpus
from harness.early.curves import LOSS, RATE
from harness.errors import DataError
from harness.importers.missing import WHATS, curve_sizes, missing
from tasks.base import Task
from tasks.metrics.table import metric
from tasks.splits import Division, divide
from tasks.targets import TARGETS

LEARNED: Final = 2
"""Fewest runs in the training part of a fold."""
SCORED: Final = 2
"""Fewest families that are scored: an interval needs more than one."""
RARE: Final = 5
"""Fewest runs with either outcome: fewer tell no forecast from another."""


def unavailable(task: Task, corpus: Corpus) -> str | None:
    """Return in one sentence why a task cannot be asked of a corpus; None if it can.

    Nothing is raised for what a corpus lacks, imported ones included.

    Cost: reads the tables and what the target reads of full curves; the steps of all
    curves once a corpus.
    """
    return (
        _nothing_seen(task, corpus)
        or _not_given(task, corpus)
        or _no_replicates(task, corpus)
        or _too_few(task, corpus)
    )


class _Facts(NamedTuple):
    runs: pl.DataFrame
    """The table of runs."""
    recorded: frozenset[str]
    """Signals with a value."""
    without: frozenset[str]
    """What no run has, of `harness.importers.missing`."""


@functools.lru_cache(maxsize=1)
def _facts(corpus: Corpus) -> _Facts:
    """Return what is recorded in a corpus, which never changes."""
    sizes = curve_sizes(corpus).filter(pl.col("n") > 0)
    none = [each.what for each in missing(corpus) if not each.runs]
    return _Facts(corpus.runs(), frozenset(sizes["signal"]), frozenset(none))


def _nothing_seen(task: Task, corpus: Corpus) -> str | None:
    """Say which signals are needed and were not recorded."""
    facts = _facts(corpus)
    lacking = [name for name in task.requires if name not in facts.recorded]
    if lacking:
        names = " and ".join(lacking)
        return f"no run of {corpus.name} has values of {names}: record or import it"
    if LOSS in task.requires and "every_update" in facts.without:
        return (
            f"no run of {corpus.name} has {LOSS} at every update; without, there are "
            f"no {WHATS['every_update']}"
        )
    shown = task.visibility.signals
    seen = facts.recorded if shown is None else facts.recorded.intersection(shown)
    if not seen - {RATE}:
        return (
            f"{corpus.name} records nothing that the task shows: record or import "
            f"{LOSS} or another curve"
        )
    return None


def _not_given(task: Task, corpus: Corpus) -> str | None:
    """Say which later value, that the task gives away, the corpus does not have."""
    runs = _facts(corpus).runs
    for name in task.visibility.finals:
        if name not in runs.columns or not runs[name].count():
            return f"{corpus.name} has no values of {name!r}, which the task shows"
    return None


def _no_replicates(task: Task, corpus: Corpus) -> str | None:
    """Say if the noise between seeds decides what counts and is not known."""
    needed = any("threshold" in metric(name).takes for name in task.metrics)
    if needed and "replicates" in _facts(corpus).without:
        return (
            f"no two runs of {corpus.name} differ in their seed only, so it is unknown "
            "which differences are noise: record each configuration with several "
            "seeds, or import with a column that tells the family"
        )
    return None


def _too_few(task: Task, corpus: Corpus) -> str | None:
    """Say what is wrong with the target or with the division of its runs."""
    try:
        target = TARGETS.get(task.target.name)(corpus, **task.target.params)
        value = target.select("run_id", "value").drop_nulls("value")
        runs = _facts(corpus).runs.join(value, on="run_id").sort("run_id")
        if alike := _alike(task, runs, corpus.name):
            return alike
        divisions = divide(task.split, _facts(corpus).runs, runs["run_id"].to_list())
    except (DataError, ValueError) as error:
        return str(error)
    return _unscorable(divisions, runs, corpus.name)


def _alike(task: Task, runs: pl.DataFrame, name: str) -> str | None:
    """Say if (nearly) all runs have the same target."""
    if runs.is_empty():
        return f"no run of {name} has the target {task.target.name}"
    if task.kind == "curve":
        return None
    counts = runs["value"].value_counts().sort("count")
    if len(counts) < 2:
        return (
            f"all {len(runs)} runs of {name} with a target have the value "
            f"{runs['value'][0]:g}: there is nothing to tell apart"
        )
    rare, count = counts.row(0)
    families = runs.filter(pl.col("value") == rare)["family_id"].n_unique()
    if task.kind == "probability" and (count < RARE or families < SCORED):
        return (
            f"{count} of {len(runs)} runs of {name} have the outcome {rare:g} "
            f"(families: {families}): fewer than {RARE} runs of {SCORED} families tell "
            "no forecast from another; the grid edge has many"
        )
    return None


def _unscorable(
    divisions: Sequence[Division], runs: pl.DataFrame, name: str
) -> str | None:
    """Say if the divisions leave too few runs to learn from or to score."""
    family = dict(runs.select("run_id", "family_id").rows())
    used = [d for d in divisions if d.test and len(d.train) >= LEARNED]
    scored = {family[run] for division in used for run in division.test}
    if len(scored) < SCORED:
        return (
            f"{len(runs)} runs of {len(set(family.values()))} families of {name} leave "
            f"{len(scored)} families to score: record runs of more configurations"
        )
    return None
