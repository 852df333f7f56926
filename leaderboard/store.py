"""Submissions at rest: a folder each below `leaderboard/submissions`, checked."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import tomli_w

from harness.checkout import day_of
from harness.corpus import Corpus
from harness.storage import replacing
from leaderboard.boards import Board, board
from leaderboard.intake.card import parse_card
from leaderboard.intake.files import read_folder
from leaderboard.intake.isolated import validate_isolated
from leaderboard.intake.names import folder_name, same_name
from leaderboard.intake.validate import Valid, validate
from leaderboard.problems import Rejected, rejected
from leaderboard.ranking.standing import Entrant
from tasks.blind.view import is_blind
from tasks.submission import CARD, FOLDER, Submission, document

SUBMISSIONS: Final = Path("leaderboard/submissions")
"""Where a checkout keeps them."""


class Stored(NamedTuple):
    """A submission that passed every check."""

    folder: str
    """Name of its folder."""
    valid: Valid
    """What it says."""


def folders(root: Path) -> list[Path]:
    """Return the folders of submissions, by name."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] != ".")


def corpus_of(submission: Submission, corpora: Sequence[Corpus]) -> Corpus:
    """Return the corpus that a submission answers about.

    Raises:
        Rejected: It is none of these, at its version and with such runs.
    """
    for corpus in corpora:
        if corpus.name == submission.corpus:
            same = corpus.data_sha256 == submission.corpus_sha256
            if same and (is_blind(corpus) or not submission.hidden):
                return corpus
    kind = "hidden" if submission.hidden else "public"
    known = ", ".join(f"{c.name} {c.data_sha256[:12]}..." for c in corpora)
    raise rejected(
        "wrong_corpus",
        CARD,
        f"there is no board of {kind} runs of this corpus and digest (but: {known})",
        "predict again for one of these, or name its folder with --corpus",
    )


def checked(folder: Path, corpora: Sequence[Corpus]) -> Stored:
    """Return a submission that nothing is wrong with.

    Everything large is read in a process of its own, within limits.

    Raises:
        Rejected: Something is; says everything.
    """
    name, card = _name(folder), card_of(folder)
    asked = board(corpus_of(card, corpora), hidden=card.hidden)
    return Stored(name, validate_isolated(folder, asked))


def card_of(folder: Path) -> Submission:
    """Return what a submission says of itself.

    Raises:
        Rejected: There is no card, or something is wrong with it.
    """
    return parse_card(read_folder(folder)[CARD])


def stored(root: Path, asked: Board) -> Iterator[Stored]:
    """Yield the submissions to a board, by folder.

    They came in through `checked`, in a process of its own; here they are checked once
    more by the same rules, in this one. Of a task that has moved on to a version that
    they do not answer nothing is left: their scores are those of the older runcast.

    Raises:
        Rejected: Something is wrong with one that is stored, or two share a name.
    """
    known: dict[str, str] = {}
    for folder in folders(root):
        try:
            files = read_folder(folder)
            card = parse_card(files[CARD])
            if (card.corpus_sha256, card.hidden) != (asked.sha256, asked.hidden):
                continue
            _alone(card.name, folder.name, known)
            files = current(files, card, asked)
            if len(files) > 1:
                yield Stored(folder.name, validate(files, asked))
        except Rejected as error:
            raise _below(error, folder.name) from error


def current(
    files: Mapping[str, bytes], card: Submission, asked: Board
) -> dict[str, bytes]:
    """Return a stored submission without the tasks that have moved on since."""
    kept = {
        name: version
        for name, version in card.tasks.items()
        if name in asked.tasks and asked.tasks[name].task.answered_by(version)
    }
    if kept == dict(card.tasks):
        return dict(files)
    gone = tuple(f"{FOLDER}/{name}." for name in set(card.tasks) - set(kept))
    text = tomli_w.dumps(document(replace(card, tasks=kept)))
    rest = {name: data for name, data in files.items() if not name.startswith(gone)}
    return rest | {CARD: text.encode()}


def add(
    folder: Path, root: Path, corpora: Sequence[Corpus], *, instead: bool
) -> Stored:
    """Check a submission and copy it below `root`, whole or not at all.

    Args:
        folder: The submission; its name becomes that of its place.
        root: Folder of submissions.
        corpora: Those that it may answer about.
        instead: Whether it may take the place of one of the same folder.

    Raises:
        Rejected: Something is wrong with it, or its name is taken.
        ValueError: Another one stands in its place.
    """
    place = root / _name(folder)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".adding-") as scratch:
        copy = Path(scratch) / place.name
        for name, data in read_folder(folder).items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            with replacing(copy / name) as temporary:
                temporary.write_bytes(data)
        found = checked(copy, corpora)  # what is checked is what is kept
        if place.exists() and not instead:
            if checked(place, corpora).valid.sha256 == found.valid.sha256:
                return found
            raise ValueError(
                f"{place} holds other predictions: name the folder otherwise, or "
                "replace them with --replace"
            )
        _alone(found.valid.submission.name, place.name, _names(root, found))
        if place.exists():
            place.replace(Path(scratch) / "replaced")
        copy.replace(place)
    return found


def entrant(one: Stored, root: Path) -> Entrant:
    """Return a stored submission as an entrant of its board."""
    return Entrant(
        name=one.valid.submission.name,
        folder=one.folder,
        submission=one.valid.submission,
        tables=one.valid.tables,
        sha256=one.valid.sha256,
        submitted=day_of(root / one.folder),
    )


def _names(root: Path, mine: Stored) -> dict[str, str]:
    """Return the folders of the other submissions to a board, by the key of a name."""
    board_of = attrgetter("corpus_sha256", "hidden")
    cards = {folder.name: card_of(folder) for folder in folders(root)}
    return {
        same_name(card.name): folder
        for folder, card in cards.items()
        if folder != mine.folder and board_of(card) == board_of(mine.valid.submission)
    }


def _name(folder: Path) -> str:
    """Return the name of a submission's folder.

    Raises:
        Rejected: No submission may have it.
    """
    name = folder.resolve().name
    if why := folder_name(name):
        what = "the folder's name " + why
        raise rejected("bad_name", CARD, what, "name it otherwise")
    return name


def _alone(name: str, folder: str, known: dict[str, str]) -> None:
    """Take note of a name on a board; refuse one that another submission has."""
    key = same_name(name)
    if key in known:
        raise rejected(
            "bad_name",
            CARD,
            f"the submission {known[key]} has the same name on this board",
            "choose another name",
        )
    known[key] = folder


def _below(error: Rejected, folder: str) -> Rejected:
    """Return the same problems, of files of a folder."""
    return Rejected(
        [replace(one, where=f"{folder}/{one.where}") for one in error.problems]
    )
