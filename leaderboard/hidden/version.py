"""Hidden boards: what is announced while a version is open, and all of it at its close.

While it is open a team hears of the public half of the families, through the ladder;
at the close everybody's scores on the private half appear.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.storage import write_text
from leaderboard.boards import Board, Truth, board
from leaderboard.hidden.halves import Half, half, halves
from leaderboard.hidden.ledger import Answer, Attempt, overall, record
from leaderboard.page.data import board_data, task_data
from leaderboard.ranking.pools import POOLS
from leaderboard.ranking.standing import Entrant, standing
from tasks.base import Task
from tasks.blind.targets import HiddenTargets
from tasks.sealed import Sealed

CLOSED: Final = Path("leaderboard/closed")
"""Where a checkout keeps the boards of closed versions."""
FORMAT: Final = 1
POINTS: Final = 2
"""Resamples where no interval is shown."""


def truth_of_half(corpus: Corpus, targets: Path, which: Half) -> Truth:
    """Return what gives the truth about one half of the hidden runs.

    Raises:
        CorpusError: The targets belong to another corpus.
    """
    found = HiddenTargets.open(targets)
    found.belongs_to(corpus.data_sha256, corpus.name)
    of = halves(found)

    def truth(task: Task) -> Sealed:
        return half(found.sealed(task), of, which)

    return truth


def announce(
    one: Entrant,
    asked: Board,
    truth: Truth,
    ledger: Path,
    *,
    team: str,
    now: datetime,
    free: bool = False,
) -> Answer:
    """Score a submission on the public half; write down and return what is told.

    Args:
        one: A checked submission to a hidden board.
        asked: The board.
        truth: About the public half.
        ledger: See `leaderboard.hidden.ledger`.
        team: Account of the pull request, lower case.
        now: The time, with its zone.
        free: Score anew and charge nothing.

    Raises:
        ValueError: The team has none left today, or for this version.
        CorpusError: The ledger is damaged.
    """
    attempt = Attempt(
        team=team,
        name=one.folder,
        sha256=one.sha256,
        board=asked.name,
        version=asked.place,
    )

    def skills() -> dict[str, float | None]:
        return public_skills(one, asked, truth)

    return record(ledger, attempt, skills, now=now, free=free)


def public_skills(one: Entrant, asked: Board, truth: Truth) -> dict[str, float | None]:
    """Return a submission's skill by subject of the ledger; None: it has none."""
    said = standing(asked, truth, [one], resamples=POINTS)
    main = said.rows.filter(primary=True, predictor=one.name)
    skills = {
        f"{row['task']}@{row['task_version']}": row["skill"] for row in main.to_dicts()
    }
    row = said.overall.filter(pool=POOLS[-1], name=one.name).row(0, named=True)
    versions = {name: task.task.version for name, task in asked.tasks.items()}
    return skills | {overall(versions): row["skill"]}


def close(
    corpus: Corpus,
    targets: Path,
    entrants: Sequence[Entrant],
    *,
    resamples: int = 1000,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return everybody's scores on the private half, in full: a version's last word.

    Args:
        corpus: The blind corpus.
        targets: Its private folder.
        entrants: All checked submissions to its hidden board.
        resamples: Behind each interval.
        seed: Names the draws.
        say: Is told a line after every task.

    Raises:
        ValueError: Nobody answered.
    """
    asked = board(corpus, hidden=True)
    if not entrants:
        raise ValueError(f"{asked.name} {asked.version} has no submission to score")
    truth = truth_of_half(corpus, targets, "private")
    draws = {"resamples": resamples, "seed": seed}
    said = standing(asked, truth, entrants, say=say, **draws)
    shown = board_data(said, asked, corpus)
    tasks = {name: task_data(said, name) for name in asked.tasks}
    return {"format": FORMAT, "board": shown, "tasks": tasks}


def closed_name(shown: Mapping[str, Any]) -> str:
    """Return what the page calls a closed version of a hidden board."""
    corpus = shown["corpus"]
    return f"{shown['name']}-{corpus['version'] or corpus['sha256'][:12]}"


def write_closed(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write what `close` returned below a folder; return the file.

    Raises:
        ValueError: The version was closed before, with other scores.
    """
    shown = found["board"]
    path = folder / f"{closed_name(shown)}.json"
    text = json.dumps(found, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{path} holds other scores of the closed version: a closed version does "
            "not change; remove the file if it was closed by mistake"
        )
    write_text(path, text)
    return path


def read_closed(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the boards of closed versions, by file name.

    Raises:
        CorpusError: A file is not what `write_closed` wrote.
    """
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format") != FORMAT or set(data) != {"format", "board", "tasks"}:
            raise CorpusError(
                f"{path} is no closed board as this runcast writes it: close the "
                "version again, or build with the runcast that closed it"
            )
        yield data
