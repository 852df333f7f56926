"""Everything a board says of its entrants: scores, ranks, pairs, slices, controls.

A pure function of predictions, truth, resamples and seed; entrants come in any order.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from harness.measure import Floats
from leaderboard.boards import Board, Truth
from leaderboard.ranking.controls import NAMES
from leaderboard.ranking.joint import Draws
from leaderboard.ranking.judged import REFERENCE, Judged, judged
from leaderboard.ranking.overall import Matrix, matrix, overall, stacked, unranked
from leaderboard.ranking.pools import POOLS, Reads, members, reads
from tasks.sealed import Entry, Sealed
from tasks.submission import Submission

SAME: Final = ("board", "corpus_sha256", "task_version", "targets_sha256")
"""What rows of a task must agree in to be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A submission that was found in order."""

    name: str
    """What the table calls it."""
    folder: str
    """Name of its folder."""
    submission: Submission
    """What it says of itself; its times are self-reported, and no cost of ours."""
    tables: Mapping[str, pl.DataFrame]
    """Predictions by task."""
    sha256: str
    """Digest of the submission."""
    submitted: str | None
    """Date, such as "2026-11-22"."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a board says."""

    board: Board
    """What was asked."""
    entrants: tuple[Entrant, ...]
    """By name."""
    reads: Mapping[str, Reads]
    """What each entrant reads."""
    copies: Mapping[str, Mapping[str, int]]
    """Of each entrant, the others with the same predictions, and at how many tasks."""
    rows: pl.DataFrame
    """Rows with the columns of `leaderboard.ranking.judged.ROWS`, by task."""
    pairs: pl.DataFrame
    """Rows of `tasks.pairwise`, by task."""
    overall: pl.DataFrame
    """Rows with the columns of `ranking.overall.OVERALL`, by pool, as shown."""
    matrix: Matrix
    """Everybody against everybody, over all tasks."""
    slices: pl.DataFrame
    """Rows of `leaderboard.ranking.slices.table`, by task."""
    controls: pl.DataFrame
    """Rows with the columns of `leaderboard.ranking.judged.CONTROLS`, by task."""
    controls_overall: pl.DataFrame
    """Rows of `leaderboard.ranking.overall.unranked`."""
    resamples: int
    """Behind each interval."""
    seed: int
    """Names the draws."""


def standing(
    board: Board,
    truth: Truth,
    entrants: Sequence[Entrant],
    *,
    resamples: int = 1000,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Standing:
    """Score and rank the entrants of a board.

    Args:
        board: What is asked.
        truth: Gives what scoring a task needs.
        entrants: Whose predictions are in order.
        resamples: Resamples behind each interval.
        seed: Names the draws.
        say: Is told a line after every task.

    Raises:
        ValueError: An entrant answers another board or version, or two share a name.

    Cost: 19 tasks of 432 runs, 19 entrants, 1,000 resamples: 18 s on one core.
    """
    everybody = tuple(sorted(entrants, key=lambda one: one.name))
    _admit(board, everybody)
    sealed = {name: truth(board.tasks[name].task) for name in sorted(board.tasks)}
    families = sorted({f for one in sealed.values() for f in one.answers.families})
    draws = Draws(families=tuple(families), resamples=resamples, seed=seed)
    found: dict[str, Judged] = {}
    for name, one in sealed.items():
        found[name] = _judge(board, one, everybody, draws)
        say(f"{name}: {len(found[name].answered)} of {len(everybody)} have a score")
    errors = {name: one.errors for name, one in found.items()}
    read = {one.name: _reads(board, sealed, one) for one in everybody}
    names = [REFERENCE, *(one.name for one in everybody)]
    value, samples = stacked(errors, names)
    return Standing(
        board=board,
        entrants=everybody,
        reads=read,
        copies=_copies(found, everybody),
        rows=pl.concat([one.rows for one in found.values()]),
        pairs=pl.concat([one.pairs for one in found.values()]),
        overall=_pools(found, everybody, read, value, samples),
        matrix=matrix(names, value, samples),
        slices=pl.concat([one.slices for one in found.values()]),
        controls=pl.concat([one.controls for one in found.values()]),
        controls_overall=unranked(errors, list(NAMES.values()), REFERENCE),
        resamples=resamples,
        seed=seed,
    )


def joined(standings: Sequence[Standing]) -> pl.DataFrame:
    """Return the rows of several standings of one board, such as of some tasks each.

    p_holm and rank remain those among the entrants of a row's own standing.

    Raises:
        ValueError: They are of different boards, corpora, targets or task versions, or
            a predictor occurs twice.
    """
    boards = {(s.board.name, s.board.version, s.board.sha256) for s in standings}
    if len(boards) != 1:
        named = "; ".join(f"{n} {v} {sha[:12]}" for n, v, sha in sorted(boards))
        raise ValueError(
            f"standings of one board can be joined, got {len(boards)} ({named}): "
            "show each board alone"
        )
    return comparable(pl.concat([one.rows for one in standings]))


def comparable(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of scores if they may be ranked together.

    A task that was mended has a new version: its old rows stay under the old one, and
    who is to be ranked in the new is scored again from the stored predictions.

    Raises:
        ValueError: A task occurs in more than one version, corpus, board or truth, or a
            predictor twice with one metric.
    """
    kinds = rows.select("task", *SAME).unique().sort("task", *SAME)
    for (task, *_), group in kinds.group_by("task", maintain_order=True):
        if len(group) > 1:
            what = [name for name in SAME if group[name].n_unique() > 1]
            got = "; ".join(
                ", ".join(str(cell)[:12] for cell in row)
                for row in group.select(what).rows()
            )
            raise ValueError(
                f"{task} has rows that differ in {', '.join(what)} ({got}): score the "
                "stored predictions anew, or rank each kind alone"
            )
    twice = rows.filter(pl.struct("task", "predictor", "metric").is_duplicated())
    if len(twice):
        first = twice.row(0, named=True)
        raise ValueError(
            f"{first['predictor']} occurs more than once at {first['task']} "
            f"({first['metric']}): take the rows of one standing"
        )
    return rows


def _admit(board: Board, entrants: Sequence[Entrant]) -> None:
    """Refuse what the board does not rank; says everything that is wrong.

    Raises:
        ValueError: See `standing`.
    """
    wrong = [] if board.tasks else ["it asks nothing"]
    wrong += [
        f"{name!r} is the name of {count} entrants"
        for name, count in Counter(one.name for one in entrants).items()
        if count > 1
    ]
    for one in entrants:
        said = one.submission
        if "[" in one.name:
            wrong.append(f"{one.name!r} has a bracket, as only references have")
        if (said.corpus_sha256, said.hidden) != (board.sha256, board.hidden):
            wrong.append(f"{one.name!r} answers about other runs than {board.name}")
        for task in sorted(one.tables):
            asked = board.tasks.get(task)
            version = said.tasks.get(task)
            if asked is None or not asked.task.answered_by(version or ""):
                expected = "not asked" if asked is None else asked.task.version
                wrong.append(
                    f"{one.name!r} answers {task}@{version}, expected {expected}"
                )
    if wrong:
        raise ValueError(
            f"{len(wrong)} reason(s) not to rank on {board.name}:\n  "
            + "\n  ".join(wrong)
            + "\nvalidate submissions first, and rank each version alone"
        )


def _judge(
    board: Board, found: Sealed, entrants: Sequence[Entrant], draws: Draws
) -> Judged:
    entries = {
        one.name: Entry(
            table=one.tables[found.task.name],
            charge=one.submission.charge,
            arguments=one.submission.predictor.params,
        )
        for one in entrants
        if found.task.name in one.tables
    }
    sha256 = {one.name: one.sha256 for one in entrants}
    return judged(board, found, entries, sha256, draws)


def _reads(board: Board, sealed: Mapping[str, Sealed], one: Entrant) -> Reads:
    tasks = [board.tasks[name].task for name in sorted(one.tables)]
    signals = next(iter(sealed.values())).signals
    return reads(one.submission.charge, tasks, signals)


def _answered(found: Mapping[str, Judged], name: str) -> int:
    """Return at how many tasks an entry has a score of its own."""
    return sum(name == REFERENCE or name in one.answered for one in found.values())


def _pools(
    found: Mapping[str, Judged],
    entrants: Sequence[Entrant],
    read: Mapping[str, Reads],
    value: Floats,
    samples: Floats,
) -> pl.DataFrame:
    """Return the overall table, each pool ranked anew; the reference is in every one.

    Args:
        found: By task.
        entrants: By name.
        read: What each reads.
        value: Errors `[T, 1 + P]`, the reference first.
        samples: `[T, 1 + P, B]`.
    """
    tables = []
    for pool in POOLS:
        mine = members(pool, [read[one.name].pool for one in entrants])
        names = [REFERENCE, *(entrants[at].name for at in mine)]
        columns = [0, *(1 + at for at in mine)]
        tables.append(
            overall(
                pool,
                value[:, columns],
                samples[:, columns],
                names=names,
                submitted=[None, *(entrants[at].submitted for at in mine)],
                tasks=[_answered(found, name) for name in names],
            )
        )
    return pl.concat(tables)


def _copies(
    found: Mapping[str, Judged], entrants: Sequence[Entrant]
) -> dict[str, dict[str, int]]:
    """Return who says the same as whom, at how many tasks."""
    result: dict[str, Counter[str]] = {one.name: Counter() for one in entrants}
    for one in found.values():
        for group in one.same:
            for name in group:
                result[name].update(group - {name})
    return {name: dict(sorted(count.items())) for name, count in result.items()}
