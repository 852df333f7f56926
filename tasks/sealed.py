"""Everything that scoring a task needs, and no curve: truth, reference, prices.

Made once a corpus and task, kept in a folder, read in milliseconds: scoring a
submission is a pure function of its bytes and this.
"""

import dataclasses
import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from harness import __version__
from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.measure import Floats
from harness.spec import Part, canonical_json
from harness.storage import read_parquet, replacing, write_parquet, write_text
from tasks.answering import Answered, answer
from tasks.base import Task
from tasks.checked import epochs_of
from tasks.controls import controls
from tasks.cost import cost, measurements
from tasks.evaluate import evaluate
from tasks.prediction import Charge, make_predictor
from tasks.question import Answers, Question, ask

CARD: Final = "sealed.json"
FORMAT: Final = 2
"""Raised when the files change their meaning."""
CODE: Final = ("tasks", "baselines", "harness.early", "harness.fits")
"""Packages whose code decides what is sealed."""
LEFT_OUT: Final = ("config_json", "cost.", "environment.", "error", "final.", "ood.")
"""Columns of runs that no score needs."""
CONTROLS: Final = "controls"
"""Column of the table `scored` that holds what a prediction must add to."""


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """What is hidden from whoever predicts."""

    task: Task
    """What was asked."""
    corpus: str
    """Name of the corpus."""
    corpus_sha256: str
    """Digest of its manifest."""
    answers: Answers
    """The truth."""
    controls: Floats
    """`[n, C]`, see `tasks.controls`."""
    reference: pl.DataFrame
    """What the task's reference says."""
    signals: pl.DataFrame
    """The corpus's table `signals`: prices."""
    counts: pl.DataFrame
    """How often probes measured, see `tasks.cost.measurements`."""
    asked: pl.DataFrame
    """What must be answered, scored or not: id, first, last, see `tasks.checked`."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A predictor's answers, and what they are charged for."""

    table: pl.DataFrame
    """Predictions, see `tasks.answering`."""
    charge: Charge
    """What the predictor was shown."""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What it was made with."""


def seal(corpus: Corpus, task: Task) -> Sealed:
    """Put a task to a corpus and keep what scoring needs; the reference answers it.

    Raises:
        DataError: The corpus cannot be asked this.
    """
    question, answers = ask(corpus, task)
    return sealed(corpus, question, answers, answer(question, Part(task.reference)))


def sealed(
    corpus: Corpus, question: Question, answers: Answers, reference: Answered
) -> Sealed:
    """Return what scoring needs of a question that was asked and answered."""
    return Sealed(
        task=question.task,
        corpus=question.corpus,
        corpus_sha256=question.corpus_sha256,
        answers=answers,
        controls=controls(question, answers),
        reference=reference.table,
        signals=corpus.signals(),
        counts=measurements(corpus, question.task.visibility.until),
        asked=epochs_of(question.task, answers),
    )


def judge(
    found: Sealed, entries: Mapping[str, Entry], *, resamples: int, seed: int = 0
) -> pl.DataFrame:
    """Return the rows of `tasks.evaluate` for predictors and the reference.

    Args:
        found: The truth.
        entries: Answers by the predictor's name. One under the name of the reference
            stands for it.
        resamples: Resamples behind each interval.
        seed: Names the draws.

    Raises:
        ValueError: A table is not what was asked for.
    """
    charge = Charge.of(make_predictor(Part(found.task.reference)))
    reference = Entry(table=found.reference, charge=charge)
    everyone = {found.task.reference: reference} | dict(entries)
    return evaluate(
        found.task,
        found.answers,
        {name: entry.table for name, entry in everyone.items()},
        corpus=found.corpus,
        corpus_sha256=found.corpus_sha256,
        arguments={name: entry.arguments for name, entry in everyone.items()},
        costs={
            name: cost(
                found.task,
                entry.charge,
                runs=found.answers.runs,
                signals=found.signals,
                counts=found.counts,
            )
            for name, entry in everyone.items()
        },
        controls=found.controls,
        asked=found.asked,
        resamples=resamples,
        seed=seed,
    )


def folder_of(root: Path, corpus_sha256: str, task: Task) -> Path:
    """Return where a sealed task lies below `root`: one place a corpus and definition.

    A task that is defined otherwise, or other code that works the truth out, lies
    elsewhere, even under the same version.
    """
    text = f"{FORMAT}/{_code()}/{corpus_sha256}/{_definition(task)}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return root.joinpath(*task.name.split("/")) / digest


def save(found: Sealed, folder: Path) -> None:
    """Write a sealed task to a folder; the card is written last.

    Raises:
        StorageError: A file could not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    column = pl.Series(CONTROLS, found.controls.tolist(), pl.List(pl.Float64))
    runs = found.answers.runs.with_columns(column)
    tables = {
        "scored": runs.select([c for c in runs.columns if not c.startswith(LEFT_OUT)]),
        "replicated": found.answers.replicated,
        "reference": found.reference,
        "signals": found.signals,
        "counts": found.counts,
        "asked": found.asked,
    }
    for name, table in tables.items():
        with replacing(folder / f"{name}.parquet") as temporary:
            write_parquet(temporary, table.to_arrow())
    card = {
        "format": FORMAT,
        "runcast": __version__,
        "task": found.task.name,
        "version": found.task.version,
        "definition": _definition(found.task),
        "corpus": found.corpus,
        "corpus_sha256": found.corpus_sha256,
        "context": sorted(found.answers.context),
    }
    write_text(folder / CARD, json.dumps(card, indent=1))


def load(folder: Path, task: Task) -> Sealed:
    """Read what `save` wrote.

    Raises:
        CorpusError: The folder holds no sealed task, or another one.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{folder} holds no sealed task: {error}") from error
    if (card["format"], card["definition"]) != (FORMAT, _definition(task)):
        raise CorpusError(
            f"{folder} holds {card['task']}@{card['version']} as another runcast "
            f"({card['runcast']}) defines it: seal it again"
        )
    scored = _read(folder, "scored")
    rows = scored[CONTROLS].to_list()
    return Sealed(
        task=task,
        corpus=card["corpus"],
        corpus_sha256=card["corpus_sha256"],
        answers=Answers.of(
            scored.drop(CONTROLS), _read(folder, "replicated"), card["context"]
        ),
        controls=np.array(rows, np.float64).reshape(len(scored), -1),
        reference=_read(folder, "reference"),
        signals=_read(folder, "signals"),
        counts=_read(folder, "counts"),
        asked=_read(folder, "asked"),
    )


def _read(folder: Path, name: str) -> pl.DataFrame:
    table = pl.from_arrow(read_parquet(folder / f"{name}.parquet"))
    assert isinstance(table, pl.DataFrame)
    return table


@functools.cache
def _code() -> str:
    """Return the digest of the modules that truth and references come from."""
    sha = hashlib.sha256(__version__.encode())
    for package in CODE:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        for place in spec.submodule_search_locations or ():
            for path in sorted(Path(place).rglob("*.py")):
                sha.update(path.read_bytes())
    return sha.hexdigest()


def _definition(task: Task) -> str:
    """Return everything that a task is, as text."""
    data = dataclasses.asdict(task)
    for name in ("target", "split"):
        data[name] = getattr(task, name).to_json()
    return canonical_json(data)
