"""How far a corpus folder is, who works on it and what it cost, without loading torch.

Any machine that sees the folder may look, at any time: every file may be replaced or
vanish between two looks, and clocks may differ.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from harness import held_for
from harness.costs import Costs, costs
from harness.errors import CorpusError
from harness.held_for import Held, Process
from harness.lease import Claim
from harness.manifest import MANIFEST
from harness.plan import PLAN, Plan
from harness.status.crews import (
    Gone,
    Noted,
    Notes,
    Retried,
    Worker,
    claims,
    crew,
    now_for,
    retried,
)
from harness.status.ended import Ended, EndedRuns, Signature, signature
from harness.status.rate import Rate, Spending, rate, spending, work

STATES: Final = ("completed", "diverged", "failed", "running", "pending")
"""A run is in one of these: finished twice over, failed, on a worker, or to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that failed and was not finished since."""

    run_id: str
    """Its id."""
    kind: str | None
    """Kind of failure, "damaged" for a damaged record; None if it was not noted."""
    attempts: int | None
    """Times that its cohort was started; None if it was not noted."""
    host: str | None
    """Machine of the last attempt."""
    device: str | None
    """What the last attempt ran on."""
    error: str
    """Last line of the traceback, which names the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a corpus folder is."""

    folder: Path
    planned: int
    """Distinct runs that a grid of the plan holds, or the tables of a corpus."""
    counts: dict[str, int]
    """Runs by state, see `STATES`; the states add up to `planned`."""
    grids: dict[str, dict[str, int]]
    """The same by grid; a run that two grids share counts in both."""
    orphans: int
    """Runs of the plan that no grid holds any more: kept, not published."""
    workers: tuple[Worker, ...]
    """Who works, by cohort."""
    gone: tuple[Gone, ...]
    """Claims whose holders are gone: the next start takes them over."""
    writing: tuple[str, ...]
    """What a driver writes just now: "plan", "tables"."""
    tables: str
    """"current", "outdated" (shards that they lack), "damaged" or "missing"."""
    failures: tuple[Failure, ...]
    """Failed runs, sorted by id."""
    retried: tuple[Retried, ...]
    """Cohorts that were started again after a loss."""
    rate: Rate
    """How fast it goes, and when it ends."""
    spending: Spending
    """Seconds of devices so far, and expected."""
    costs: Costs
    """What the finished runs spent."""
    idle_s: float | None
    """Seconds since anything changed in the folder."""

    @property
    def finished(self) -> int:
        """Return the number of runs that completed or diverged."""
        return self.counts["completed"] + self.counts["diverged"]

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.finished == self.planned and self.tables == "current"

    @property
    def is_running(self) -> bool:
        """Tell whether anybody works."""
        return bool(self.workers or self.writing)


class Reader:
    """Looks at one folder, again and again; what does not change is read once.

    Args:
        folder: The corpus folder.
        tell: Told how many of the records to be read were read, and of how many.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[int, int], object] = lambda done, total: None,
    ) -> None:
        self._folder = folder
        self._ended = EndedRuns(folder, tell)
        self._notes = Notes(folder)
        self._plan: tuple[Signature, Plan] | None = None
        self.newest: float | None = None
        """When anything changed last, as the file system noted it."""

    def look(self) -> Status:
        """Return how far the folder is now.

        Raises:
            CorpusError: It is no folder of runs, or its plan is damaged.
        """
        plan = self._planned()
        held = claims(self._folder)  # first: who ends in between is seen as finished
        workers = held_for.read(self._folder) if held else {}
        notes = self._notes.look()
        ended = self._ended.look(plan.grids)
        if not plan.runs and ended.tables == "missing":
            raise CorpusError(
                f"{self._folder} holds neither a plan nor a corpus: name the folder "
                "that was given to `harness generate --out`"
            )
        changed = [claim.heard for claim in held]
        changed += [noted.at for noted in notes.values()]
        changed += ended.seen.values()
        for name in (PLAN, MANIFEST):
            if found := signature(self._folder / name):
                changed.append(found[2] / 1e9)
        now = now_for(self._folder, changed, held=bool(held))
        self.newest = max(changed, default=None)
        idle_s = None if self.newest is None else max(0.0, now - self.newest)
        seen = _Seen(plan, held, workers, notes, ended, now)
        return _status(self._folder, seen, idle_s)

    def _planned(self) -> Plan:
        """Return the plan, read again where it has changed.

        Raises:
            CorpusError: It is damaged.
        """
        found = signature(self._folder / PLAN)
        if self._plan is not None and self._plan[0] == found:
            return self._plan[1]
        plan = Plan.load(self._folder)
        self._plan = None if found is None else (found, plan)
        return plan


def status(folder: Path) -> Status:
    """Return how far `folder` is.

    Raises:
        CorpusError: It is no folder of runs, or its plan is damaged.
    """
    return Reader(folder).look()


class _Seen(NamedTuple):
    """What was seen at one look."""

    plan: Plan
    held: list[Claim]
    held_for: dict[Held, Process]
    notes: dict[str, Noted]
    ended: Ended
    now: float


def _status(folder: Path, seen: _Seen, idle_s: float | None) -> Status:
    plan, held, _, notes, ended, now = seen
    cohorts = [claim for claim in held if claim.name.startswith("c-")]
    workers, gone = crew(cohorts, notes, now, seen.held_for)
    states = _states(plan, ended, {worker.cohort for worker in workers})
    grids = plan.grids if plan.runs else dict.fromkeys(states, ())
    labels = sorted({label for names in grids.values() for label in names})
    finished = ended.finished.filter(pl.col("run_id").is_in(list(grids)))
    return Status(
        folder=folder,
        planned=len(grids),
        counts=_count(states[i] for i in grids),
        grids={g: _count(states[i] for i in grids if g in grids[i]) for g in labels},
        orphans=len(plan.orphans),
        workers=workers,
        gone=gone,
        writing=tuple(
            claim.name
            for claim in held
            if claim not in cohorts and not claim.is_gone(now)
        ),
        tables=ended.tables,
        failures=_failures({i: states[i] for i in grids}, seen),
        retried=retried(notes),
        idle_s=idle_s,
        **_accounts(seen, states, workers, costs(finished)),
    )


def _states(plan: Plan, ended: Ended, held: Collection[str]) -> dict[str, str]:
    """Return the state of every run of the plan, and of every other that ended."""
    states = dict.fromkeys(ended.failed, "failed")
    states |= dict(ended.finished.select("run_id", "status").iter_rows())
    for run in plan.runs:
        if run.run_id not in states or states[run.run_id] == "failed":
            if run.cohort_id in held:
                states[run.run_id] = "running"
            else:
                states.setdefault(run.run_id, "pending")
    return states


def _accounts(
    seen: _Seen, states: Mapping[str, str], workers: Sequence[Worker], spent: Costs
) -> dict[str, Any]:
    """Return the fields of `Status` that tell speed and costs."""
    wanted = Plan(tuple(run for run in seen.plan.runs if run.grids))
    settled = {i for i, state in states.items() if state in STATES[:3]}
    todo = work(wanted.cohorts(), settled, seen.notes, workers)
    appeared = [seen.ended.seen[i] for i in wanted.grids if i in seen.ended.seen]
    pace = rate(todo, appeared, seen.now)
    since = -math.inf if pace.window_s is None else seen.now - pace.window_s
    lost_s = sum(a.total_s or 0.0 for a in spent.accounts if a.name == "lost")
    paid = spending(todo, spent.total_s, lost_s, since)
    return {"rate": pace, "spending": paid, "costs": spent}


def _failures(states: Mapping[str, str], seen: _Seen) -> tuple[Failure, ...]:
    """Return the runs that failed, by id."""
    cohorts = {run.run_id: run.cohort_id for run in seen.plan.runs}
    found = []
    for run_id in sorted(i for i, state in states.items() if state == "failed"):
        told = seen.ended.failed.get(run_id)
        noted = seen.notes.get(cohorts.get(run_id, ""))
        last = noted.attempts[-1] if noted else None
        if told is not None:  # else only the tables of a downloaded corpus know it
            found.append(
                Failure(
                    run_id=run_id,
                    kind=told.kind,
                    attempts=told.attempts,
                    host=last.host if last else None,
                    device=last.device if last else None,
                    error=told.error,
                )
            )
    return tuple(found)


def _count(states: Iterable[str]) -> dict[str, int]:
    counts = Counter(states)
    return {state: counts[state] for state in STATES}
