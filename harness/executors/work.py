"""One worker's part: claim a cohort, train it, commit its records.

Every executor hosts this object; nothing here knows about processes or machines.
"""

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from harness.attempts import Logbook, Phase
from harness.checkpoint import CheckpointFile, discard_all, kept_parts
from harness.datasets import Source
from harness.device import Setting, release
from harness.environment import describe
from harness.errors import StorageError
from harness.executors.failure import Kind, kind_of
from harness.lease import Lease
from harness.peak import matmul_rate
from harness.plan import Plan, PlannedRun
from harness.record import finished_ids
from harness.spec import RunConfig
from harness.train import train
from harness.tuning import Tuner
from harness.workbench import Workbench

CHECKPOINT_S: Final = 300.0
"""Seconds of training between checkpoints."""
PROGRESS_S: Final = 1.0
"""Seconds between two signs of life, at least."""

Ending = Literal["done", "busy", "interrupted", "failed", "no-space"]


@dataclass(frozen=True, slots=True)
class Report:
    """How the work on a cohort ended."""

    ending: Ending
    """`busy`: another worker holds it; `no-space`: a file could not be written."""
    statuses: tuple[str, ...] = ()
    """Statuses of the runs committed now."""
    error: str = ""
    """What went wrong, for `failed` and `no-space`."""
    kind: Kind | None = None
    """What kind of failure it was, for `failed`."""

    @property
    def spoiled(self) -> bool:
        """Tell whether this process cannot work on: its device context is broken."""
        return self.kind == "device"


class CohortWorker:
    """Trains cohorts of one folder's plan on one device, data loaded once.

    Args:
        folder: Corpus folder with its plan.
        source: Where data are.
        setting: How to train.
        checkpoint_s: Seconds of training between checkpoints; 0: after every update.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        setting: Setting,
        *,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self._folder, self._checkpoint_s = folder, checkpoint_s
        self._checkpoints = folder / "checkpoints"
        self._cohorts = Plan.load(folder).cohorts()
        self._name = setting.device
        self._device = setting.apply()
        self._tuner = Tuner(setting, source.cache_dir)
        self._bench = Workbench(source, self._device)
        self._environment = describe(self._device)
        if self._device.type == "cuda":
            self._environment["deterministic"] = setting.deterministic

    def work(
        self,
        cohort_id: str,
        *,
        progress: Callable[[float], None] = lambda share: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Report:
        """Train what is left of a cohort and commit its records.

        Args:
            cohort_id: A cohort of the plan.
            progress: Told the share done, every `PROGRESS_S` seconds while something
                happens: a sign of life.
            interrupted: Asked after every update; when true the state is saved.
        """
        try:
            lease = Lease.acquire(self._folder / "leases", cohort_id)
            if lease is None:
                return Report("busy")
            with lease:
                return self._claimed(cohort_id, progress, interrupted)
        except StorageError as error:
            return Report("no-space", error=str(error))

    def _claimed(
        self,
        cohort_id: str,
        progress: Callable[[float], None],
        interrupted: Callable[[], bool],
    ) -> Report:
        unfinished = self._unfinished(cohort_id)
        wanted = [run.config for run in unfinished if run.grids]
        if not wanted:
            return Report("done")
        log = Logbook(self._folder, cohort_id, device=self._name)
        attempt = _Attempt(cohort_id, len(wanted), log, progress, interrupted)
        try:
            orphans = len(unfinished) > len(wanted)
            report = self._in_parts(attempt, wanted, orphans=orphans)
            log.end(report.kind or report.ending, report.error)
        except StorageError as error:
            with contextlib.suppress(StorageError):  # for which may be no room either
                log.end("no-space", str(error))
            raise
        return report

    def _unfinished(self, cohort_id: str) -> list[PlannedRun]:
        """Return the runs of a cohort without a record, orphans among them."""
        finished = finished_ids(self._folder / "shards")
        planned = self._cohorts[cohort_id]
        return [run for run in planned if run.run_id not in finished]

    def _in_parts(
        self, attempt: "_Attempt", wanted: list[RunConfig], *, orphans: bool
    ) -> Report:
        """Train runs together; where memory does not suffice, half of them at a time.

        Args:
            attempt: The work on their cohort.
            wanted: All of its unfinished runs but orphans.
            orphans: Whether there are any: should they come back to their grid, the
                state of the others must not have taken the place of that of all.

        Raises:
            StorageError: A file could not be written.
        """
        parts, statuses = self._kept_parts(attempt.cohort_id, wanted), list[str]()
        while parts:
            part = parts.pop(0)
            whole = part is wanted and not orphans
            report = self._guarded(attempt, part, whole=whole)
            if report.kind == "oom" and len(part) > 1:
                release(self._device)
                half = len(part) // 2
                parts = [part[:half], part[half:], *parts]
            elif report.ending != "done":
                return report
            statuses += report.statuses
        discard_all(self._checkpoints, attempt.cohort_id)
        return Report("done", tuple(statuses))

    def _kept_parts(
        self, cohort_id: str, wanted: list[RunConfig]
    ) -> list[list[RunConfig]]:
        """Return the parts in which runs trained when they were left, and the rest."""
        parts, rest = list[list[RunConfig]](), wanted
        for ids in kept_parts(self._checkpoints, cohort_id):
            parts.append([run for run in rest if run.run_id in ids])
            rest = [run for run in rest if run.run_id not in ids]
        return [part for part in (*parts, rest) if part]

    def _guarded(
        self, attempt: "_Attempt", part: Sequence[RunConfig], *, whole: bool
    ) -> Report:
        """Train runs together and turn what goes wrong into a report."""
        try:
            return self._train(attempt, part, whole=whole)
        except StorageError:
            raise
        except Exception as error:  # the worker's boundary
            return Report("failed", error=traceback.format_exc(), kind=kind_of(error))

    def _train(
        self, attempt: "_Attempt", part: Sequence[RunConfig], *, whole: bool
    ) -> Report:
        started = time.perf_counter()
        self._bench.prepare(part[0], lambda share: attempt.tell("loading"))
        loaded = time.perf_counter() - started
        rate = matmul_rate(self._device, part[0].precision)
        checkpoint = self._checkpoint(attempt, part, whole=whole)
        earlier = {"earlier_attempts": len(attempt.log.earlier)}
        records = train(
            part,
            self._bench.data(part[0]),
            ood=self._bench.cells(part[0]),
            environment=self._environment | {"matmul_flops_per_s": rate} | earlier,
            loaded_s=loaded,
            checkpoint=checkpoint,
            checkpoint_due=_every(self._checkpoint_s),
            interrupted=attempt.interrupted,
            progress=attempt.advance,
            execution=self._tuner.known(part[0]).execution,
        )
        if records is None:
            return Report("interrupted")
        release(self._device)
        lost = {"lost_s": attempt.log.lost_s / attempt.num_runs}
        for record in records:
            with_lost = dataclasses.replace(record, costs=record.costs | lost)
            with_lost.save(self._folder / "shards")
        checkpoint.discard()
        return Report("done", tuple(record.status for record in records))

    def _checkpoint(
        self, attempt: "_Attempt", part: Sequence[RunConfig], *, whole: bool
    ) -> CheckpointFile:
        return CheckpointFile(
            self._checkpoints,
            attempt.cohort_id,
            () if whole else [run.run_id for run in part],
            on_saved=attempt.log.saved,
            on_loaded=attempt.log.resumed,
        )


class _Attempt:
    """Work on one cohort, with those who want to know how far it is."""

    def __init__(
        self,
        cohort_id: str,
        num_runs: int,
        log: Logbook,
        progress: Callable[[float], None],
        interrupted: Callable[[], bool],
    ) -> None:
        self.cohort_id, self.num_runs = cohort_id, num_runs
        self.log, self.interrupted = log, interrupted
        self._progress = progress
        self._due = _every(PROGRESS_S, at_once=True)

    def tell(self, phase: Phase, step: int = 0, num_steps: int = 0) -> None:
        """Note how far the work is, and give a sign of life, both now and then."""
        if self._due():
            self.log.beat(phase, step, num_steps)
            self._progress(step / num_steps if num_steps else 0.0)

    def advance(self, step: int, num_steps: int) -> None:
        """Take in the updates done and planned."""
        self.tell("training" if step < num_steps else "scoring", step, num_steps)


def _every(seconds: float, *, at_once: bool = False) -> Callable[[], bool]:
    """Return a question that is answered with yes once every `seconds`."""
    last = time.monotonic() - (seconds if at_once else 0.0)

    def due() -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return due
