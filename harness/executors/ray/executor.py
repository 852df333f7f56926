"""The Ray executor: the same worker as an actor, on one machine or many.

Actors, not tasks: a Ray GPU task ends its process after every call, and with it torch
and data. They outlive the driver: the same command finds them again and goes on.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from harness.errors import CorpusError, StorageError
from harness.executors.crew import Crew
from harness.executors.events import Event, Outcome
from harness.executors.failure import Kind
from harness.executors.ray.cluster import Cluster
from harness.executors.ray.fleet import Fleet
from harness.executors.ray.member import Member
from harness.executors.ray.sent_back import handed_out
from harness.executors.ray.words import News, Order
from harness.executors.waiting import Waiting
from harness.plan import PLAN, Plan
from harness.storage import sha256_of

TURN_S: Final = 0.2
"""Seconds between two looks at everything that is not an answer."""
IDLE_S: Final = 4.0
"""Seconds between two words to a worker without work: well below `DRIVER_S`, or another
driver would take it over in a pause, such as `GONE_S`, of this one."""
AGAIN_S: Final = 1.0
"""Seconds before a worker is asked again that could not be reached."""
BEGIN_S: Final = 300.0
"""Seconds that a worker may take to load torch, whatever limit is set on silence."""
DAMAGED: Final = 3
"""Times in a row that what came back from a worker may be damaged."""


class RayExecutor:
    """Trains cohorts on actors of a Ray cluster.

    Args:
        crew: Who trains; its devices are one "cuda" a GPU of the cluster, or "cpu".
        cluster: The cluster, left in the end.
        elastic: As many workers as there is room for, also on nodes that join later.
        tuned: What was tried on a GPU of the cluster, see `Terms`.
    """

    def __init__(
        self,
        crew: Crew,
        cluster: Cluster,
        *,
        elastic: bool = False,
        tuned: dict[str, str] | None = None,
    ) -> None:
        self._crew, self._cluster = crew, cluster
        self._elastic, self._tuned = elastic, tuned or {}

    def run(
        self,
        cohorts: Sequence[str],
        *,
        on_event: Callable[[Event], None],
        interrupted: Callable[[], bool],
    ) -> Outcome:
        """Train every cohort, in order; return how it ended.

        Args:
            cohorts: Cohort ids of the folder's plan, longest first.
            on_event: Told about progress and endings.
            interrupted: Asked often; when true the actors are told to stop.

        Raises:
            RuncastError: Workers cannot begin to work.
        """
        try:
            fleet = Fleet(
                self._crew, self._cluster, elastic=self._elastic, tuned=self._tuned
            )
            try:
                return _Shift(self._crew, self._cluster, fleet, cohorts, on_event).work(
                    interrupted
                )
            finally:
                fleet.close()
        finally:
            self._cluster.leave()


class _Shift:
    """One call of `RayExecutor.run`."""

    def __init__(
        self,
        crew: Crew,
        cluster: Cluster,
        fleet: Fleet,
        cohorts: Sequence[str],
        on_event: Callable[[Event], None],
    ) -> None:
        self._crew, self._ray, self._fleet = crew, cluster.ray, fleet
        self._asked, self._on_event = frozenset(cohorts), on_event
        self._waiting = Waiting(crew.folder, cohorts, self._places)
        planned = Plan.load(crew.folder).cohorts()
        self._runs = {name: [r.run_id for r in runs] for name, runs in planned.items()}
        self._plan = sha256_of(crew.folder / PLAN)
        self._outcome = Outcome.DONE

    def work(self, interrupted: Callable[[], bool]) -> Outcome:
        """Look at everything in turn until there is nothing left to do."""
        fleet = self._fleet
        while True:
            if self._outcome is Outcome.DONE and interrupted():
                self._outcome = Outcome.INTERRUPTED
            fleet.look()
            if self._outcome is Outcome.DONE:
                at_work = sum(member.cohort is not None for member in fleet.members)
                fleet.grow(len(self._waiting) + at_work)
                self._hand_out()
            self._ask()
            self._kill_silent()
            busy = any(m.cohort is not None or m.unheard for m in fleet.members)
            over = self._outcome is not Outcome.DONE or not self._waiting
            if over and fleet.settled and not busy:
                return self._outcome
            self._listen()

    def _places(self) -> dict[str, str]:
        """Return the hosts of the nodes whose workers take cohorts, by node."""
        taking = [m for m in self._fleet.members if not (m.retiring or m.withheld)]
        return {m.place.node: m.place.host for m in taking if m.place is not None}

    def _hand_out(self) -> None:
        """Give idle workers their next cohorts."""
        for member in self._fleet.members if self._fleet.settled else ():
            if not member.idle or member.place is None:
                continue
            cohort = self._waiting.take(member.place.node)
            if cohort is None:
                continue
            files = {}
            if member.place.sends_back:
                if not member.claim(cohort):
                    self._waiting.after_report(cohort, {"ending": "busy"})
                    continue
                files = handed_out(self._crew.folder, cohort, self._runs[cohort])
                if member.plan == self._plan:
                    files.pop(PLAN)
            member.give(Order(cohort, self._plan, files))

    def _ask(self) -> None:
        """Ask everybody who has answered, those without work now and then."""
        stop = self._outcome is not Outcome.DONE
        for member in list(self._fleet.members):
            if member.retiring and member.cohort is None and not member.unheard:
                self._fleet.drop(member)
                continue
            due = time.monotonic() > member.ask_at
            if due and member.call is None and not member.withheld:
                member.ask(stop=stop)

    def _kill_silent(self) -> None:
        for member in self._fleet.members:
            limit_s = self._crew.timeout_s or math.inf
            if not member.begun:
                limit_s = max(limit_s, BEGIN_S)
            silent_s = time.monotonic() - member.heard
            if member.cohort is not None and silent_s > limit_s and not member.silent:
                member.silent = True
                self._ray.kill(member.actor, no_restart=True)  # its open call fails

    def _listen(self) -> None:
        """Take in what has been answered; wait a moment for it."""
        calls = {m.call: m for m in self._fleet.members if m.call is not None}
        if not calls:
            time.sleep(TURN_S)
            return
        ready, _ = self._ray.wait(list(calls), timeout=TURN_S)
        if ready:  # and whatever else is there by now
            ready, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0)
        errors = self._ray.exceptions
        for call in ready:
            member = calls[call]
            if member not in self._fleet.members:
                continue
            member.call = None
            try:
                answer = self._ray.get(call)
            except errors.ActorUnavailableError:
                member.ask_at = time.monotonic() + AGAIN_S
                if member.place is None:
                    self._fleet.ask_in(member)
            except errors.RayError as error:
                self._lost(member, str(error))
            else:
                self._answered(member, answer)

    def _answered(self, member: Member, answer: Any) -> None:
        if member.place is None:
            self._fleet.greet(member, answer)
            member.ask_at = time.monotonic() + (0 if member.unheard else IDLE_S)
        elif answer is None:  # another driver has taken it over
            self._fleet.members.remove(member)
            member.release()
            if member.cohort is not None:
                self._put_back(member.cohort)
        else:
            self._heard(member, answer)

    def _heard(self, member: Member, news: News) -> None:
        """Take in the news of a worker."""
        if member.unheard:
            self._recognise(member, news)
        try:
            member.take_in(news)
        except CorpusError as error:
            member.damaged += 1
            if member.damaged == DAMAGED:
                self._lost(member, str(error))
            return
        except StorageError as full:
            self._no_space(member, news, str(full))
            return
        member.damaged = 0
        cohort, report = member.cohort, news.report
        if cohort is None:
            member.ask_at = time.monotonic() + IDLE_S
        elif news.cohort is None:  # it never heard of the order
            self._free(member)
            self._put_back(cohort)
        elif report is not None:
            self._ended(member, cohort, report)
        else:
            self._tell(Event("progress", cohort, share=news.share))

    def _recognise(self, member: Member, news: News) -> None:
        """Note what a worker of a driver before works on."""
        member.unheard, member.cohort = False, news.cohort
        if news.cohort is not None and member.place is not None:
            self._waiting.withdraw(news.cohort)
            if member.place.sends_back:
                member.claim(news.cohort)

    def _ended(self, member: Member, cohort: str, report: dict[str, Any]) -> None:
        self._free(member)
        assert member.place is not None
        if report["ending"] == "unfit":
            self._put_back(cohort)
            self._fleet.failed_start(member, report["error"])
            return
        self._fleet.began(member)
        if report["spoiled"]:
            self._fleet.drop(member)
        if report["ending"] == "interrupted" and self._outcome is Outcome.DONE:
            self._put_back(cohort)  # the driver before had told it to stop
        elif cohort in self._asked:
            self._tell(self._waiting.after_report(cohort, report, member.place.node))

    def _lost(self, member: Member, error: str) -> None:
        """Note that a worker is gone, and with it its work since the last save."""
        if member.place is None and member.unheard:
            self._fleet.drop(member)  # it had begun well, under a driver before
            return
        if member.place is None:
            self._fleet.failed_start(member, error)
            return
        cohort = member.cohort
        self._fleet.drop(member)
        member.wait_until_gone(self._fleet.host)
        if cohort in self._asked and cohort is not None:
            kind: Kind = "timeout" if member.silent else "died"
            silent_s = time.monotonic() - member.heard
            how = "was killed" if member.silent else "died"
            text = f"{error.strip()}\n{member.where} {how}, last heard of "
            text += f"{silent_s:.0f} s before"
            node = member.place.node
            self._tell(self._waiting.after_loss(cohort, kind, text, node))

    def _no_space(self, member: Member, news: News, error: str) -> None:
        """Stop, and leave finished work with its worker, for the next driver."""
        if self._outcome is not Outcome.NO_SPACE:
            self._tell(Event("no-space", str(member.cohort), error=error))
            self._outcome = Outcome.NO_SPACE
        if news.report is not None:
            member.withheld = True
            self._free(member)

    def _free(self, member: Member) -> None:
        member.cohort = None
        member.release()
        member.ask_at = time.monotonic() + IDLE_S

    def _put_back(self, cohort: str) -> None:
        if cohort in self._asked:
            self._waiting.put_back(cohort)

    def _tell(self, event: Event | None) -> None:
        if event is None or event.cohort not in self._asked:
            return
        self._on_event(event)
        if event.kind == "no-space":
            self._outcome = Outcome.NO_SPACE
