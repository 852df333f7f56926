"""One worker's part: claim a cohort, train it, commit its records.

Every executor hosts this object; nothing here knows about processes or machines.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from harness.checkpoint import CheckpointFile
from harness.datasets import Source
from harness.device import Setting, release
from harness.environment import describe
from harness.errors import StorageError
from harness.lease import Lease
from harness.peak import matmul_rate
from harness.plan import Plan
from harness.record import RunRecord, finished_ids
from harness.spec import RunConfig
from harness.train import train
from harness.tuning import Tuner
from harness.workbench import Workbench

CHECKPOINT_S: Final = 300.0
"""Seconds of training between checkpoints, at the next end of an epoch."""

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


class CohortWorker:
    """Trains cohorts of one folder's plan on one device, data loaded once."""

    def __init__(
        self,
        folder: Path,
        source: Source,
        setting: Setting,
    ) -> None:
        self._folder = folder
        self._cohorts = Plan.load(folder).cohorts()
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
            progress: Told the share done, once an epoch.
            interrupted: Asked once an epoch; when true the state is saved.
        """
        lease = Lease.acquire(self._folder / "leases", cohort_id)
        if lease is None:
            return Report("busy")
        with lease:
            finished = finished_ids(self._folder / "shards")
            planned = self._cohorts[cohort_id]
            left = [run.config for run in planned if run.run_id not in finished]
            if not left:
                return Report("done")
            try:
                return self._train(cohort_id, left, progress, interrupted)
            except StorageError as error:
                return Report("no-space", error=str(error))
            except Exception:  # the worker's boundary: kept in the record
                return self._failed(left, traceback.format_exc())

    def _train(
        self,
        cohort_id: str,
        left: Sequence[RunConfig],
        progress: Callable[[float], None],
        interrupted: Callable[[], bool],
    ) -> Report:
        started = time.perf_counter()
        self._bench.prepare(left[0], lambda share: progress(0.0))  # a sign of life
        loaded = time.perf_counter() - started
        rate = matmul_rate(self._device, left[0].precision)
        checkpoint = CheckpointFile(self._folder / "checkpoints", cohort_id)
        records = train(
            left,
            self._bench.data(left[0]),
            ood=self._bench.cells(left[0]),
            environment=self._environment | {"matmul_flops_per_s": rate},
            loaded_s=loaded,
            checkpoint=checkpoint,
            checkpoint_due=_every(CHECKPOINT_S),
            interrupted=interrupted,
            progress=progress,
            execution=self._tuner.known(left[0]).execution,
        )
        if records is None:
            return Report("interrupted")
        release(self._device)
        for record in records:
            record.save(self._folder / "shards")
        checkpoint.discard()
        return Report("done", tuple(record.status for record in records))

    def _failed(self, left: Sequence[RunConfig], error: str) -> Report:
        for config in left:
            record = RunRecord(
                config=config,
                status="failed",
                num_steps=0,
                steps_per_epoch=0,
                environment=dict[str, Any](self._environment),
                error=error,
            )
            record.save(self._folder / "shards")
        return Report("failed", error=error)


def _every(seconds: float) -> Callable[[], bool]:
    """Return a question that is answered with yes once every `seconds`."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return due
