"""A task put to a blind corpus: learn from its public runs, answer for hidden ones."""

import functools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.errors import DataError
from harness.schema import WINDOW_EDGES
from harness.storage import read_parquet
from tasks.base import Task
from tasks.blind.hidden import ROLES_FILE, RUNS_FILE, TEST, TRAIN, curves_file
from tasks.blind.windows import Window
from tasks.observations import observe
from tasks.question import Question, truth_of
from tasks.targets import TARGETS

BLIND: Final = "blind"
"""Key of a manifest that tells what is hidden."""


def is_blind(corpus: Corpus) -> bool:
    """Tell whether a corpus holds hidden runs."""
    return BLIND in corpus.manifest


def hidden_tasks(corpus: Corpus) -> dict[str, str]:
    """Return the versions of the tasks that hidden runs are asked for, by name."""
    found = corpus.manifest.get(BLIND, {}).get("tasks", {})
    return {name: task["version"] for name, task in sorted(found.items())}


def not_hidden(task: Task, corpus: Corpus) -> str | None:
    """Return in one sentence why a task asks for no hidden run; None if it does."""
    version = hidden_tasks(corpus).get(task.name)
    if version is None:
        return f"{corpus.name} hides no runs for it"
    if version != task.version:
        return (
            f"{corpus.name} hides runs for {task.name}@{version}, this runcast has "
            f"version {task.version}: use the runcast that it names, "
            f"{corpus.manifest['runcast_version']}"
        )
    return None


def num_hidden(task: Task, corpus: Corpus) -> int:
    """Return how many hidden runs of a blind corpus a task asks for."""
    found = corpus.manifest[BLIND]["tasks"].get(task.name, {})
    return int(found.get("test", 0))


def ask_hidden(corpus: Corpus, task: Task) -> Question:
    """Put a task to a blind corpus: one round, whose answers nobody here knows.

    Observations are those that `tasks.question.ask` makes of the whole corpus: a hidden
    run is called by its id in the table `hidden_runs`.

    Args:
        corpus: An open blind corpus.
        task: What is asked.

    Raises:
        DataError: The corpus hides no runs for this task, or too little is public.

    Cost: reads the public curves up to the window, and the window's hidden ones.
    """
    if why := not_hidden(task, corpus):
        raise DataError(f"{task.name} asks for no hidden run: {why}")
    roles = _roles(corpus).filter(task=task.name)
    asked = roles.filter(role=TEST)["run_id"].sort()
    target = TARGETS.get(task.target.name)(corpus, **task.target.params)
    target = target.filter(pl.col("value").is_not_null()).sort("run_id")
    learned = roles.filter(role=TRAIN)["run_id"]
    runs = corpus.runs(["run_id", "family_id"]).join(target, on="run_id")
    runs = runs.filter(pl.col("run_id").is_in(learned.to_list()))
    if runs.is_empty():
        raise DataError(f"{task.name}: no public run of {corpus.name} has the target")
    view = _view(corpus, roles["window"][0])
    hidden = asked.to_list()
    names = {name: name for name in hidden}
    everyone, run_of = observe(view, task, [*runs["run_id"], *hidden], names)
    rows = {row["run_id"]: row for row in runs.iter_rows(named=True)}
    known = [name for name, run in run_of.items() if run in rows]
    targets = truth_of(task, everyone.of(known), run_of, rows)
    return Question(
        task=task,
        corpus=corpus.name,
        corpus_sha256=corpus.data_sha256,
        everyone=everyone,
        rounds=((targets, tuple(hidden)),),
        hidden=True,
    )


def asked_of(question: Question) -> pl.DataFrame:
    """Return what a question about hidden runs asks, see `tasks.checked.epochs_of`."""
    ((_, tested),) = question.rounds
    rows = []
    for block in question.everyone.of(tested).blocks:
        epochs = np.zeros(1, np.int64)
        if question.task.kind == "curve":
            epochs = question.everyone.remaining_epochs(block)
        ends = (int(epochs.min(initial=1 << 31)), int(epochs.max(initial=0)))
        rows += [(name, *ends) for name in block.run_ids]
    schema = {"id": pl.String, "first": pl.Int64, "last": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("id")


class WindowView(Corpus):
    """Public runs and those that a window shows, as the tables of one corpus."""

    def __init__(self, corpus: Corpus, window: Window) -> None:
        """Look at a blind corpus through one of its windows."""
        super().__init__(corpus.folder, corpus.manifest)
        self._corpus = corpus
        self._window = window.name

    def path(self, name: str) -> Path:
        """Return the path of a file, verified once for all windows."""
        return self._corpus.path(name)

    def runs(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return public runs and hidden ones; what is not shown of these is null."""
        hidden = _hidden_runs(self._corpus).filter(window=self._window)
        public = super().runs(columns)
        if columns is not None:
            hidden = hidden.select([c for c in hidden.columns if c in set(columns)])
        else:
            hidden = hidden.drop("window")
        return pl.concat([public, hidden], how="diagonal_relaxed")

    def curves(
        self,
        signals: Collection[str] | None = None,
        *,
        until: float = 1.0,
        run_ids: Collection[str] | None = None,
    ) -> pl.DataFrame:
        """Return curves of public runs and what is shown of hidden ones."""
        public = super().curves(signals, until=until, run_ids=run_ids)
        percent = round(until * 100, 9)
        last = next(k for k, edge in enumerate(WINDOW_EDGES) if percent <= edge)
        hidden = _hidden_curves(self._corpus, self._window)
        hidden = hidden.filter(pl.col("segment") <= last)
        if signals is not None:
            hidden = hidden.filter(pl.col("signal").is_in(list(signals)))
        if run_ids is not None:
            hidden = hidden.filter(pl.col("run_id").is_in(list(run_ids)))
        if percent != WINDOW_EDGES[last]:
            hidden = self._cut(hidden, last, percent)
        return pl.concat([public, hidden])


@functools.lru_cache(maxsize=2)
def _view(corpus: Corpus, window: str) -> WindowView:
    """Return a window's view, one object, so that its tasks share what is read."""
    data = corpus.manifest[BLIND]["windows"][window]
    return WindowView(corpus, Window.from_json(window, data))


@functools.lru_cache(maxsize=2)
def _roles(corpus: Corpus) -> pl.DataFrame:
    return read_table(corpus, ROLES_FILE)


@functools.lru_cache(maxsize=2)
def _hidden_runs(corpus: Corpus) -> pl.DataFrame:
    return read_table(corpus, RUNS_FILE)


@functools.lru_cache(maxsize=2)
def _hidden_curves(corpus: Corpus, window: str) -> pl.DataFrame:
    return read_table(corpus, curves_file(window))


def read_table(corpus: Corpus, name: str) -> pl.DataFrame:
    """Return a file of hidden runs, whose bytes are those of the manifest."""
    table = pl.from_arrow(read_parquet(corpus.path(name)))
    assert isinstance(table, pl.DataFrame)
    return table
