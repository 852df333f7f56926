"""A board of five tasks of a synthetic corpus, and baselines that answer it."""

from collections.abc import Mapping, Sequence

import pytest

from harness.corpus import Corpus
from harness.spec import Part
from leaderboard.boards import Asked, Board
from leaderboard.ranking.standing import Entrant, Standing, standing
from tasks.answering import answer
from tasks.base import TASKS
from tasks.checked import epochs_of
from tasks.prediction import Charge, make_predictor
from tasks.question import Answers, Question, ask
from tasks.sealed import Sealed, sealed
from tasks.submission import About, Submission
from tests.tasks.full_corpus import build_full

TASK_NAMES = (
    "ckpt-prune/w20",
    "curve/w20",
    "final-acc/w20",
    "rank/pairs/w20",
    "shift/opt=lion",
)
PREDICTORS = ("hyper_ridge", "median", "sotl_e", "zero")
RESAMPLES = 60


@pytest.fixture(scope="session")
def full(tmp_path_factory) -> Corpus:
    """Of which every task can be asked."""
    return build_full(tmp_path_factory.mktemp("ranking") / "corpus")


@pytest.fixture(scope="session")
def questions(full) -> dict[str, tuple[Question, Answers]]:
    """What each task asks, and the truth."""
    return {name: ask(full, TASKS.get(name)()) for name in TASK_NAMES}


@pytest.fixture(scope="session")
def truths(full, questions) -> dict[str, Sealed]:
    """What scoring each task needs."""
    return {
        name: sealed(
            full, question, answers, answer(question, Part(question.task.reference))
        )
        for name, (question, answers) in questions.items()
    }


@pytest.fixture(scope="session")
def board(full, truths) -> Board:
    """The board of the five tasks."""
    return Board(
        name="full",
        corpus="full",
        version="1.0.0",
        sha256=full.data_sha256,
        hidden=False,
        tasks={
            name: Asked(task=one.task, examples=epochs_of(one.task, one.answers))
            for name, one in truths.items()
        },
    )


def entrant(board: Board, name: str, tables: Mapping, **changes) -> Entrant:
    """Return an entrant that says nothing of itself."""
    submission = Submission(
        name=name,
        predictor=changes.pop("predictor", Part(name)),
        charge=changes.pop("charge", Charge(signals=())),
        corpus=board.corpus,
        corpus_version=board.version,
        corpus_sha256=changes.pop("corpus_sha256", board.sha256),
        tasks={task: "1" for task in board.tasks} | changes.pop("versions", {}),
        runcast="0.7.0",
        seconds={"fit": 1.5, "predict": 0.25},
        about=About(authors=("A. Nother",), hardware="one core"),
    )
    given = {"submitted": None, "sha256": name.encode().hex()[:8], "folder": name}
    return Entrant(
        name=name, submission=submission, tables=dict(tables), **given | changes
    )


@pytest.fixture(scope="session")
def entrants(board, questions) -> tuple[Entrant, ...]:
    """Four baselines; one of them bears the name of a reference."""
    found = []
    for name in PREDICTORS:
        tables = {
            task: answer(question, Part(name)).table
            for task, (question, _) in questions.items()
        }
        charge = Charge.of(make_predictor(Part(name)))
        found.append(entrant(board, name, tables, charge=charge))
    return tuple(found)


def stand(board, truths, entrants: Sequence[Entrant], **changes) -> Standing:
    """Return the standing of some entrants."""
    given = {"resamples": RESAMPLES} | changes
    return standing(board, lambda task: truths[task.name], entrants, **given)


@pytest.fixture(scope="session")
def stood(board, truths, entrants) -> Standing:
    """The standing of the four."""
    return stand(board, truths, entrants)
