"""Drive a grid from plan to corpus: plan, train what is missing, build the tables."""

import contextlib
import dataclasses
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness import __version__, attempts
from harness.damage import set_damaged_aside
from harness.errors import CorpusError, RuncastError, StorageError
from harness.executors.events import Event, Outcome
from harness.lease import Lease
from harness.manifest import MANIFEST, read_manifest
from harness.plan import PLAN, Plan, PlannedRun, planned_with
from harness.record import failed_ids, finished_ids, shard_names
from harness.storage import remove, sha256_of, sweep
from harness.weights import TRAINING_SHARE, weight

WAIT_S = 120.0
"""Seconds to wait for another driver that is writing the plan or the tables."""


class Executor(Protocol):
    """Trains cohorts of a folder's plan."""

    def run(
        self,
        cohorts: Sequence[str],
        *,
        on_event: Callable[[Event], None],
        interrupted: Callable[[], bool],
    ) -> Outcome:
        """Train every cohort; return how it ended."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A grid to be trained into a folder, with what is already there."""

    folder: Path
    plan: Plan
    """The runs asked for now, in the cohorts of the folder's plan."""
    whole: Plan
    """All runs of the grid as it was planned, with those that are left to others."""
    merged: Plan
    """The folder's plan with them."""
    finished: frozenset[str]
    """Ids of all runs finished in the folder."""
    replacing: bool = False
    """Whether the grid was planned in full: what it does not hold is no longer its."""

    @property
    def pending(self) -> list[PlannedRun]:
        """Runs asked for and not finished, in plan order."""
        return [run for run in self.plan.runs if run.run_id not in self.finished]

    def pending_cohorts(self) -> dict[str, list[PlannedRun]]:
        """Return the unfinished runs by cohort, the longest cohorts first."""
        cohorts = Plan(tuple(self.pending)).cohorts()
        return dict(sorted(cohorts.items(), key=lambda item: -weight(item[1])))


@dataclass(slots=True)
class Progress:
    """How far the training is, in updates weighted alike for every run."""

    weights: dict[str, float]
    """Weight of each cohort to train."""
    runs: dict[str, int]
    """Runs of each cohort to train."""
    shares: dict[str, float] = field(default_factory=dict)
    """Share done of each cohort."""
    counts: dict[str, int] = field(default_factory=dict)
    """Runs by status."""
    started: float = field(default_factory=time.monotonic)

    def update(self, event: Event) -> None:
        """Take in an executor's event."""
        if event.kind == "progress":
            self.shares[event.cohort] = TRAINING_SHARE * event.share
        elif event.kind == "done":
            self.shares[event.cohort] = 1.0
            for status in event.statuses:
                self.counts[status] = self.counts.get(status, 0) + 1
        elif event.kind in ("retried", "failed"):
            self.shares[event.cohort] = 0.0

    @property
    def share(self) -> float:
        """Share of the whole work that is done, 0 to 1."""
        total = sum(self.weights.values())
        done = sum(self.weights[c] * s for c, s in self.shares.items())
        return done / total if total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds to the end; None before anything was done."""
        elapsed = time.monotonic() - self.started
        return elapsed * (1 / self.share - 1) if self.share > 0 else None


def prepare(
    folder: Path, plan: Plan, *, replacing: bool = False, shard: str = "1/1"
) -> Job:
    """Join a plan with what `folder` already holds; writes nothing.

    Args:
        folder: The corpus folder.
        plan: Runs asked for.
        replacing: Whether they are all that their grids hold, see `Plan.merged_with`.
        shard: "I/N": train the I-th of N parts.

    Raises:
        CorpusError: The folder's plan is damaged.
        ValueError: `shard` is no part.
    """
    before = Plan.load(folder)
    merged = before.merged_with(plan, replacing=replacing)
    asked = {run.run_id for run in plan.runs}
    wanted = Plan(tuple(run for run in merged.runs if run.run_id in asked))
    return Job(
        folder=folder,
        plan=_part(wanted, shard),
        whole=plan,
        merged=merged,
        finished=frozenset(finished_ids(folder / "shards")),
        replacing=replacing,
    )


def mended(job: Job) -> tuple[Job, list[str]]:
    """Set damaged records of the runs asked for aside; return what is left to do.

    Returns:
        The job, in which these runs are pending; and a line about each.

    Raises:
        CorpusError: What has the name of a record is no file or cannot be read.
        StorageError: A record could not be renamed.
    """
    shards = job.folder / "shards"
    said = set_damaged_aside(shards, [run.run_id for run in job.plan.runs])
    return dataclasses.replace(job, finished=frozenset(finished_ids(shards))), said


def _part(plan: Plan, shard: str) -> Plan:
    """Return the cohorts of one part; all parts have about one length.

    Every part is worked out alike on every machine, whatever is finished there.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(
            f"--shard is {shard!r}, expected I/N with I from 1 to N, such as 1/4 for "
            "the first of four parts"
        )
    longest_first = sorted(plan.cohorts().items(), key=lambda item: -weight(item[1]))
    mine = {name for name, _ in longest_first[int(match[1]) - 1 :: int(match[2])]}
    return Plan(tuple(run for run in plan.runs if run.cohort_id in mine))


def check_version(folder: Path) -> None:
    """Refuse to mix runs of versions whose numbers may not be comparable.

    Raises:
        CorpusError: The folder was begun by another version of runcast.
    """
    before = planned_with(folder)
    if before is not None and before.split(".")[:2] != __version__.split(".")[:2]:
        raise CorpusError(
            f"{folder} was begun by runcast {before}, this is {__version__}: take "
            "another folder or that version, or --allow-version (each run's row tells "
            "the version that trained it)"
        )


def run_job(
    job: Job,
    executor: Executor,
    *,
    on_event: Callable[[Event, Progress], None],
    interrupted: Callable[[], bool],
) -> Outcome:
    """Train what is pending.

    Args:
        job: From `prepare`.
        executor: Who trains.
        on_event: Told about every event with the progress after it.
        interrupted: Asked often; when true the current work is kept and training stops.

    Raises:
        StorageError: The folder cannot be written.
        RuncastError: Another driver is still writing the plan.
    """
    _make_folders(job.folder)
    job = _planned(job)
    _sweep_checkpoints(job)
    cohorts = job.pending_cohorts()
    if not cohorts:
        return Outcome.DONE
    progress = Progress(
        {name: weight(runs) for name, runs in cohorts.items()},
        {name: len(runs) for name, runs in cohorts.items()},
    )

    def tell(event: Event) -> None:
        progress.update(event)
        on_event(event, progress)

    return executor.run(list(cohorts), on_event=tell, interrupted=interrupted)


def finish(folder: Path) -> dict[str, Any]:
    """Build the tables unless they already hold every shard; return the manifest.

    Only runs that a grid of the plan references are taken in.

    Raises:
        CorpusError: There is no plan, the plan or a shard is damaged, or the tables
            hold runs whose shards are gone.
        RuncastError: Another driver is still writing them after `WAIT_S`.
    """
    from harness.publish import build  # brings polars, which training does without

    if not (folder / PLAN).exists():
        raise CorpusError(
            f"{folder} has no {PLAN}: tables are built where runs were trained, from "
            "the plan and the records in shards/; a corpus that was downloaded has "
            "its tables already"
        )
    with _alone(folder, "tables"):
        grids = Plan.load(folder).grids
        if (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
            if _is_current(manifest, folder, grids):
                return manifest
            _refuse_to_lose(manifest, folder)
        return build(folder, name=folder.resolve().name, grids=grids, only=set(grids))


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a question that turns true at the first SIGINT, SIGTERM or SIGUSR1.

    The second signal raises KeyboardInterrupt.
    """
    asked = 0

    def handle(number: int, frame: object) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise KeyboardInterrupt("second signal")

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield lambda: asked > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_current(
    manifest: dict[str, Any], folder: Path, grids: dict[str, tuple[str, ...]]
) -> bool:
    """Tell whether the tables hold every shard as it is and name every grid."""
    shards, expected = folder / "shards", manifest.get("shards", {})
    names = shard_names(shards, grids)
    labels = sorted({label for labels in grids.values() for label in labels})
    return (
        set(expected) == names
        and manifest["grids"] == labels
        and all(sha256_of(shards / name) == expected[name] for name in names)
    )


def _refuse_to_lose(manifest: dict[str, Any], folder: Path) -> None:
    """Raise CorpusError where only the tables still hold some runs."""
    shards = folder / "shards"
    held = {name.split(".")[0] for name in manifest.get("shards", {})}
    gone = sorted(held - finished_ids(shards) - failed_ids(shards))
    if gone:
        raise CorpusError(
            f"the tables of {folder} hold {len(gone)} runs whose records are gone from "
            f"{shards} ({', '.join(gone[:3])}{', ...' if gone[3:] else ''}): put them "
            "back, or train them again with the same `harness generate` command; or "
            f"delete {folder / MANIFEST} to build the tables without them"
        )


@contextlib.contextmanager
def _alone(folder: Path, what: str) -> Iterator[None]:
    """Hold the only right to write the plan or the tables of a folder."""
    deadline = time.monotonic() + WAIT_S
    while (lease := Lease.acquire(folder / "leases", what)) is None:
        if time.monotonic() > deadline:
            raise RuncastError(f"another process is still writing the {what}: {folder}")
        time.sleep(0.1)
    with lease:
        yield


def _planned(job: Job) -> Job:
    """Save the plan; return the job in the cohorts that the folder has now.

    Another driver may have planned since, and in other cohorts: the first to plan a
    run decides.
    """
    with _alone(job.folder, "plan"):
        before = Plan.load(job.folder)
        merged = before.merged_with(job.whole, replacing=job.replacing)
        if merged != before:
            merged.save(job.folder)
    mine = {run.run_id for run in job.plan.runs}
    plan = Plan(tuple(run for run in merged.runs if run.run_id in mine))
    return dataclasses.replace(job, plan=plan, merged=merged)


def _sweep_checkpoints(job: Job) -> None:
    """Remove checkpoints of finished cohorts, left by a crash after the last record."""
    done = {
        cohort
        for cohort, runs in job.merged.cohorts().items()
        if job.finished.issuperset(run.run_id for run in runs if run.grids)
    }
    for path in (job.folder / "checkpoints").glob("c-*.pt"):
        if path.name.split(".")[0].partition("-r-")[0] in done:
            remove(path)


def _make_folders(folder: Path) -> None:
    for part in ("shards", "leases", "checkpoints", attempts.FOLDER):
        try:
            (folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error}") from error
    sweep(folder)
