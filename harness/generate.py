"""Drive a grid from plan to corpus: plan, train what is missing, build the tables."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness import __version__
from harness.errors import CorpusError, RuncastError, StorageError
from harness.executors.events import Event, Outcome
from harness.lease import Lease
from harness.manifest import MANIFEST, read_manifest
from harness.plan import Plan, PlannedRun, planned_with
from harness.record import failed_ids, finished_ids
from harness.storage import sweep

TABLES_WAIT_S = 120.0
"""Seconds to wait for another driver that is writing the tables."""


TRAINING_SHARE = 0.9
"""Share of a cohort's time before its final scores."""


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
    merged: Plan
    """The folder's plan with them."""
    finished: frozenset[str]
    """Ids of all runs finished in the folder."""

    @property
    def pending(self) -> list[PlannedRun]:
        """Runs asked for and not finished, in plan order."""
        return [run for run in self.plan.runs if run.run_id not in self.finished]

    def pending_cohorts(self) -> dict[str, list[PlannedRun]]:
        """Return the unfinished runs by cohort, the longest cohorts first."""
        cohorts = Plan(tuple(self.pending)).cohorts()
        return dict(sorted(cohorts.items(), key=lambda item: -_weight(item[1])))


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


def prepare(folder: Path, plan: Plan) -> Job:
    """Join a plan with what `folder` already holds; writes nothing."""
    before = Plan.load(folder)
    merged = before.merged_with(plan)
    asked = {run.run_id for run in plan.runs}
    wanted = Plan(tuple(run for run in merged.runs if run.run_id in asked))
    return Job(folder, wanted, merged, frozenset(finished_ids(folder / "shards")))


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
    """
    _make_folders(job.folder)
    if job.merged != Plan.load(job.folder):
        job.merged.save(job.folder)
    cohorts = job.pending_cohorts()
    if not cohorts:
        return Outcome.DONE
    progress = Progress(
        {name: _weight(runs) for name, runs in cohorts.items()},
        {name: len(runs) for name, runs in cohorts.items()},
    )

    def tell(event: Event) -> None:
        progress.update(event)
        on_event(event, progress)

    return executor.run(list(cohorts), on_event=tell, interrupted=interrupted)


def finish(folder: Path) -> dict[str, Any]:
    """Build the tables unless they already hold every shard; return the manifest.

    Raises:
        RuncastError: Another driver is still writing them after `TABLES_WAIT_S`.
    """
    from harness.publish import build  # brings polars, which training does without

    deadline = time.monotonic() + TABLES_WAIT_S
    while (lease := Lease.acquire(folder / "leases", "tables")) is None:
        if time.monotonic() > deadline:
            raise RuncastError(f"another process is still writing the tables: {folder}")
        time.sleep(0.5)
    with lease:
        plan = Plan.load(folder)
        grids = {run.run_id: run.grids for run in plan.runs}
        if (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
            if _is_current(manifest, folder, grids):
                return manifest
        return build(folder, name=folder.resolve().name, grids=grids)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a question that turns true at the first SIGINT or SIGTERM.

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
    """Tell whether the tables hold every shard and name every grid."""
    shards = folder / "shards"
    names = {f"{i}.parquet" for i in finished_ids(shards)}
    names |= {f"{i}.failed.parquet" for i in failed_ids(shards)}
    labels = sorted({label for labels in grids.values() for label in labels})
    return set(manifest.get("shards", {})) == names and manifest["grids"] == labels


def _make_folders(folder: Path) -> None:
    for part in ("shards", "leases", "checkpoints"):
        try:
            (folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error}") from error
    sweep(folder)


def _weight(runs: Sequence[PlannedRun]) -> float:
    """Return the relative length of a cohort: its updates, with a share a run."""
    config = runs[0].config
    return config.epochs * (len(runs) + PER_STEP_RUNS / config.batch_size)


PER_STEP_RUNS = 64.0
"""Weight of the fixed cost of an update: small batches take more updates."""
