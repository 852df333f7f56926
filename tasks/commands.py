"""What `harness predict` and `harness score` do, without the command line."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from harness import __version__
from harness.corpus import Corpus
from harness.errors import CorpusError, DataError, PredictorError
from harness.folders import cache_folder
from harness.release.notes import RELEASE
from harness.spec import Part
from harness.storage import replacing
from tasks.answering import Answered, answer
from tasks.availability import unavailable
from tasks.base import TASKS, Task
from tasks.blind.targets import HiddenTargets
from tasks.blind.view import ask_hidden, hidden_tasks, is_blind, not_hidden
from tasks.prediction import Charge, make_predictor
from tasks.question import ask
from tasks.sealed import Entry, Sealed, folder_of, judge, load, save, seal
from tasks.submission import (
    Submission,
    read_predictions,
    read_submission,
    write_answers,
)

TARGETS: Final = "targets"
"""Folder in the user's cache that keeps sealed tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """What `harness predict` is asked for."""

    corpus: Path
    """Corpus folder."""
    part: Part
    """The predictor."""
    out: Path
    """Submission folder; tasks that it holds already are answered anew if named."""
    tasks: Sequence[str] | None
    """Names of tasks; None: all that can be asked of the corpus."""
    name: str
    """What tables call the predictor."""
    public: bool = False
    """Of a blind corpus: cross-validate its public families, rather than answer for
    its hidden runs."""


def predictor_part(name: str, arguments: Sequence[str]) -> Part:
    """Return a predictor and its arguments from NAME=VALUE texts; values are JSON.

    Raises:
        ValueError: A text has no name or no value.

    Example:
        >>> predictor_part("nearest_curves", ["k=5"]).params["k"]
        5
    """
    given: dict[str, Any] = {}
    for text in arguments:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ValueError(f"--set {text}: expected NAME=VALUE, such as k=5")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value  # a plain word
    return Part(name, given)


def predict(
    request: PredictRequest, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Answer tasks, one after the other, into a submission folder.

    A task's answers are in place as soon as they are made. Where all tasks are asked,
    one at which the predictor crashes is told, and the others go on.

    Raises:
        KeyError: No predictor or task is called so.
        DataError: A task that was named cannot be asked of the corpus.
        PredictorError: The predictor crashed, or answered in another form, at a task
            that was named.
    """
    corpus = Corpus.open(request.corpus)
    hidden = is_blind(corpus) and not request.public
    submission = _begun(request, corpus)
    done: dict[str, Any] = {
        "submission": str(request.out),
        "tasks": {},
        "not_asked": {},
        "failed": {},
    }
    names = request.tasks
    if hidden and names is None:
        names = [name for name in hidden_tasks(corpus) if name in TASKS.names()]
        lacking = set(hidden_tasks(corpus)) - set(names)
        unknown = "this runcast has no such task: `pip install --upgrade runcast`"
        done["not_asked"] |= dict.fromkeys(sorted(lacking), unknown)
    for task in _tasks(names):
        why = not_hidden(task, corpus) if hidden else unavailable(task, corpus)
        if why is not None:
            if request.tasks is not None:
                raise DataError(f"{task.name} cannot be asked: {why}")
            done["not_asked"][task.name] = why
            continue
        question = ask_hidden(corpus, task) if hidden else ask(corpus, task)[0]
        try:
            answered = answer(question, request.part)
        except PredictorError as error:
            if request.tasks is not None:
                raise
            done["failed"][task.name] = str(error).splitlines()[0]
            say(done["failed"][task.name])
            continue
        submission = write_answers(request.out, submission, question, answered)
        done["tasks"][task.name] = _summary(answered)
        say(f"{task.name}: {_counted(done['tasks'][task.name])}")
    return done


def predict_text(done: dict[str, Any]) -> str:
    """Return what was answered, and what was not asked, as text."""
    lines = [f"{name}: {_counted(found)}" for name, found in done["tasks"].items()]
    lines += [f"{name}: not asked: {why}" for name, why in done["not_asked"].items()]
    lines += [f"{name}: failed: {why}" for name, why in done["failed"].items()]
    lines.append(f"{len(done['tasks'])} tasks answered in {done['submission']}")
    if done["failed"]:
        lines.append(
            f"{len(done['failed'])} tasks failed: decline what cannot be answered "
            "(harness.errors.Declined), or name tasks with --task for the traceback"
        )
    return "\n".join(lines)


def score(
    folder: Path,
    corpus_folder: Path,
    *,
    tasks: Sequence[str] | None = None,
    targets: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the scores of a submission and of each task's reference.

    The truth of each task is worked out once a corpus and kept in the user's cache;
    that about hidden runs comes from `targets`.

    Args:
        folder: Submission.
        corpus_folder: The corpus that it answers about.
        tasks: Names; None: all that the submission answers.
        targets: Private folder of a blind corpus, see `tasks.blind.targets`.
        resamples: Resamples behind each interval.
        seed: Names the draws.

    Raises:
        CorpusError: The submission is not readable, or answers about another corpus.
        KeyError: It does not answer a task, or this runcast does not know it.
        ValueError: Predictions are not what was asked for, or of another version; or
            they are about hidden runs and there are no targets.
    """
    submission = read_submission(folder)
    corpus = Corpus.open(corpus_folder)
    sha256 = corpus.data_sha256
    if submission.corpus_sha256 != sha256:
        raise CorpusError(
            f"{folder} answers about {submission.corpus} "
            f"({submission.corpus_sha256[:12]}...), {corpus_folder} is {corpus.name} "
            f"({sha256[:12]}...): score it against the corpus that it was made for"
        )
    truth_of = _truth(submission, corpus, folder, targets)
    names = sorted(submission.tasks) if tasks is None else list(tasks)
    rows = []
    for name in names:
        task = _same_version(submission, name)
        entry = Entry(
            table=read_predictions(folder, name),
            charge=submission.charge,
            arguments=submission.predictor.params,
        )
        truth = truth_of(task)
        found = judge(truth, {submission.name: entry}, resamples=resamples, seed=seed)
        rows.append(found)
    if not rows:
        raise CorpusError(f"{folder} answers no task")
    return pl.concat(rows)


def _truth(
    submission: Submission, corpus: Corpus, folder: Path, targets: Path | None
) -> Callable[[Task], Sealed]:
    """Return what gives the truth about the runs that a submission answers for."""
    if targets is None:
        if submission.hidden:
            raise ValueError(
                f"{folder} answers for hidden runs of {corpus.name}: only whoever "
                "holds their targets can score it (--targets FOLDER); `harness "
                "predict --public` answers for public runs, which everybody can score"
            )
        return lambda task: kept(corpus, task)
    if not submission.hidden:
        raise ValueError(
            f"{folder} answers for public runs of {corpus.name}, {targets} holds the "
            "targets of hidden ones: score it without --targets"
        )
    found = HiddenTargets.open(targets)
    found.belongs_to(submission.corpus_sha256, str(folder))
    return found.sealed


def kept(corpus: Corpus, task: Task) -> Sealed:
    """Return the sealed task from the user's cache, or make it and keep it.

    Raises:
        DataError: The corpus cannot be asked this.
    """
    root = cache_folder() / TARGETS
    place = folder_of(root, corpus.data_sha256, task)
    try:
        return load(place, task)
    except CorpusError:
        found = seal(corpus, task)
        save(found, place)
        return found


def write_scores(path: Path, rows: pl.DataFrame) -> None:
    """Write scores as Parquet or CSV, by the ending of the path."""
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            rows.write_csv(temporary)
        else:
            rows.write_parquet(temporary)


def _tasks(names: Sequence[str] | None) -> list[Task]:
    return [TASKS.get(name)() for name in (TASKS.names() if names is None else names)]


def _begun(request: PredictRequest, corpus: Corpus) -> Submission:
    """Return the submission that is added to, or a new one."""
    charge = Charge.of(make_predictor(request.part))
    sha256 = corpus.data_sha256
    hidden = is_blind(corpus) and not request.public
    fresh = Submission(
        name=request.name,
        predictor=request.part,
        charge=charge,
        corpus=corpus.name,
        corpus_version=corpus.manifest.get(RELEASE, {}).get("version", ""),
        corpus_sha256=sha256,
        tasks={},
        runcast=__version__,
        seconds={},
        hidden=hidden,
    )
    if not request.out.exists() or not any(request.out.iterdir()):
        return fresh
    old = read_submission(request.out)
    same = (old.predictor, old.corpus_sha256) == (request.part, sha256)
    if same and old.hidden != hidden:
        kind, other = ("hidden", "public")[:: 1 if old.hidden else -1]
        raise ValueError(
            f"{request.out} holds answers for {kind} runs, these are for {other} ones: "
            "name another folder with --out"
        )
    if not same:
        raise ValueError(
            f"{request.out} holds answers of {old.predictor.name} about {old.corpus} "
            f"({old.corpus_sha256[:12]}...): name another folder with --out"
        )
    return old


def _same_version(submission: Submission, name: str) -> Task:
    if name not in submission.tasks:
        known = ", ".join(submission.tasks)
        raise KeyError(f"the submission does not answer {name!r} (it answers: {known})")
    task = TASKS.get(name)()
    if not task.answered_by(submission.tasks[name]):
        raise ValueError(
            f"the submission answers {name}@{submission.tasks[name]}, this runcast has "
            f"version {task.version}: their scores cannot be compared; predict again"
        )
    return task


def _summary(answered: Answered) -> dict[str, Any]:
    gone = answered.table.filter(pl.col("prediction").is_null())
    return {
        "examples": answered.table["id"].n_unique(),
        "declined": gone["id"].n_unique(),
        "reason": gone["reason"].mode().sort().first() if len(gone) else None,
        "seconds": round(answered.fit_s + answered.predict_s, 3),
    }


def _counted(found: dict[str, Any]) -> str:
    text = f"{found['examples']} examples in {found['seconds']:.1f} s"
    if found["declined"]:
        text += f", {found['declined']} declined, mostly: {found['reason']}"
    return text
