"""The private half of a blind corpus: what scoring its hidden runs needs.

    targets.json                 which public corpus it belongs to, digest of every file
    linking.parquet              id, window, run_id, family_id of every hidden run
    tasks/final-acc/w20/...      a sealed task, see `tasks.sealed`

The key is not in it. Nothing of it goes into a public place.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import polars as pl

from harness import __version__
from harness.corpus import Corpus
from harness.errors import CorpusError, DataError
from harness.manifest import manifest_text
from harness.spec import Part
from harness.storage import replacing, sha256_of, write_parquet, write_text
from tasks.answering import answer
from tasks.base import Task
from tasks.blind.hidden import scored
from tasks.blind.view import ask_hidden, asked_of
from tasks.controls import controls
from tasks.cost import measurements
from tasks.question import Answers
from tasks.sealed import Sealed, load, save
from tasks.targets import TARGETS

CARD: Final = "targets.json"
LINKING: Final = "linking.parquet"
FORMAT: Final = 1
FEWEST: Final = 2
"""Families that are scored, at least: an interval needs more than one."""


def answers_of(
    task: Task,
    public: Corpus,
    holder: Corpus,
    *,
    asked: Collection[str],
    link: pl.DataFrame,
    everyone: pl.DataFrame,
) -> Answers:
    """Return the truth about the hidden runs that a task asks for.

    Args:
        task: What is asked.
        public: The corpus that the public runs are of.
        holder: The corpus that holds the hidden runs; it may be the same.
        asked: Ids that predictions are asked for.
        link: `tasks.blind.dealing.deal`.
        everyone: `tasks.blind.hidden.joined`.

    Raises:
        DataError: Too few of them have the target.
    """
    target = TARGETS.get(task.target.name)(holder, **task.target.params)
    target = target.filter(pl.col("value").is_not_null())
    runs = holder.runs().join(target, on="run_id").sort("run_id")
    test = scored(task, everyone)
    names = link.filter(pl.col("id").is_in(list(asked))).select("id", "run_id")
    found = (
        runs.join(names, on="run_id")
        .filter(pl.col("run_id").is_in(list(test)))
        .with_columns(fold=pl.lit(0))
        .sort("id")
    )
    if (families := found["family_id"].n_unique()) < FEWEST:
        raise DataError(
            f"{families} of the hidden families that it asks for can be scored, "
            f"expected {FEWEST} or more"
        )
    replicated = runs.select("family_id", "value")
    if public is not holder:
        more = TARGETS.get(task.target.name)(public, **task.target.params)
        others = public.runs(["run_id", "family_id"]).join(
            more.filter(pl.col("value").is_not_null()), on="run_id"
        )
        replicated = pl.concat([replicated, others.select("family_id", "value")])
    further = [c for c in target.columns if c not in ("run_id", "value")]
    return Answers.of(found, replicated, further)


def seal_hidden(blind: Corpus, holder: Corpus, task: Task, answers: Answers) -> Sealed:
    """Return what scoring the hidden runs of a task needs; the reference answers.

    Args:
        blind: The public corpus.
        holder: The corpus that holds the hidden runs.
        task: What is asked.
        answers: `answers_of`.
    """
    question = ask_hidden(blind, task)
    counts = measurements(holder, task.visibility.until)
    return Sealed(
        task=task,
        corpus=blind.name,
        corpus_sha256=blind.data_sha256,
        answers=answers,
        controls=controls(question, answers),
        reference=answer(question, Part(task.reference)).table,
        signals=blind.signals(),
        counts=counts.filter(pl.col("run_id").is_in(list(answers.run_ids))),
        asked=asked_of(question),
    )


def write_targets(
    folder: Path, blind: Corpus, link: pl.DataFrame, found: Mapping[str, Sealed]
) -> None:
    """Write the private folder; `targets.json` last.

    Raises:
        StorageError: A file could not be written.
    """
    with replacing(folder / LINKING) as temporary:
        write_parquet(temporary, link.to_arrow())
    for sealed in found.values():
        save(sealed, place(folder, sealed.task))
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "format": FORMAT,
        "name": f"{blind.name}-targets",
        "version": blind.manifest["version"],
        "corpus": blind.name,
        "corpus_sha256": blind.data_sha256,
        "runcast_version": __version__,
        "tasks": {
            name: {
                "version": sealed.task.version,
                "asked": len(sealed.asked),
                "scored": len(sealed.answers.ids),
                "families": len(set(sealed.answers.families)),
            }
            for name, sealed in sorted(found.items())
        },
        "files": {
            path.relative_to(folder).as_posix(): {
                "sha256": sha256_of(path),
                "bytes": path.stat().st_size,
            }
            for path in paths
            if path.name != CARD
        },
    }
    write_text(folder / CARD, manifest_text(manifest))


def place(folder: Path, task: Task) -> Path:
    """Return where a sealed task lies.

    Example:
        >>> from tasks.base import TASKS
        >>> place(Path("t"), TASKS.get("final-acc/w20")()).as_posix()
        't/tasks/final-acc/w20'
    """
    return folder.joinpath("tasks", *task.name.split("/"))


@dataclass(frozen=True, kw_only=True)
class HiddenTargets:
    """The targets of a blind corpus, every file as it was written."""

    folder: Path
    """Where they lie."""
    manifest: Mapping[str, Any]
    """`targets.json`."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a folder of targets; reads and checks every byte.

        Raises:
            CorpusError: It is none, or a file is missing or has changed.
        """
        path = folder / CARD
        try:
            text = path.read_text(encoding="utf-8")
            manifest = json.loads(text)
            intact = manifest_text(manifest) == text
        except (OSError, ValueError, AttributeError) as error:
            raise CorpusError(
                f"{folder} holds no targets of a blind corpus: {error}"
            ) from error
        if not intact or manifest.get("format") != FORMAT:
            raise CorpusError(
                f"{path} has changed, or is of another format: fetch the targets again"
            )
        for name, entry in manifest["files"].items():
            file = folder / name
            if not file.is_file() or sha256_of(file) != entry["sha256"]:
                raise CorpusError(
                    f"{file} is missing or has changed: fetch the targets again"
                )
        return cls(folder=folder, manifest=manifest)

    def belongs_to(self, corpus_sha256: str, what: str) -> None:
        """Refuse another corpus, or a submission about another one.

        Args:
            corpus_sha256: Digest of the tables.
            what: What to call it in an error.

        Raises:
            CorpusError: It is another one.
        """
        mine = self.manifest["corpus_sha256"]
        if corpus_sha256 != mine:
            raise CorpusError(
                f"{self.folder} holds the targets of {self.manifest['corpus']} "
                f"({mine[:12]}...), {what} is of another corpus "
                f"({corpus_sha256[:12]}...)"
            )

    def sealed(self, task: Task) -> Sealed:
        """Return what scoring a task needs.

        Raises:
            DataError: The task hides no runs.
            CorpusError: It was sealed as another runcast defines it.
        """
        if task.name not in self.manifest["tasks"]:
            known = ", ".join(self.manifest["tasks"])
            raise DataError(
                f"{self.folder} has no targets of {task.name} (it has: {known})"
            )
        return load(place(self.folder, task), task)
