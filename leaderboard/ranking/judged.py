"""One task of a board: rows, ranks, pairs, slices and the errors that are averaged."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from leaderboard.boards import Board
from leaderboard.ranking import slices
from leaderboard.ranking.controls import NAMES, negative_controls
from leaderboard.ranking.joint import Draws, Errors, errors, skills
from leaderboard.ranking.rank import ranks
from tasks.checked import Given, checked, digest
from tasks.evaluate import COLUMNS, OK
from tasks.pairwise import pairwise
from tasks.sealed import Entry, Sealed, judge

REFERENCE: Final = "[reference]"
"""What a board calls the references of its tasks, as one entry. No submission's name
has brackets: one called "median" is an entrant like others and replaces nothing."""
ENTRY: Final = "entry "
"""Put before entrants' names while they are scored beside the task's reference."""
ADDED: Final = (
    ("board", pl.String()),
    ("corpus_version", pl.String()),
    ("targets_sha256", pl.String()),
    ("submission_sha256", pl.String()),
    ("rank", pl.Int64()),
)
ROWS: Final = pl.Schema([*COLUMNS.items(), *ADDED])
"""Columns of rows: those of `tasks.evaluate`; which board, truth and submission; rank
of the primary metric's skill (`ranking.rank.ranks`) among those with a score."""
CONTROLS: Final = pl.Schema(
    {
        "task": pl.String,
        "by": pl.String,
        "name": pl.String,
        "value": pl.Float64,
        "skill": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
"""Columns of the scores of negative controls."""
TEXT: Final = ("id", "epoch", "reason")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is said of one task."""

    rows: pl.DataFrame
    """With the columns of `ROWS`."""
    pairs: pl.DataFrame
    """Rows of `tasks.pairwise`."""
    slices: pl.DataFrame
    """Rows of `leaderboard.ranking.slices.table`."""
    controls: pl.DataFrame
    """task, by, name, value, skill, low, high."""
    errors: Errors
    """Of `REFERENCE`, entrants and controls, by name."""
    answered: frozenset[str]
    """Entrants with a score of their own."""
    same: frozenset[frozenset[str]]
    """Groups of entrants whose predictions are the same, and not all declined."""


def judged(
    board: Board,
    found: Sealed,
    entries: Mapping[str, Entry],
    sha256: Mapping[str, str],
    draws: Draws,
) -> Judged:
    """Return what is said of the entrants that answer a task.

    Args:
        board: What was asked.
        found: The truth.
        entries: Predictions by entrant, in order.
        sha256: Digest of every entrant's submission.
        draws: Shared by all tasks.

    Raises:
        ValueError: A table is not what was asked for.
    """
    task, answers = found.task, found.answers
    asked = {f"{ENTRY}{name}": _plain(entry) for name, entry in entries.items()}
    more = {"resamples": draws.resamples, "seed": draws.seed}
    rows = judge(found, asked, **more)
    tables = {name: entry.table for name, entry in asked.items()}
    said = checked(
        task, answers, {task.reference: found.reference} | tables, found.asked
    )
    given = {n: one.filled(said[task.reference]) for n, one in said.items()}
    cut = [slices.table(task.name, one) for one in slices.slices(found, given, draws)]
    both = _named(errors(task, answers, given | negative_controls(found), draws))
    rows = rows.with_columns(_name(pl.col("predictor")))
    ok = rows.filter(pl.col("primary") & (pl.col("status") == OK))["predictor"]
    places = pl.DataFrame(
        {"predictor": ok, "rank": _ranks(both, ok.to_list())},
        schema={"predictor": pl.String, "rank": pl.Int64},
    ).with_columns(primary=pl.lit(True))
    rows = rows.join(
        places, on=["predictor", "primary"], how="left", maintain_order="left"
    ).with_columns(
        board=pl.lit(board.name),
        corpus_version=pl.lit(board.version),
        targets_sha256=pl.lit(targets_sha256(found)),
        submission_sha256=pl.col("predictor").replace_strict(
            dict(sha256), default=None, return_dtype=pl.String
        ),
    )
    pairs = pairwise(found, asked, **more)
    return Judged(
        rows=rows.select(ROWS.names()).cast(ROWS),
        pairs=pairs.with_columns(_name(pl.col("first")), _name(pl.col("second"))),
        slices=pl.concat([slices.NONE, *cut]).with_columns(_name(pl.col("name"))),
        controls=_controls(task.name, both),
        errors=both,
        answered=frozenset(ok) - {REFERENCE},
        same=_same(said),
    )


def targets_sha256(found: Sealed) -> str:
    """Return the digest of a task's truth: definition, runs, replicates, reference.

    Ids of hidden runs, which come from secret seeds, are part of it, so that no guess
    at the targets can be checked against it.
    """
    context = sorted(found.answers.context)
    runs = found.answers.runs.select(
        "id", "run_id", "family_id", "fold", "value", *context
    )
    replicated = found.answers.replicated
    document = {
        "task": [found.task.name, found.task.version],
        "runs": runs.to_dicts(),
        "replicated": replicated.sort(replicated.columns).to_dicts(),
        "reference": digest(found.reference),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _plain(entry: Entry) -> Entry:
    """Return the same in the form that files of any format and width have."""
    table = entry.table
    if "reason" not in table.columns:
        table = table.with_columns(reason=pl.lit(None, pl.String))
    numbers = [name for name in table.columns if name not in TEXT]
    table = table.with_columns(
        pl.col(numbers).cast(pl.Float32), pl.col("reason").cast(pl.String)
    )
    return Entry(table=table, charge=entry.charge, arguments=entry.arguments)


def _name(column: pl.Expr) -> pl.Expr:
    """Return the names of entrants, and `REFERENCE` for what is none."""
    return (
        pl.when(column.str.starts_with(ENTRY))
        .then(column.str.slice(len(ENTRY)))
        .otherwise(pl.lit(REFERENCE))
    )


def _named(found: Errors) -> Errors:
    """Return the same by the names that a board uses; the reference stands first."""
    names = (REFERENCE, *(name.removeprefix(ENTRY) for name in found.names[1:]))
    return Errors(
        names=names, score=found.score, value=found.value, samples=found.samples
    )


def _ranks(found: Errors, names: list[str]) -> list[int]:
    """Return the rank of each, by skill over the shared draws."""
    _, samples = found.of([REFERENCE, *names])
    return [int(rank) for rank in ranks(skills(samples)[1:])]


def _controls(task: str, found: Errors) -> pl.DataFrame:
    """Return the scores of the negative controls."""
    skill = found.skill()
    rows = [
        {
            "task": task,
            "by": by,
            "name": name,
            "value": found.score[at],
            "skill": skill.value[at],
            "low": skill.low[at],
            "high": skill.high[at],
        }
        for by, name in NAMES.items()
        if name in found.names
        for at in (found.names.index(name),)
    ]
    return pl.DataFrame(rows, schema=CONTROLS).with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


def _same(said: Mapping[str, Given]) -> frozenset[frozenset[str]]:
    """Return groups of entrants with one digest of predictions."""
    groups: dict[str, set[str]] = {}
    for name, one in said.items():
        if name.startswith(ENTRY) and not one.gone().all():
            groups.setdefault(one.sha256, set()).add(name.removeprefix(ENTRY))
    return frozenset(frozenset(group) for group in groups.values() if len(group) > 1)
