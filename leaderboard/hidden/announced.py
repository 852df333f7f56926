"""The page of a hidden board while its version is open: what the ledger announced.

Nothing here knows the truth: no interval, no win rate, no rank that was not told.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.corpus import Corpus
from leaderboard.boards import Asked, Board
from leaderboard.hidden.ledger import Line, overall
from leaderboard.page.data import NOTHING, about_board, about_entry
from leaderboard.ranking.pools import POOLS, members, reads
from leaderboard.ranking.standing import Entrant
from tasks.metrics.table import metric

Shown = dict[str, Any]


def open_board(
    corpus: Corpus, asked: Board, entrants: Sequence[Entrant], lines: Sequence[Line]
) -> tuple[Shown, dict[str, Shown]]:
    """Return the data of a hidden board and of its tasks, see `leaderboard.page.data`.

    An entrant's skill is what was last announced of these very files; ranks order it,
    and equal skills share one. Of whom nothing was announced yet is not ranked.

    Args:
        corpus: The blind corpus.
        asked: Its hidden board.
        entrants: Checked submissions to it.
        lines: The ledger.
    """
    told = {one.name: _told(one, asked, lines) for one in entrants}
    tasks = [asked.tasks[name].task for name in sorted(asked.tasks)]
    signals = corpus.signals()
    read = {
        one.name: reads(one.submission.charge, _answered(one, asked), signals)
        for one in entrants
    }
    whole = overall({task.name: task.version for task in tasks})
    pools = {}
    for pool in POOLS:
        inside = members(pool, [read[one.name].pool for one in entrants])
        names = [entrants[at].name for at in inside]
        skills = {name: told[name][whole] for name in names if whole in told[name]}
        counts = {one.name: len(one.tables) for one in entrants}
        pools[pool] = [
            row | {"win_rate": NOTHING, "mean_rank": NOTHING, "tasks": counts[name]}
            for name, row in ranked(skills).items()
        ]
    by_task = {task.name: f"{task.name}@{task.version}" for task in tasks}
    skills_of = {
        task: {n: s[subject] for n, s in told.items() if subject in s}
        for task, subject in by_task.items()
    }
    board = about_board(asked, corpus) | {
        "tasks": [_task(asked.tasks[name]) for name in sorted(asked.tasks)],
        "entries": [about_entry(one, read[one.name], [], None) for one in entrants],
        "pools": pools,
        "skills": {
            one.name: {
                task: _skill(skills[one.name]) if one.name in skills else None
                for task, skills in skills_of.items()
            }
            for one in entrants
        },
        "pairs": {"names": [], "win": [], "skill": []},
        "cost": [],
    }
    return board, {task: _scores(task, skills) for task, skills in skills_of.items()}


def ranked(skills: Mapping[str, float]) -> dict[str, Shown]:
    """Return rank and skill by name, the best first; equal skills share a rank.

    Example:
        >>> [row["rank"] for row in ranked({"a": 0.1, "b": 0.3, "c": 0.3}).values()]
        [1, 1, 3]
    """
    order = sorted(skills, key=lambda name: (-skills[name], name))
    return {
        name: {
            "name": name,
            "rank": 1 + sum(other > skills[name] for other in skills.values()),
            "skill": _skill(skills[name]),
        }
        for name in order
    }


def _told(one: Entrant, asked: Board, lines: Sequence[Line]) -> Mapping[str, float]:
    """Return what was last announced of a submission, by subject.

    It is that of the team which heard of these files first: whoever sends a copy of
    them changes nothing here.
    """
    about = (one.folder, one.sha256, asked.name, asked.place)
    found = [x for x in lines if (x.name, x.sha256, x.board, x.version) == about]
    mine = [line for line in found if line.team == found[0].team]
    return mine[-1].scores if mine else {}


def _answered(one: Entrant, asked: Board) -> Iterable[Any]:
    return [asked.tasks[name].task for name in sorted(one.tables)]


def _skill(value: float) -> list[float | None]:
    return [value, None, None]


def _task(asked: Asked) -> Shown:
    task = asked.task
    return {
        "name": task.name,
        "version": task.version,
        "question": task.question,
        "kind": task.kind,
        "unit": task.unit,
        "metric": task.metrics[0],
        "direction": metric(task.metrics[0]).direction,
        "reference": task.reference,
        "ceiling": None,
        "n": len(asked.examples),
        "families": None,
        "window": task.visibility.until,
    }


def _scores(task: str, skills: Mapping[str, float]) -> Shown:
    """Return what the page of a task reads."""
    untold = ("value", "low", "high", "share", "incremental", "p", "p_holm", "reason")
    costs = ("cost_observed", "cost_passes", "cost_seconds")
    rows = [
        row
        | dict.fromkeys((*untold, *costs))
        | {"status": "ok", "declined": 0, "metrics": {}}
        for row in ranked(skills).values()
    ]
    return {"task": task, "rows": rows, "slices": [], "controls": [], "pairs": []}
