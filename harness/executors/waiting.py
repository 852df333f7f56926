"""Which cohort is next, and where: shared by all executors."""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness import attempts
from harness.errors import StorageError
from harness.executors.events import Event
from harness.executors.failure import ATTEMPTS, Kind, give_up
from harness.spans import duration

BUSY_WAIT_S: Final = 2.0
"""Seconds before a cohort that another driver's worker holds is looked at again."""
IN_A_ROW: Final = 3
"""Failures without a success between after which a place rests."""
REST_S: Final = 600.0
"""Seconds that it rests then, and twice as long after every further failure."""


class Waiting:
    """Cohorts not yet handed out, in order; those that failed may come again.

    A place is where workers are: a device of this machine, or a node of a cluster.
    While another place takes work, a cohort does not go back to one where it failed for
    a reason of the machine, and a place where such failures follow each other rests. It
    is not struck off: cohorts that fail everywhere would strike off every sound place.

    Args:
        folder: The corpus folder, where cohorts that are given up are recorded.
        cohorts: Cohort ids of its plan.
        places: Returns the places where workers are now, with their names for people.
    """

    def __init__(
        self,
        folder: Path,
        cohorts: Sequence[str],
        places: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._folder = folder
        self._cohorts = deque(cohorts)
        self._places = places
        self._names: dict[str, str] = {}
        self._failures: Counter[tuple[str, Kind]] = Counter()
        self._failed_at: dict[str, set[str]] = {}
        self._in_a_row: Counter[str] = Counter()
        self._rests_until: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many cohorts wait."""
        return len(self._cohorts)

    def take(self, place: str = "") -> str | None:
        """Return the first cohort that may be started now in a place, or None."""
        now = time.monotonic()
        open_places = self._open(now)
        if open_places and place not in open_places:
            return None
        for cohort in self._cohorts:
            if self._not_before.get(cohort, 0.0) > now:
                continue
            failed_at = self._failed_at.get(cohort, set())
            if place in failed_at and not open_places <= failed_at:
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

    def postpone(self, cohort: str) -> None:
        """Take back a cohort that is to come after all others."""
        self._cohorts.append(cohort)

    def after_report(
        self, cohort: str, report: Mapping[str, Any], place: str = ""
    ) -> Event | None:
        """Return what a worker's report means, putting the cohort back if need be."""
        if report["ending"] == "busy":
            self._not_before[cohort] = time.monotonic() + BUSY_WAIT_S
            self._cohorts.append(cohort)
            return None
        if report["ending"] == "failed":
            return self._failed(cohort, report["kind"], report["error"], place)
        statuses = tuple(report["statuses"])
        if statuses:  # without any, others had done the work: it says nothing of here
            self._in_a_row[place] = 0
            self._rests_until.pop(place, None)
        return Event(report["ending"], cohort, statuses=statuses, error=report["error"])

    def after_loss(self, cohort: str, kind: Kind, error: str, place: str) -> Event:
        """Note the end of a worker that could not report it itself."""
        try:
            attempts.close(self._folder, cohort, ending=kind, error=error)
        except StorageError as full:
            return Event("no-space", cohort, error=str(full))
        return self._failed(cohort, kind, error, place)

    def _failed(self, cohort: str, kind: Kind, error: str, place: str) -> Event:
        """Put a failed cohort back, or give it up if it failed too often."""
        if ATTEMPTS[kind] > 1:  # the machine's fault, or the code's on any machine
            self._failed_at.setdefault(cohort, set()).add(place)
            self._blame(place, kind)
        self._failures[cohort, kind] += 1
        if self._failures[cohort, kind] < ATTEMPTS[kind]:
            self._cohorts.append(cohort)
            return Event("retried", cohort, error=error, reason=kind)
        count = sum(n for (name, _), n in self._failures.items() if name == cohort)
        try:
            give_up(self._folder, cohort, kind, error, count)
        except StorageError as full:
            return Event("no-space", cohort, error=str(full))
        return Event("failed", cohort, error=error, reason=kind)

    def _open(self, now: float) -> set[str]:
        """Return the places that take work: where all rest, all of them."""
        found = self._places()
        self._names.update(found)
        awake = {place for place in found if self._rests_until.get(place, 0.0) <= now}
        return awake or set(found)

    def _blame(self, place: str, kind: Kind) -> None:
        """Count a failure against a place, and let it rest where another goes on."""
        self._in_a_row[place] += 1
        count, now = self._in_a_row[place], time.monotonic()
        if count < IN_A_ROW or not self._open(now) - {place}:
            return
        rest_s = REST_S * 2 ** (count - IN_A_ROW)
        self._rests_until[place] = now + rest_s
        sys.stderr.write(
            f"{self._names.get(place, place)} rests for {duration(rest_s)}, others go "
            f"on: {count} cohorts in a row failed there (the last: {kind})\n"
        )
        sys.stderr.flush()
