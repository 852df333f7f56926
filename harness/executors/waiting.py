"""Which cohort is next: shared by all executors."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.executors.events import Event

MAX_ATTEMPTS: Final = 3
"""Times that a cohort is started before its runs count as failed."""

BUSY_WAIT_S: Final = 2.0
"""Seconds before a cohort that another driver's worker holds is looked at again."""


class Waiting:
    """Cohorts not yet handed out, in order; failed ones come again, at most thrice."""

    def __init__(self, cohorts: Sequence[str]) -> None:
        self._cohorts = deque(cohorts)
        self._attempts: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Tell whether any cohort waits."""
        return bool(self._cohorts)

    def take(self) -> str | None:
        """Return the first cohort that may be started now, or None."""
        for cohort in self._cohorts:
            if self._not_before.get(cohort, 0.0) <= time.monotonic():
                self._cohorts.remove(cohort)
                return cohort
        return None

    def after_report(self, cohort: str, report: Mapping[str, Any]) -> Event | None:
        """Return what a worker's report means, putting the cohort back if need be."""
        if report["ending"] == "busy":
            self._not_before[cohort] = time.monotonic() + BUSY_WAIT_S
            self._cohorts.append(cohort)
            return None
        if report["ending"] == "failed":
            return self.after_failure(cohort, report["error"])
        statuses = tuple(report["statuses"])
        return Event(report["ending"], cohort, statuses=statuses, error=report["error"])

    def after_failure(self, cohort: str, error: str) -> Event:
        """Put a failed cohort back unless it failed too often."""
        self._attempts[cohort] = self._attempts.get(cohort, 0) + 1
        if self._attempts[cohort] == MAX_ATTEMPTS:
            return Event("failed", cohort, error=error)
        self._cohorts.append(cohort)
        return Event("retried", cohort, error=error)
