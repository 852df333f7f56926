"""What a check of a blind release looks at, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from harness.corpus import Corpus
from tasks.base import Task
from tasks.blind.windows import Window
from tasks.question import Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found."""

    passed: bool
    """Whether the release may go out."""
    statistic: float | None
    """What was measured; None where nothing could be."""
    text: str
    """What it means, and the cure where it failed; for whoever holds the key."""
    shown: float | None = None
    """The statistic for everybody, rounded so that it tells nothing hidden."""

    def public(self) -> dict[str, Any]:
        """Return what the public manifest says."""
        return {"passed": self.passed, "statistic": self.shown}


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A blind release before it goes out, and all that is known of its runs."""

    blind: Corpus
    """The public corpus, as it was written."""
    holder: Corpus
    """The corpus that holds the hidden runs."""
    whole: bool
    """Whether the public runs are the rest of the same corpus."""
    tasks: tuple[Task, ...]
    """What is asked."""
    windows: tuple[Window, ...]
    """What is shown."""
    link: pl.DataFrame
    """id, window, run_id and family_id of every hidden run."""
    answers: Mapping[str, Answers]
    """The truth about the hidden runs, by task."""
    against: tuple[Corpus, ...] = ()
    """Further public corpora."""

    def window(self, task: str) -> Window:
        """Return the window of a task."""
        return next(w for w in self.windows if task in w.tasks)

    def runs(self) -> pl.DataFrame:
        """Return the table `runs` of the hidden runs, with id and window, by id."""
        rows = self.link.select("id", "window", "run_id")
        return rows.join(self.holder.runs(), on="run_id", how="left").sort("id")
