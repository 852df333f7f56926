"""A task put to a corpus: what predictors see, fold by fold, and the sealed answers."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.errors import DataError
from harness.measure import Floats
from tasks.base import Task
from tasks.observations import Observations, observe
from tasks.prediction import EVERYTHING, Charge, Targets
from tasks.splits import divide
from tasks.targets import TARGETS


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One round: learn from `train`, answer for `test`."""

    train: Observations
    """Examples with targets: training and validation parts of the split."""
    targets: Targets
    """Their truth."""
    test: Observations
    """Examples that are scored."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What may be handed to a predictor, fold by fold."""

    task: Task
    """What is asked."""
    corpus: str
    """Name of the corpus."""
    corpus_sha256: str
    """Digest of its manifest."""
    everyone: Observations
    """All examples of the task; a predictor gets a fold's part of them."""
    rounds: tuple[tuple[Targets, tuple[str, ...]], ...]
    """A fold each: what is learned from, and the ids that are scored."""
    hidden: bool = False
    """Whether the scored runs are hidden: nobody but the holder of the targets can
    score the answers, see `tasks.blind`."""
    _views: dict[tuple[tuple[str, ...] | None, bool], Observations] = field(
        default_factory=dict, repr=False
    )

    def folds(self, charge: Charge = EVERYTHING) -> Iterator[Fold]:
        """Yield the folds, with what is charged and nothing else.

        Early signals are computed once for all predictors that see the same.
        """
        key = (charge.signals, charge.curves)
        if key not in self._views:
            view = self.everyone.showing(charge.signals, curves=charge.curves)
            view.early  # noqa: B018  computed here, so that every part has it
            self._views[key] = view
        shown = self._views[key].showing(None, settings=charge.settings)
        for targets, tested in self.rounds:
            train, test = shown.of(targets.ids), shown.of(tested)
            yield Fold(train=train, targets=targets, test=test)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The truth about the scored examples. Never handed to a predictor."""

    ids: tuple[str, ...]
    """Scored examples, sorted."""
    run_ids: tuple[str, ...]
    """The run behind each."""
    families: tuple[str, ...]
    """Family of each run."""
    values: Floats
    """`[n]`; empty where a curve is asked for."""
    curves: tuple[Floats, ...]
    """The remaining epoch means of each example, where a curve is asked for."""
    context: Mapping[str, Any]
    """Further columns of the target, `[n]` each, by name; lists where a row is one."""
    runs: pl.DataFrame
    """`[n]`: id, the row of the table `runs`, value, further columns, and fold: the
    round in which the example is scored, whose predictor learned from the others."""
    replicated: pl.DataFrame
    """family_id and value of all runs of the task: where a ceiling comes from."""

    @classmethod
    def of(
        cls, scored: pl.DataFrame, replicated: pl.DataFrame, further: Sequence[str]
    ) -> "Answers":
        """Return the truth from its tables, `runs` and `replicated`.

        Args:
            scored: Sorted by id.
            replicated: Of all runs of the task.
            further: Columns of the target beside value.
        """
        is_curve = scored["value"].dtype == pl.List
        return cls(
            ids=tuple(scored["id"]),
            run_ids=tuple(scored["run_id"]),
            families=tuple(scored["family_id"]),
            values=np.empty(0) if is_curve else scored["value"].to_numpy(),
            curves=tuple(np.array(c) for c in scored["value"]) if is_curve else (),
            context={
                name: list(scored[name])
                if scored[name].dtype == pl.List
                else scored[name]
                for name in further
            },
            runs=scored,
            replicated=replicated,
        )


def ask(corpus: Corpus, task: Task) -> tuple[Question, Answers]:
    """Put a task to a corpus.

    Args:
        corpus: An open corpus.
        task: What is asked.

    Raises:
        DataError: The corpus cannot be asked this; the message says why.
        ValueError: Likewise, of the split.

    Cost: reads the curves up to the window once.
    """
    target = TARGETS.get(task.target.name)(corpus, **task.target.params)
    target = target.filter(pl.col("value").is_not_null()).sort("run_id")
    runs = corpus.runs().join(target, on="run_id", how="inner", maintain_order="right")
    divisions = divide(task.split, corpus.runs(), runs["run_id"].to_list())
    everyone, run_of = observe(corpus, task, runs["run_id"].to_list())
    rows = {row["run_id"]: row for row in runs.iter_rows(named=True)}
    example_of = {run: example for example, run in run_of.items()}
    rounds = []
    for division in divisions:
        known = [example_of[run] for run in (*division.train, *division.validation)]
        tested = tuple(sorted(example_of[run] for run in division.test))
        if known and tested:
            train = everyone.of(known)
            rounds.append((truth_of(task, train, run_of, rows), tested))
    if not rounds:
        raise DataError(
            f"{task.name}: {len(runs)} runs of {corpus.name} leave nothing to learn "
            "from or nothing to score; a larger corpus is needed"
        )
    question = Question(
        task=task,
        corpus=corpus.name,
        corpus_sha256=corpus.data_sha256,
        everyone=everyone,
        rounds=tuple(rounds),
    )
    fold = {name: i for i, (_, names) in enumerate(rounds) for name in names}
    scored = (
        runs.with_columns(id=pl.col("run_id").replace_strict(example_of))
        .filter(pl.col("id").is_in(list(fold)))
        .with_columns(fold=pl.col("id").replace_strict(fold))
        .sort("id")
    )
    further = [c for c in target.columns if c not in ("run_id", "value")]
    return question, Answers.of(scored, runs.select("family_id", "value"), further)


def truth_of(
    task: Task,
    seen: Observations,
    run_of: Mapping[str, str],
    rows: Mapping[str, Mapping[str, Any]],
) -> Targets:
    """Return the truth of observed examples.

    Args:
        task: What is asked.
        seen: The examples.
        run_of: The run behind each.
        rows: family_id and value of each run.
    """
    family = [rows[run_of[name]]["family_id"] for name in seen.ids]
    is_curve = task.kind == "curve"
    values = [] if is_curve else [rows[run_of[name]]["value"] for name in seen.ids]
    curves = tuple(
        np.array([rows[run_of[name]]["value"] for name in block.run_ids], np.float64)
        for block in (seen.blocks if is_curve else ())
    )
    return Targets(
        ids=seen.ids,
        values=np.array(values, np.float64),
        curves=curves,
        groups=tuple(_label(task, name) for name in family),
    )


def _label(task: Task, family: str) -> str:
    """Return the opaque label of a family, which other tasks call otherwise."""
    text = f"{task.name}@{task.version}/{family}"
    return f"g-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
