"""From a corpus to its blind release: a public folder and the targets, by a key."""

import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from harness import __version__
from harness.corpus import Corpus
from harness.errors import DataError
from harness.manifest import HIDDEN_TABLES, TABLES, write_manifest
from harness.schema import SCHEMA_VERSION
from harness.secret import KEY_BYTES
from harness.storage import TEMPORARY_PREFIX, open_parquet, read_parquet
from tasks.availability import unavailable
from tasks.base import TASKS, Task
from tasks.blind.checks import CHECKS, Finding, Made
from tasks.blind.dealing import deal
from tasks.blind.hidden import ROLES_FILE, TEST, TRAIN, each, joined, write_hidden
from tasks.blind.tables import write_public
from tasks.blind.targets import answers_of, seal_hidden, write_targets
from tasks.blind.view import BLIND, read_table
from tasks.blind.windows import Window, windows_of
from tasks.question import Answers
from tasks.sealed import Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a blind release is made of."""

    corpus: Path | str
    """Finished corpus: its runs, or those that are not hidden, become public."""
    out: Path
    """Public folder, made."""
    targets: Path
    """Private folder, made."""
    key: bytes = field(repr=False)
    """32 secret bytes, see `harness.secret.read_key`; written nowhere."""
    hide: float | None = None
    """Share of the corpus's families to hide, in (0, 1)."""
    hidden: Path | str | None = None
    """Or a corpus of which every run is hidden, such as one trained with a key."""
    tasks: Sequence[str] | None = None
    """Tasks that hidden runs are asked for; None: all that the corpus can be asked."""
    name: str | None = None
    """Name of the public corpus (default: that of the corpus and "-blind")."""
    version: str | None = None
    """Its version (default: that of the corpus)."""
    accept: tuple[str, ...] = ()
    """Checks that may fail, by name; the manifest says so."""
    against: tuple[Corpus, ...] = ()
    """Further public corpora in which no hidden run may be found."""

    def __post_init__(self) -> None:
        """Check what would otherwise be found late."""
        if (self.hide is None) == (self.hidden is None):
            raise ValueError(
                "expected either hide, a share of the families, or hidden, a corpus"
            )
        if self.hide is not None and not 0 < self.hide < 1:
            raise ValueError(f"hide is {self.hide}, expected a share in (0, 1)")
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"the key has {len(self.key)} bytes, expected {KEY_BYTES}")
        if unknown := sorted(set(self.accept) - set(CHECKS)):
            raise ValueError(
                f"no check is called {unknown[0]!r} (there are: {', '.join(CHECKS)})"
            )


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was made."""

    folder: Path
    """The public corpus."""
    targets: Path
    """The private targets."""
    windows: Mapping[str, tuple[int, int]]
    """Hidden families and runs of each window."""
    tasks: Mapping[str, tuple[int, int]]
    """Runs asked for and runs scored of each task."""
    findings: Mapping[str, Finding]
    """What the checks found, in full: not to be published."""
    made: Made
    """What they looked at: not to be published either."""


def blind(request: Request, say: Callable[[str], None] = lambda _: None) -> Result:
    """Make the public corpus and the targets; neither is there unless all is well.

    Args:
        request: What is hidden, from where, for which tasks.
        say: Told what is done.

    Raises:
        ValueError: Too few families are hidden for the windows of the tasks, or a
            folder holds something.
        DataError: A task cannot be asked of the corpus, or a check failed that is not
            accepted.
        CorpusError: A corpus is damaged.
        StorageError: A file could not be written.

    Cost: 432 runs and 15 tasks: about 10 s, and the references' answers.
    """
    source = Corpus.open(request.corpus)
    holder = source if request.hidden is None else Corpus.open(request.hidden)
    for folder in (request.out, request.targets):
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} holds something: name a new folder")
    tasks = _tasks(request, holder)
    windows = windows_of(tasks)
    link = deal(holder, windows, key=request.key, hide=request.hide)
    say(f"{link['family_id'].n_unique()} families hidden in {len(windows)} windows")
    with _staged(request.out) as folder, _staged(request.targets) as private:
        _write(request, source, holder, folder, tasks, windows, link)
        say("tables written")
        opened = Corpus.open(folder)
        made = _made(request, opened, source, holder, tasks, windows, link)
        findings = _checked(made, request.accept, say)
        fields = {k: v for k, v in opened.manifest.items() if k != "files"}
        fields[BLIND] |= {
            "accepted": sorted(request.accept),
            "checks": {name: found.public() for name, found in findings.items()},
        }
        write_manifest(folder, fields, opened.manifest["files"])
        opened = Corpus.open(folder)

        def seal(task: Task) -> Sealed:
            truth = made.answers[task.name]
            say(f"{task.name}: sealing {len(truth.ids)} hidden runs")
            return seal_hidden(opened, holder, task, truth)

        sealed = each(tasks, seal)
        write_targets(private, opened, link, sealed)
    sizes = link.group_by("window").agg(pl.col("family_id").n_unique(), pl.len())
    return Result(
        folder=request.out,
        targets=request.targets,
        windows={name: (families, runs) for name, families, runs in sizes.rows()},
        tasks={
            name: (len(found.asked), len(found.answers.ids))
            for name, found in sealed.items()
        },
        findings=findings,
        made=dataclasses.replace(made, blind=Corpus.open(request.out)),
    )


def _tasks(request: Request, holder: Corpus) -> list[Task]:
    """Return the tasks that are asked, sorted by name."""
    if request.tasks is None:
        every = [TASKS.get(name)() for name in TASKS.names()]
        found = [task for task in every if unavailable(task, holder) is None]
    else:
        found = [TASKS.get(name)() for name in sorted(set(request.tasks))]
        for task in found:
            if why := unavailable(task, holder):
                raise DataError(f"{task.name} cannot be asked: {why}")
    if not found:
        raise DataError(f"no task can be asked of {holder.name}")
    return found


def _write(
    request: Request,
    source: Corpus,
    holder: Corpus,
    folder: Path,
    tasks: Sequence[Task],
    windows: Sequence[Window],
    link: pl.DataFrame,
) -> None:
    """Write the public tables and a manifest that does not tell the checks yet."""
    runs = source.runs(["run_id", "family_id"])
    families = link["family_id"].unique().to_list() if holder is source else []
    kept = runs.filter(~pl.col("family_id").is_in(families))["run_id"]
    write_public(source, folder, kept.to_list())
    write_hidden(holder, source, folder, windows=windows, tasks=tasks, link=link)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet"))
    rows = dict.fromkeys((*TABLES, *HIDDEN_TABLES), 0)
    for name in names:
        with open_parquet(folder / name) as file:
            rows[name.split("/")[0]] += file.metadata.num_rows
    fields: dict[str, Any] = {
        "name": request.name or f"{source.name}-blind",
        "version": request.version or source.manifest["version"],
        "schema_version": SCHEMA_VERSION,
        "runcast_version": __version__,
        "grids": source.manifest["grids"],
        "window_edges_percent": source.manifest["window_edges_percent"],
        "rows": rows,
        BLIND: {
            "windows": {
                window.name: window.to_json()
                | {"runs": len(link.filter(window=window.name))}
                for window in windows
            },
            "tasks": _counts(folder, tasks),
        },
    }
    write_manifest(folder, fields, names)


def _counts(folder: Path, tasks: Sequence[Task]) -> dict[str, Any]:
    """Return version and number of runs of each task, by role."""
    roles = pl.DataFrame(read_parquet(folder / ROLES_FILE))
    return {
        task.name: {"version": task.version}
        | {role: len(roles.filter(task=task.name, role=role)) for role in (TRAIN, TEST)}
        for task in tasks
    }


def _made(
    request: Request,
    opened: Corpus,
    source: Corpus,
    holder: Corpus,
    tasks: Sequence[Task],
    windows: Sequence[Window],
    link: pl.DataFrame,
) -> Made:
    """Return what the checks look at."""
    roles = read_table(opened, ROLES_FILE).filter(role=TEST)
    everyone = joined(source, holder)

    def truth(task: Task) -> Answers:
        asked = roles.filter(task=task.name)["run_id"].to_list()
        return answers_of(
            task, source, holder, asked=asked, link=link, everyone=everyone
        )

    return Made(
        blind=opened,
        holder=holder,
        whole=holder is source,
        tasks=tuple(tasks),
        windows=tuple(windows),
        link=link,
        answers=each(tasks, truth),
        against=request.against,
    )


def _checked(
    made: Made, accept: Sequence[str], say: Callable[[str], None]
) -> dict[str, Finding]:
    """Run every check; refuse what is not accepted."""
    findings = {}
    for name, check in CHECKS.items():
        findings[name] = check(made)
        say(f"{name}: {findings[name].text}")
    failed = {
        name: found
        for name, found in findings.items()
        if not found.passed and name not in accept
    }
    if failed:
        told = "\n  ".join(f"{name}: {found.text}" for name, found in failed.items())
        raise DataError(
            f"{len(failed)} check(s) of the blind release failed, nothing was "
            f"written:\n  {told}"
        )
    return findings


@contextlib.contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Yield a folder that becomes `folder` in the end, or leaves no trace."""
    staging = folder.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        staging.mkdir(parents=True)
        yield staging
        if folder.exists():
            folder.rmdir()
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
