"""Which cohort is next: shared by all executors."""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness import attempts
from harness.errors import StorageError
from harness.executors.events import Event
from harness.executors.failure import ATTEMPTS, Kind, give_up

BUSY_WAIT_S: Final = 2.0
"""Seconds before a cohort that another driver's worker holds is looked at again."""
ELSEWHERE_S: Final = 30.0
"""Seconds that a cohort waits for a device other than the one where it failed."""


class Waiting:
    """Cohorts not yet handed out, in order; those that failed may come again.

    Args:
        folder: The corpus folder, where cohorts that are given up are recorded.
        cohorts: Cohort ids of its plan.
        devices: Devices of the workers.
    """

    def __init__(
        self, folder: Path, cohorts: Sequence[str], devices: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self._cohorts = deque(cohorts)
        self._several = len(set(devices)) > 1
        self._failures: Counter[tuple[str, Kind]] = Counter()
        self._failed_on: dict[str, tuple[str, float]] = {}
        self._not_before: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many cohorts wait."""
        return len(self._cohorts)

    def take(self, device: str = "") -> str | None:
        """Return the first cohort that may be started now on a device, or None."""
        now = time.monotonic()
        for cohort in self._cohorts:
            if self._not_before.get(cohort, 0.0) > now:
                continue
            failed_on, until = self._failed_on.get(cohort, ("", 0.0))
            if self._several and failed_on == device and now < until:
                continue
            self._cohorts.remove(cohort)
            return cohort
        return None

    def withdraw(self, cohort: str) -> None:
        """Forget a cohort that somebody works on who was there before."""
        if cohort in self._cohorts:
            self._cohorts.remove(cohort)

    def put_back(self, cohort: str) -> None:
        """Take back a cohort whose worker stopped without a failure."""
        self._cohorts.appendleft(cohort)

    def after_report(
        self, cohort: str, report: Mapping[str, Any], device: str = ""
    ) -> Event | None:
        """Return what a worker's report means, putting the cohort back if need be."""
        if report["ending"] == "busy":
            self._not_before[cohort] = time.monotonic() + BUSY_WAIT_S
            self._cohorts.append(cohort)
            return None
        if report["ending"] == "failed":
            return self._failed(cohort, report["kind"], report["error"], device)
        statuses = tuple(report["statuses"])
        return Event(report["ending"], cohort, statuses=statuses, error=report["error"])

    def after_loss(self, cohort: str, kind: Kind, error: str, device: str) -> Event:
        """Note the end of a worker that could not report it itself."""
        try:
            attempts.close(self._folder, cohort, ending=kind, error=error)
        except StorageError as full:
            return Event("no-space", cohort, error=str(full))
        return self._failed(cohort, kind, error, device)

    def _failed(self, cohort: str, kind: Kind, error: str, device: str) -> Event:
        """Put a failed cohort back, or give it up if it failed too often."""
        self._failures[cohort, kind] += 1
        if self._failures[cohort, kind] < ATTEMPTS[kind]:
            self._failed_on[cohort] = (device, time.monotonic() + ELSEWHERE_S)
            self._cohorts.append(cohort)
            return Event("retried", cohort, error=error, reason=kind)
        count = sum(n for (name, _), n in self._failures.items() if name == cohort)
        try:
            give_up(self._folder, cohort, kind, error, count)
        except StorageError as full:
            return Event("no-space", cohort, error=str(full))
        return Event("failed", cohort, error=error, reason=kind)
