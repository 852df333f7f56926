"""From submissions to the static site: check, score, rank, render."""

import datetime
import io
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness import __version__
from harness.checkout import commit
from harness.corpus import Corpus
from harness.storage import write_text
from leaderboard.boards import Board, board, open_corpora, truth_of
from leaderboard.hidden.announced import open_board
from leaderboard.hidden.ledger import read
from leaderboard.hidden.version import CLOSED, closed_name, read_closed
from leaderboard.page.data import board_data, overall_csv, task_data
from leaderboard.page.explorer import write_explorer
from leaderboard.page.render import render_site, script
from leaderboard.ranking.standing import Standing, standing
from leaderboard.store import Stored, entrant, stored
from tasks.blind.view import is_blind

FORMAT: Final = 1
TITLE: Final = "runcast leaderboard"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `harness leaderboard build` is asked for."""

    out: Path
    """Folder of the site."""
    submissions: Path
    """Folder of submissions."""
    corpora: Sequence[Path] | None = None
    """Corpus folders or addresses on the Hub; None: all in `corpora`."""
    ledger: Path | None = None
    """What was announced of hidden boards; None: they are not shown while open."""
    closed: Path = CLOSED
    """Folder of closed versions of hidden boards."""
    resamples: int = 1000
    """Behind each interval."""
    seed: int = 0
    """Names the draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page is given of one board."""

    data: Mapping[str, Any]
    """Of the board."""
    tasks: Mapping[str, Mapping[str, Any]]
    """Of each task."""
    downloads: Mapping[str, bytes]
    """By ending."""
    explorer: bool
    """Whether its runs can be looked at."""


def build_site(request: Request, say: Say = lambda _: None) -> dict[str, Any]:
    """Check, score and rank all submissions; write the site; return what was done.

    Args:
        request: What is asked for.
        say: Is told a line of progress after every step.

    Raises:
        Rejected: Something is wrong with a submission.
        ValueError: There is no corpus, or no submission to any.

    Cost: a board of 19 tasks and 18 entrants takes about a minute.
    """
    boards: dict[str, Shown] = {}
    for corpus in open_corpora(request.corpora):
        asked = board(corpus, hidden=False)
        if asked.name in boards:
            raise ValueError(
                f"two corpora are called {asked.name}: a page shows one version of "
                "each; leave the other out, or give it a site of its own with --out"
            )
        found = list(stored(request.submissions, asked))
        if found:
            say(f"{asked.name}: {len(found)} submissions, {len(asked.tasks)} tasks")
            boards[asked.name] = _public(request, corpus, asked, found, say)
        else:
            say(f"{asked.name}: no submissions, so no board")
        if request.ledger is not None and is_blind(corpus):
            name, shown = _open(request, request.ledger, corpus)
            boards[name] = shown
    for data in read_closed(request.closed):
        boards[closed_name(data["board"])] = _closed(data)
    if not boards:
        raise ValueError(
            f"{request.submissions} holds no submission to any of these corpora: "
            "`harness leaderboard add FOLDER` puts one there"
        )
    # the largest corpus is what the page opens with
    order = sorted(
        boards, key=lambda name: (-boards[name].data["corpus"]["runs"], name)
    )
    boards = {name: boards[name] for name in order}
    site = _site(boards)
    render_site(
        request.out,
        site,
        {name: shown.data for name, shown in boards.items()},
        {name: shown.tasks for name, shown in boards.items()},
        {name: shown.downloads for name, shown in boards.items()},
    )
    files = [path for path in request.out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return site | {"files": len(files), "bytes": size}


def _public(
    request: Request, corpus: Corpus, asked: Board, found: Sequence[Stored], say: Say
) -> Shown:
    """Return a board of public runs, and write what its explorer reads."""
    truth = truth_of(corpus)
    entrants = [entrant(one, request.submissions) for one in found]
    draws = {"resamples": request.resamples, "seed": request.seed}
    told = counted(say, asked.name, len(asked.tasks))
    said = standing(asked, truth, entrants, say=told, **draws)
    place = request.out / "data" / asked.name / "explorer"
    explorer = write_explorer(
        place,
        corpus,
        truth,
        {one.name: one.tables for one in entrants},
        [asked.tasks[name].task for name in asked.tasks],
    )
    write_text(place / "index.js", script(f"explorer/{asked.name}", explorer))
    return Shown(
        data=board_data(said, asked, corpus),
        tasks={task: task_data(said, task) for task in asked.tasks},
        downloads=_downloads(said),
        explorer=True,
    )


def counted(say: Say, what: str, total: int) -> Say:
    """Return what puts the number of a step and the time that is left to its line."""
    started, done = time.perf_counter(), itertools.count(1)

    def told(line: str) -> None:
        number = next(done)
        left = (time.perf_counter() - started) / number * (total - number)
        say(f"{what} {number}/{total} {line}; about {left:.0f} s left")

    return told


def _open(request: Request, ledger: Path, corpus: Corpus) -> tuple[str, Shown]:
    """Return a hidden board while its version is open: what was announced."""
    asked = board(corpus, hidden=True)
    found = stored(request.submissions, asked)
    entrants = [entrant(one, request.submissions) for one in found]
    data, tasks = open_board(corpus, asked, entrants, read(ledger))
    return asked.name, Shown(data=data, tasks=tasks, downloads={}, explorer=False)


def _closed(found: Mapping[str, Any]) -> Shown:
    """Return a hidden board whose version is closed."""
    data = found["board"] | {"name": closed_name(found["board"])}
    text = json.dumps(found, indent=1).encode()
    return Shown(
        data=data, tasks=found["tasks"], downloads={"json": text}, explorer=False
    )


def _downloads(said: Standing) -> dict[str, bytes]:
    """Return the overall table, and every score, as files."""
    parquet = io.BytesIO()
    said.rows.write_parquet(parquet)
    return {
        "csv": overall_csv(said).encode(),
        "json": said.overall.write_json().encode(),
        "parquet": parquet.getvalue(),
    }


def _site(boards: Mapping[str, Shown]) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "format": FORMAT,
        "title": TITLE,
        "built": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "runcast": __version__,
        "commit": commit(),
        "boards": [
            {
                "name": name,
                "corpus": shown.data["corpus"]["name"],
                "version": shown.data["corpus"]["version"],
                "hidden": shown.data["hidden"],
                "entries": sum(
                    entry["kind"] == "submission" for entry in shown.data["entries"]
                ),
                "tasks": len(shown.data["tasks"]),
                "explorer": shown.explorer,
            }
            for name, shown in boards.items()
        ],
    }
