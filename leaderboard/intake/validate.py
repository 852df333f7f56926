"""A submission's bytes against a board: its tables, or all that is wrong."""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from leaderboard.boards import Asked, Board
from leaderboard.intake.card import parse_card
from leaderboard.intake.csv_table import asked_rows, read_csv
from leaderboard.intake.files import COMPONENT
from leaderboard.intake.names import shown
from leaderboard.intake.parquet_table import read_parquet
from leaderboard.intake.rows import Read, check_rows
from leaderboard.problems import Problem, Rejected
from tasks.checked import digest
from tasks.submission import CARD, FOLDER, SUFFIXES, Submission

READERS: Final[Mapping[str, Callable[[bytes, Asked, str], Read]]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Valid:
    """A submission that is taken."""

    submission: Submission
    """Its card."""
    tables: Mapping[str, pl.DataFrame]
    """Predictions by task, sorted by name; numbers in float32, as they were given."""
    sha256: str
    """Digest of the predictions, whatever their order and format: the SHA-256 of a
    line "<task> <tasks.checked.digest>" a task, sorted."""
    notes: tuple[str, ...]
    """What is odd, but allowed: constant or declined answers, tasks left out."""


def ignore(where: str) -> None:
    """Do nothing about the name of a file that is read next."""


def validate(
    files: Mapping[str, bytes], board: Board, reading: Callable[[str], None] = ignore
) -> Valid:
    """Return a submission that answers what a board asks.

    Pure: nothing but the arguments is read.

    Args:
        files: By name, see `leaderboard.intake.files.read_folder`.
        board: What is asked.
        reading: Told the name of each file before it is read.

    Raises:
        Rejected: Something is wrong; everything that is, of the card first, then of
            the files by name.

    Cost: 19 tasks of 432 runs about .1 s on one core.
    """
    problems: list[Problem] = []
    card: Submission | None = None
    if CARD in files:
        reading(CARD)
        try:
            card = parse_card(files[CARD])
        except Rejected as rejected:
            problems += rejected.problems
    else:
        problems.append(_bad("bad_card", CARD, "is missing", "add it"))
    if card is not None:
        problems += _corpus(card, board)
    names, strange = _named(files)
    problems += strange
    problems += _tasks(card, board, names)
    tables: dict[str, pl.DataFrame] = {}
    for where, task in sorted(names.items()):
        if task not in board.tasks:
            continue
        reading(where)
        found, wrong = _read(files[where], board.tasks[task], where)
        problems += wrong
        if found is not None:
            tables[task] = found
    if problems or card is None:
        raise Rejected(problems)
    return Valid(
        submission=card,
        tables=dict(sorted(tables.items())),
        sha256=_sha256(tables),
        notes=tuple(_notes(tables, board)),
    )


def _bad(code: str, where: str, what: str, mend: str, count: int = 1) -> Problem:
    return Problem(code=code, where=where, what=what, mend=mend, count=count)


def _named(files: Mapping[str, bytes]) -> tuple[dict[str, str], list[Problem]]:
    """Return the task of each table by the file's name, and problems with names."""
    found, problems = {}, []
    for where in sorted(files):
        if where == CARD:
            continue
        parts = re.sub(r"\.(csv|parquet)$", "", where).split("/")
        plain = all(COMPONENT.fullmatch(part) for part in where.split("/"))
        if not plain or parts[0] != FOLDER or not where.endswith(SUFFIXES):
            what = f"{shown(where)} does not belong to a submission"
            problems.append(_bad("bad_path", ".", what, "remove it"))
        else:
            found[where] = "/".join(parts[1:])
    return found, problems


def _corpus(card: Submission, board: Board) -> Iterator[Problem]:
    """Yield what the card says of another corpus than the board's."""
    mend = f"answer about {board.corpus} {board.version}".rstrip() + " as it was loaded"
    for field, said, is_so in (
        ("name", card.corpus, board.corpus),
        ("version", card.corpus_version, board.version),
        ("sha256", card.corpus_sha256, board.sha256),
    ):
        if said != is_so:
            what = f"corpus.{field} is {shown(said, 64)}, of this board {is_so!r}"
            yield _bad("wrong_corpus", CARD, what, mend)
    if card.hidden != board.hidden:
        runs = "hidden" if board.hidden else "public"
        what = f"corpus.hidden is {str(card.hidden).lower()}, but {board.name} is about"
        mend = "send it to the other board of this corpus"
        yield _bad("wrong_corpus", CARD, f"{what} {runs} runs", mend)


def _tasks(
    card: Submission | None, board: Board, names: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield tasks without tables, tables without tasks, and wrong versions."""
    said = {} if card is None else dict(sorted(card.tasks.items()))
    for task, version in said.items():
        asked = board.tasks.get(task)
        if asked is None:
            yield _unknown(task, board, CARD)
        elif not asked.task.answered_by(version):
            what = (
                f"{task} has version {shown(version)}, scored is {asked.task.version}"
            )
            mend = "answer the version that is scored, with a runcast that has it"
            yield _bad("wrong_version", CARD, what, mend)
        if asked is not None and task not in names.values():
            rows = asked_rows(asked)
            what = f"{task} is named, but there is no table of it"
            mend = f"add {FOLDER}/{task}.parquet or .csv"
            yield _bad("missing_rows", CARD, what, mend, rows)
    for where, task in sorted(names.items()):
        if task not in board.tasks:
            if task not in said:
                yield _unknown(task, board, where)
        elif card is not None and task not in said:
            what = f"{CARD} names no task {task}"
            yield _bad("bad_path", where, what, f'add [tasks."{task}"] and its version')
        if list(names.values()).count(task) > 1 and where.endswith(SUFFIXES[0]):
            what = f"{task} is answered twice, as .csv and .parquet"
            yield _bad("bad_path", where, what, "keep one of the two")


def _unknown(task: str, board: Board, where: str) -> Problem:
    close = difflib.get_close_matches(task[:100], board.tasks, n=1)
    mend = f"did you mean {close[0]}?" if close else f"one of {', '.join(board.tasks)}"
    code = "bad_card" if where == CARD else "bad_path"
    return _bad(code, where, f"{board.name} has no task {shown(task)}", mend)


def _read(
    data: bytes, asked: Asked, where: str
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return a table as metrics take it, and what is wrong with it."""
    suffix = "." + where.rsplit(".", 1)[1]
    try:
        found = READERS[suffix](data, asked, where)
    except Rejected as rejected:
        return None, list(rejected.problems)
    problems = check_rows(asked, found.frame, where, found.quoted)
    if problems:
        return None, problems
    frame = found.frame
    if "reason" not in frame.columns:
        frame = frame.with_columns(reason=pl.lit(None, pl.String))
    return frame, []


def _sha256(tables: Mapping[str, pl.DataFrame]) -> str:
    lines = [f"{task} {digest(table)}\n" for task, table in sorted(tables.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _notes(tables: Mapping[str, pl.DataFrame], board: Board) -> Iterator[str]:
    """Yield what is allowed, but worth a second look."""
    for task, table in sorted(tables.items()):
        said = table["prediction"].drop_nulls()
        if gone := len(table) - len(said):
            yield f"{task}: {gone} of {len(table)} rows are declined"
        if len(said) > 1 and said.n_unique() == 1:
            yield f"{task}: all predictions are {said[0]:g}"
    if left := len(board.tasks) - len(tables):
        yield f"{left} of {len(board.tasks)} tasks are not answered"
