"""A board: the tasks of one version of one corpus, about public or hidden runs.

What is asked is known to everybody; the truth (`Truth`) to whoever has the corpus or,
of hidden runs, the targets. Results of different boards are never mixed.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from harness.corpus import Corpus
from harness.manifest import MANIFEST
from harness.release.notes import RELEASE
from tasks.availability import unavailable
from tasks.base import TASKS, Task
from tasks.blind.targets import HiddenTargets
from tasks.blind.view import ask_hidden, asked_of, hidden_tasks, is_blind
from tasks.commands import kept
from tasks.sealed import Sealed

HIDDEN: Final = "-hidden"
"""What the name of a board about hidden runs ends in."""
CORPORA: Final = Path("corpora")
"""Where a checkout keeps its corpora."""
Truth = Callable[[Task], Sealed]
"""Returns what scoring a task needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one task asks for."""

    task: Task
    """The task, at the version that the board scores."""
    examples: pl.DataFrame
    """Sorted by id: id, first and last epoch of the curve (0 where none is asked)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What is asked of a corpus."""

    name: str
    """Such as "t4-digits" or "t4-digits-hidden"."""
    corpus: str
    """Name of the corpus."""
    version: str
    """Its release, such as "1.0.0"; empty if it was never released."""
    sha256: str
    """Digest of its tables."""
    hidden: bool
    """Whether hidden runs are asked for."""
    tasks: Mapping[str, Asked]
    """By the task's name."""

    @property
    def place(self) -> str:
        """What tells its versions apart: the release, or the digest's beginning."""
        return self.version or self.sha256[:12]


def open_corpora(named: Sequence[Path] | None = None) -> list[Corpus]:
    """Open corpora: those named, or all below `corpora` of the working directory.

    Raises:
        ValueError: There is none.
        CorpusError: One is not finished, or changed.
    """
    if named is None:
        named = sorted(path.parent for path in CORPORA.glob(f"*/{MANIFEST}"))
        if not named:
            raise ValueError(
                f"{CORPORA.absolute()} holds no corpus: name one with --corpus"
            )
    return [Corpus.open(path) for path in named]


@functools.cache
def board(corpus: Corpus, *, hidden: bool) -> Board:
    """Return the board of a corpus's public or hidden runs, worked out once.

    Raises:
        ValueError: The corpus hides no runs.
    """
    return hidden_board(corpus) if hidden else public_board(corpus)


def public_board(corpus: Corpus) -> Board:
    """Return the board of a corpus's public runs; the truth is worked out and kept.

    Cost: the first time about a second a task; then milliseconds.
    """
    tasks = {}
    for name in TASKS.names():
        task = TASKS.get(name)()
        if unavailable(task, corpus) is None:
            tasks[name] = Asked(task=task, examples=kept(corpus, task).asked)
    return _board(corpus, tasks, hidden=False)


def hidden_board(corpus: Corpus) -> Board:
    """Return the board of a blind corpus's hidden runs; no targets are needed.

    Raises:
        ValueError: The corpus hides no runs.
    """
    if not is_blind(corpus):
        raise ValueError(f"{corpus.name} hides no runs: it has a public board only")
    tasks = {}
    for name, version in hidden_tasks(corpus).items():
        task = TASKS.get(name)()
        if task.version == version:
            examples = asked_of(ask_hidden(corpus, task))
            tasks[name] = Asked(task=task, examples=examples)
    return _board(corpus, tasks, hidden=True)


def examples_of(corpus: Corpus, name: str, *, public: bool) -> pl.DataFrame:
    """Return what answers by hand need to know of a task, a row an example.

    id; run_id, the run behind it; fold: a run is answered for by what was learned from
    the runs of other folds, and from runs that are no example; first_epoch and
    last_epoch of a curve that is asked for, else null. Of a blind corpus the hidden
    runs, unless the public ones are wanted: run_id is the id, as in its table
    `hidden_runs`, and all are one fold.

    Args:
        corpus: An open corpus.
        name: Of the task.
        public: Of a blind corpus the public runs instead.

    Raises:
        KeyError: The board does not ask it.
    """
    asked = board(corpus, hidden=is_blind(corpus) and not public)
    if name not in asked.tasks:
        known = ", ".join(asked.tasks)
        raise KeyError(f"{asked.name} does not ask {name!r} (it asks: {known})")
    task, rows = asked.tasks[name].task, asked.tasks[name].examples
    if asked.hidden:
        rows = rows.with_columns(run_id=pl.col("id"), fold=pl.lit(0))
    else:
        known_runs = kept(corpus, task).answers.runs.select("id", "run_id", "fold")
        rows = rows.join(known_runs, on="id", how="left", maintain_order="left")
    is_curve = pl.lit(task.kind == "curve")
    return rows.select(
        "id",
        "run_id",
        "fold",
        first_epoch=pl.when(is_curve).then("first"),
        last_epoch=pl.when(is_curve).then("last"),
    )


def truth_of(corpus: Corpus, targets: Path | None = None) -> Truth:
    """Return what gives the truth about public runs or, with targets, hidden ones.

    Raises:
        CorpusError: The targets belong to another corpus.
    """
    if targets is None:
        return lambda task: kept(corpus, task)
    found = HiddenTargets.open(targets)
    found.belongs_to(corpus.data_sha256, corpus.name)
    return found.sealed


def _board(corpus: Corpus, tasks: Mapping[str, Asked], *, hidden: bool) -> Board:
    release = corpus.manifest.get(RELEASE, {})
    return Board(
        name=corpus.name + HIDDEN * hidden,
        corpus=corpus.name,
        version=release.get("version", ""),
        sha256=corpus.data_sha256,
        hidden=hidden,
        tasks=dict(sorted(tasks.items())),
    )
