"""A predictor's answers at rest: a folder with `submission.toml` and tables.

    submission.toml                     who, with what, to which corpus, which tasks
    predictions/final-acc/w20.parquet   id, prediction, q0.05 ..., reason; or .csv

Predictions, not scores: when a metric is mended, everybody is scored anew.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import polars as pl
import tomli_w

from harness import __version__
from harness.errors import CorpusError
from harness.spec import Part
from harness.storage import read_parquet, replacing, write_parquet, write_text
from tasks.answering import Answered
from tasks.prediction import Charge
from tasks.question import Question

CARD: Final = "submission.toml"
FOLDER: Final = "predictions"
SUFFIXES: Final = (".parquet", ".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What people say of a submission; a leaderboard asks for most of it."""

    authors: tuple[str, ...] = ()
    """Names."""
    contact: str = ""
    """Mail address or https address."""
    code: str = ""
    """https address of the code."""
    licence: str = ""
    """Of the code, an SPDX identifier such as "Apache-2.0"; or "proprietary"."""
    description: str = ""
    """A sentence or two; may be empty."""
    hardware: str = ""
    """What it was run on; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a submission says of itself."""

    name: str
    """What the table calls it."""
    predictor: Part
    """Registered name or `module:attribute`, and arguments."""
    charge: Charge
    """What the predictor was shown, and is charged for."""
    corpus: str
    """Name of the corpus it answers about."""
    corpus_version: str
    """Release of it, such as "1.0.0"; empty if it was never released."""
    corpus_sha256: str
    """Digest of its tables."""
    tasks: Mapping[str, str]
    """Version of each task, by name."""
    runcast: str
    """Version of the harness that wrote it."""
    seconds: Mapping[str, float]
    """fit and predict, all tasks together, self-reported."""
    about: About = About()
    """Who made it, and where it is."""
    hidden: bool = False
    """Whether it answers about hidden runs, see `tasks.blind`."""


def write_answers(
    folder: Path, submission: Submission, question: Question, answered: Answered
) -> Submission:
    """Add a task's predictions to a submission folder; return what it now says.

    The table is in place before `submission.toml` names it.

    Raises:
        StorageError: A file could not be written.
    """
    path = table_path(folder, question.task.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write_parquet(temporary, answered.table.to_arrow())
    tasks = dict(submission.tasks) | {question.task.name: question.task.version}
    seconds = {
        "fit": submission.seconds.get("fit", 0.0) + answered.fit_s,
        "predict": submission.seconds.get("predict", 0.0) + answered.predict_s,
    }
    done = replace(
        submission,
        corpus=question.corpus,
        corpus_sha256=question.corpus_sha256,
        tasks=dict(sorted(tasks.items())),
        runcast=__version__,
        seconds=seconds,
        hidden=question.hidden,
    )
    write_text(folder / CARD, tomli_w.dumps(document(done)))
    return done


def read_submission(folder: Path) -> Submission:
    """Return what a submission says of itself.

    Raises:
        CorpusError: There is no `submission.toml`, or something is missing in it.
    """
    path = folder / CARD
    if not path.is_file():
        raise CorpusError(
            f"{folder} is no submission: {CARD} is missing (`harness predict` writes "
            "one)"
        )
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        uses = found["predictor"].get("uses")
        return Submission(
            name=found["name"],
            predictor=Part(
                found["predictor"]["name"], found["predictor"].get("arguments", {})
            ),
            charge=Charge(
                signals=None if uses is None else tuple(uses),
                settings=found["predictor"]["reads_settings"],
                curves=found["predictor"]["reads_curves"],
            ),
            corpus=found["corpus"]["name"],
            corpus_version=found["corpus"].get("version", ""),
            corpus_sha256=found["corpus"]["sha256"],
            tasks={name: task["version"] for name, task in found["tasks"].items()},
            runcast=found.get("runcast", ""),
            seconds=_seconds(found.get("compute", {})),
            about=_about(found),
            hidden=bool(found["corpus"].get("hidden", False)),
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} is not TOML in UTF-8: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path} lacks or misuses {error}") from error


def read_predictions(folder: Path, task: str) -> pl.DataFrame:
    """Return the predictions of a task, as they are in the file; numbers in float32.

    Raises:
        CorpusError: There is no such file, two of them, or it cannot be read.
    """
    found = [p for s in SUFFIXES if (p := table_path(folder, task, s)).is_file()]
    if len(found) != 1:
        why = "is missing" if not found else "stands there twice, as .parquet and .csv"
        raise CorpusError(f"{table_path(folder, task)} {why}")
    (path,) = found
    if path.suffix == ".csv":
        try:
            table = pl.read_csv(path, infer_schema_length=None)
        except pl.exceptions.PolarsError as error:
            raise CorpusError(f"{path} is not a CSV table: {error}") from error
    else:
        table = pl.DataFrame(read_parquet(path))
    return table.with_columns(pl.col(pl.Float64).cast(pl.Float32))


def table_path(folder: Path, task: str, suffix: str = ".parquet") -> Path:
    """Return where a task's predictions lie.

    Example:
        >>> table_path(Path("s"), "final-acc/w20").as_posix()
        's/predictions/final-acc/w20.parquet'
    """
    parts = task.split("/")
    return folder.joinpath(FOLDER, *parts[:-1], parts[-1] + suffix)


def _seconds(compute: Mapping[str, Any]) -> dict[str, float]:
    """Return the times of a table `compute`: fit_s and predict_s."""
    return {k.removesuffix("_s"): v for k, v in compute.items() if k.endswith("_s")}


def _about(found: Mapping[str, Any]) -> About:
    given = {f.name: found[f.name] for f in fields(About) if f.name in found}
    given["hardware"] = found.get("compute", {}).get("hardware", "")
    return About(**given | {"authors": tuple(given.get("authors", ()))})


def document(submission: Submission) -> dict[str, Any]:
    """Return what `submission.toml` holds."""
    about = submission.about
    predictor: dict[str, Any] = {
        "name": submission.predictor.name,
        "arguments": dict(submission.predictor.params),
        "reads_settings": submission.charge.settings,
        "reads_curves": submission.charge.curves,
    }
    if submission.charge.signals is not None:
        predictor["uses"] = list(submission.charge.signals)
    corpus: dict[str, Any] = {
        "name": submission.corpus,
        "version": submission.corpus_version,
        "sha256": submission.corpus_sha256,
    }
    if submission.hidden:
        corpus["hidden"] = True
    return {
        "name": submission.name,
        "authors": list(about.authors),
        "contact": about.contact,
        "code": about.code,
        "licence": about.licence,
        "description": about.description,
        "runcast": submission.runcast,
        "predictor": predictor,
        "compute": {
            "hardware": about.hardware,
            **{f"{k}_s": round(v, 3) for k, v in submission.seconds.items()},
        },
        "corpus": corpus,
        "tasks": {name: {"version": v} for name, v in submission.tasks.items()},
    }
