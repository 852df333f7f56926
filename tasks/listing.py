"""The tasks as rows: what is asked, from what, and what a corpus allows."""

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from harness.columns import aligned
from harness.corpus import Corpus
from tasks.availability import unavailable
from tasks.base import TASKS, Task
from tasks.blind.view import is_blind, num_hidden
from tasks.statistics.attainable import attainable
from tasks.targets import TARGETS

WIDTH: Final = 79
"""Longest line of a reason."""


def list_tasks(
    corpus: Corpus | None = None, names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return a row a task, in the order of their names.

    Keys: task, version, question, kind, target, unit, window, signals (None: all),
    settings, split, metrics, reference; with a corpus also unavailable (why, or None),
    runs, families, and ceiling, the best value of the primary metric that knowing the
    configuration allows (None: not defined, or no replicates); of a blind corpus these
    are of its public runs, and hidden is the number of hidden runs that are asked for.

    Args:
        corpus: To be asked; None lists the tasks alone.
        names: Tasks to list; None for all.

    Raises:
        KeyError: No task is called so.
    """
    tasks = [TASKS.get(name)() for name in (TASKS.names() if names is None else names)]
    return [
        _described(task) | ({} if corpus is None else _asked(task, corpus))
        for task in tasks
    ]


def _described(task: Task) -> dict[str, Any]:
    seen = task.visibility
    return {
        "task": task.name,
        "version": task.version,
        "question": task.question,
        "kind": task.kind,
        "target": task.target.to_json(),
        "unit": task.unit,
        "window": seen.until,
        "signals": None if seen.signals is None else list(seen.signals),
        "settings": seen.settings,
        "split": task.split.to_json(),
        "metrics": list(task.metrics),
        "reference": task.reference,
    }


def _asked(task: Task, corpus: Corpus) -> dict[str, Any]:
    why = unavailable(task, corpus)
    found: dict[str, Any] = {"unavailable": why}
    if is_blind(corpus):
        found["hidden"] = num_hidden(task, corpus)
    if why is not None:
        return found | {"runs": 0, "families": 0, "ceiling": None}
    target = TARGETS.get(task.target.name)(corpus, **task.target.params)
    families = corpus.runs(["run_id", "family_id"])
    rows = target.drop_nulls("value").join(families, on="run_id")
    ceiling = None
    if rows["value"].dtype != pl.List:
        ceiling = attainable(task.metrics[0], rows["value"], rows["family_id"])
    return found | {
        "runs": len(rows),
        "families": rows["family_id"].n_unique(),
        "ceiling": None if ceiling is None or np.isnan(ceiling) else float(ceiling),
    }


def tasks_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return the list as text: a table, questions, why tasks cannot be asked."""
    asked = bool(rows) and "unavailable" in rows[0]
    heads = ["task", "window", "metric", "reference"]
    if asked:
        heads += ["runs", "families", "ceiling"]
    open_ = [row for row in rows if not row.get("unavailable")]
    if any("hidden" in row for row in rows):
        heads.append("hidden")
    table = [heads, *(_cells(row, asked) for row in open_)]
    lines = aligned(table, right=(1, 4, 5, 6, 7))
    lines += ["", *(f"{row['task']}: {row['question']}" for row in open_)]
    return "\n".join([*lines, *_closed(rows)])


def askable_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return which tasks can be asked of a corpus, and why the others cannot."""
    names = [row["task"] for row in rows if not row["unavailable"]]
    head = f"{len(names)} of {len(rows)} tasks can be asked: {', '.join(names) or '-'}"
    wrapped = textwrap.fill(head, WIDTH, subsequent_indent="  ")
    return "\n".join([wrapped, *_closed(rows)])


def _closed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return why tasks cannot be asked, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.get("unavailable"):
            reasons.setdefault(row["unavailable"], []).append(row["task"])
    lines = []
    for why, names in reasons.items():
        text = f"{', '.join(names)}: cannot be asked: {why}"
        lines += ["", textwrap.fill(text, WIDTH, subsequent_indent="  ")]
    return lines


def _cells(row: dict[str, Any], asked: bool) -> list[str]:
    cells = [row["task"], f"{row['window']:.0%}", row["metrics"][0], row["reference"]]
    if asked:
        ceiling = "-" if row["ceiling"] is None else f"{row['ceiling']:.4g}"
        cells += [f"{row['runs']:,}", f"{row['families']:,}", ceiling]
    if "hidden" in row:
        cells.append(f"{row['hidden']:,}")
    return cells
