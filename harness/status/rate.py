"""How fast a folder fills, when it will be full, and what it costs; torch-free.

Runs a minute count records by the times at which they appeared. Time left comes from
what workers did in the seconds that they noted, by no clock at all.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from harness.plan import PlannedRun
from harness.status.crews import Noted, Worker
from harness.weights import share_done, weight

WINDOW_S: Final = 600.0
"""Seconds that "the last while" reaches back, at least."""
WINDOW_RUNS: Final = 10
"""Runs that it holds, if so many ended: it is doubled until it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast a folder fills; None where nothing is known or nobody works."""

    share: float
    """Share of the whole work that is done, cohorts at work included, 0 to 1."""
    window_s: float | None
    """Seconds that the last while reaches back."""
    recent_runs_per_min: float | None
    """Runs that ended in the last while, over its length."""
    overall_runs_per_min: float | None
    """Runs that ended, over the time since the first was begun, pauses included."""
    seconds_left: float | None
    """Expected until the last worker ends."""
    ready_at: str | None
    """When that will be, in local time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Seconds of devices."""

    spent_device_s: float
    """On finished runs, on all that failed, and on the cohorts at work."""
    lost_device_s: float
    """Of these, lost to failures."""
    expected_device_s: float | None
    """On the whole grid, at the present speed; None before it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done and left of a plan, in the weights of its cohorts."""

    whole: Mapping[str, float]
    """Weight of every cohort with all its runs."""
    left: Mapping[str, float]
    """Weight of every cohort that is to be trained, with the runs left."""
    notes: Mapping[str, Noted]
    """Attempts by cohort."""
    workers: Sequence[Worker]
    """Who works."""

    def per_second(self, since: float) -> float | None:
        """Return what a worker does in a second: over those at work, and what ended.

        Args:
            since: Cohorts that ended before this time do not count.
        """
        done = seconds = 0.0
        held = {worker.cohort for worker in self.workers}
        for cohort, (tried, at) in self.notes.items():
            last = tried[-1]
            if last.ending == "done" and at >= since and cohort in self.whole:
                size, share = self.whole[cohort], 1.0
            elif last.ending is None and cohort in held & self.left.keys():
                size, share = self.left[cohort], share_done(last.step, last.num_steps)
            else:
                continue
            done += size * (share - share_done(last.resumed_from, last.num_steps))
            seconds += last.seconds
        return done / seconds if done > 0 and seconds > 0 else None

    @property
    def at_work(self) -> list[float]:
        """Weight that each worker has yet to do of its cohort."""
        return [
            self.left.get(worker.cohort, 0.0) * (1 - (worker.share or 0.0))
            for worker in self.workers
        ]

    @property
    def waiting(self) -> list[float]:
        """Weights of the cohorts that nobody holds."""
        held = {worker.cohort for worker in self.workers}
        return [size for cohort, size in self.left.items() if cohort not in held]

    @property
    def share(self) -> float:
        """Share of the whole work that is done, 0 to 1."""
        whole = sum(self.whole.values())
        return 1 - (sum(self.at_work) + sum(self.waiting)) / whole if whole else 1.0

    def seconds_left(self, per_second: float) -> float:
        """Return the seconds until the last worker ends, the longest cohorts first."""
        ends = self.at_work
        heapq.heapify(ends)
        for size in sorted(self.waiting, reverse=True):
            heapq.heapreplace(ends, ends[0] + size)
        return max(ends) / per_second


def work(
    cohorts: Mapping[str, Sequence[PlannedRun]],
    ended: Collection[str],
    notes: Mapping[str, Noted],
    workers: Sequence[Worker],
) -> Work:
    """Return what is done and left.

    Args:
        cohorts: The plan.
        ended: Ids of the runs that nobody will train now: finished, or given up.
        notes: Attempts by cohort.
        workers: Who works.
    """
    left = {
        cohort: [run for run in runs if run.run_id not in ended]
        for cohort, runs in cohorts.items()
    }
    return Work(
        whole={cohort: weight(runs) for cohort, runs in cohorts.items()},
        left={cohort: weight(runs) for cohort, runs in left.items() if runs},
        notes=notes,
        workers=workers,
    )


def rate(todo: Work, seen: Collection[float], now: float) -> Rate:
    """Return how fast a folder fills.

    Args:
        todo: What is done and left.
        seen: When the record of each run that ended appeared.
        now: What time it is, by the same clock.
    """
    begun = _begun(todo.notes.values(), seen)
    end = now if todo.workers else max(seen, default=now)
    overall = recent = window = left = None
    if begun is not None and seen and end > begun:
        overall = 60 * len(seen) / (end - begun)
    if todo.workers:
        window = window_s(seen, now, begun)
        recent = 60 * _since(seen, now - window) / window
        speed = todo.per_second(now - window)
        left = None if speed is None else todo.seconds_left(speed)
    return Rate(
        share=todo.share,
        window_s=window,
        recent_runs_per_min=recent,
        overall_runs_per_min=overall,
        seconds_left=left,
        ready_at=None if left is None else _local(left),
    )


def window_s(seen: Collection[float], now: float, begun: float | None) -> float:
    """Return how far the last while reaches back, in seconds, and not before the begin.

    Example:
        >>> window_s([0.0, 10.0, 3000.0], 3600.0, -900.0)  # few runs: all the time
        4500.0
    """
    longest = max(now - begun, 1.0) if begun is not None else WINDOW_S
    window = WINDOW_S
    while window < longest and _since(seen, now - window) < WINDOW_RUNS:
        window *= 2
    return min(window, longest)


def spending(todo: Work, total_s: float, lost_s: float, since: float) -> Spending:
    """Return what was spent, and what the whole will have cost.

    Args:
        todo: What is done and left.
        total_s: Seconds on all accounts of the finished runs, what they lost included.
        lost_s: Of these, lost.
        since: As of `Work.per_second`.
    """
    spent, lost = total_s, lost_s
    at_work = {w.cohort: w.seconds or 0.0 for w in todo.workers if w.share is not None}
    for cohort, (tried, _) in todo.notes.items():
        if tried[-1].ending == "done":
            continue  # its runs account for it
        *before, last = tried
        running = cohort in at_work
        worked = sum(one.seconds for one in before)
        spent += worked + (at_work[cohort] if running else last.seconds)
        lost += sum(one.lost_s for one in (before if running else tried))
    speed = todo.per_second(since)
    left = sum(todo.at_work) + sum(todo.waiting)
    expected = spent if not left else None if speed is None else spent + left / speed
    return Spending(
        spent_device_s=spent, lost_device_s=lost, expected_device_s=expected
    )


def _begun(notes: Iterable[Noted], seen: Iterable[float]) -> float | None:
    """Return when the first run was begun, by the clock of the file system."""
    starts = [at - tried[-1].seconds for tried, at in notes]
    return min([*starts, *seen], default=None)


def _local(seconds: float) -> str:
    """Return the local time in so many seconds, as ISO text."""
    ready = datetime.now().astimezone() + timedelta(seconds=seconds)
    return ready.isoformat(timespec="seconds")


def _since(seen: Iterable[float], start: float) -> int:
    return sum(at >= start for at in seen)
