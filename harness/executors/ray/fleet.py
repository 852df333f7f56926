"""The actors of one driver: started, found again, told to go."""

import contextlib
import dataclasses
import hashlib
import os
import socket
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Final

from harness import __version__, held_for
from harness.checkout import commit
from harness.errors import RuncastError, StorageError
from harness.executors.crew import Crew
from harness.executors.ray.actor import Actor
from harness.executors.ray.cluster import Cluster, worker_room
from harness.executors.ray.member import Member
from harness.executors.ray.words import DRIVER_S, Claim, Terms
from harness.held_for import Process

STARTS: Final = 3
"""Workers in a row that may fail before they are given work."""
NOWHERE: Final = ""
"""In place of a node where a worker ended before it could tell on which it was."""
LOOK_S: Final = 2.0
"""Seconds between two looks for workers whose driver is gone."""
GROW_S: Final = 10.0
"""Seconds between two looks for new nodes."""
FAREWELL_S: Final = 3.0
"""Seconds that workers may take to clear up."""


class Fleet:
    """Workers on a cluster.

    Args:
        crew: Who is to train; its devices are one "cuda" a GPU, or "cpu".
        cluster: Where.
        elastic: As many workers as there is room for, instead of `crew.jobs`.
        tuned: What was tried before, see `Terms`.
    """

    def __init__(
        self, crew: Crew, cluster: Cluster, *, elastic: bool, tuned: dict[str, str]
    ) -> None:
        self.members: list[Member] = []
        self.host = socket.gethostname()
        self._crew, self._cluster, self._elastic = crew, cluster, elastic
        self._jobs = crew.jobs
        self._driver = uuid.uuid4().hex
        self._terms = _terms(crew, tuned, self.host)
        path = self._terms.folder.encode()
        self._prefix = hashlib.blake2b(path, digest_size=8).hexdigest()
        self._token = held_for.note_path(crew.folder, self._driver)
        self._noted: dict[str, Process] = {}
        held_for.write(self._token, Process(self.host, os.getpid()), {})
        self._born = time.monotonic()
        self._looked = self._grown = -float("inf")
        self._claims: dict[str, tuple[Any, Any]] = {}
        self._taken: set[str] = set()
        self._failed_starts: Counter[str] = Counter()
        self._last_error = ""
        self._told: set[str] = set()

    @property
    def settled(self) -> bool:
        """Tell whether it is known what workers of drivers before are doing."""
        early = time.monotonic() - self._born < DRIVER_S + 2 * LOOK_S
        found = early and bool(self._claims or self._taken)
        return not found and not any(member.unheard for member in self.members)

    def look(self) -> None:
        """Find workers whose driver is gone, and take in their answers."""
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            self._sign()
            known = {member.name for member in self.members} | self._claims.keys()
            listed = self._cluster.named(self._prefix)
            self._taken &= set(listed)
            for name in listed:
                if name not in known:
                    self._claim(name)
        ray = self._cluster.ray
        for name, (actor, call) in list(self._claims.items()):
            if ray.wait([call], timeout=0)[0]:
                del self._claims[name]
                try:
                    self._welcome(name, actor, ray.get(call))
                except ray.exceptions.RayError:
                    continue  # it has just ended

    def grow(self, wanted: int) -> None:
        """Start workers until there are as many as allowed and of use.

        Args:
            wanted: Cohorts that wait or are at work.

        Raises:
            RuncastError: There is no worker, and none may be started any more.
        """
        if not self.settled:
            return
        if self._elastic and time.monotonic() - self._grown > GROW_S:
            self._grown = time.monotonic()
            device, threads = self._crew.devices[0], self._crew.setting.threads
            self._jobs = self._cluster.room(device, threads)
        here = sum(not (m.retiring or m.withheld) for m in self.members)
        allowed = self._jobs - self._refused()
        if wanted and allowed < 1 and not self.members:
            raise RuncastError(
                f"no worker is left, and of {self._jobs} none may be started any more, "
                "as too many could not begin to work; the last said:\n"
                f"{self._last_error}"
            )
        for _ in range(min(allowed, wanted) - here):
            self._start()

    def ask_in(self, member: Member) -> None:
        """Have a worker look for the corpus folder, once it has started."""
        member.call = member.actor.enter.remote(self._token.name)

    def greet(self, member: Member, place: Any) -> None:
        """Note where a new worker is.

        Raises:
            RuncastError: It runs other code than this process, as others did before.
        """
        ours, theirs = (self._terms.version, self._terms.commit), _code(place)
        member.place, member.heard = place, time.monotonic()
        self._failed_starts.pop(NOWHERE, None)
        if ours != theirs and not member.retiring:
            self.failed_start(
                member,
                f"{place.host} has runcast {_text(theirs)} and this machine "
                f"{_text(ours)}: install the same on every node",
            )
            return
        if place.host not in self._told:
            self._told.add(place.host)
            back = f" and sends results back: it does not see {self._terms.folder}"
            tell(f"{place.host} trains{back if place.sends_back else ''}")

    def failed_start(self, member: Member, error: str) -> None:
        """End a worker that cannot begin to work; where several do, stop trying.

        Raises:
            RuncastError: No other worker is left.
        """
        node = member.place.node if member.place else NOWHERE
        where = member.place.host if member.place else "the cluster"
        self._failed_starts[node] += 1
        self._last_error = error.strip()
        self.drop(member)
        if self._failed_starts[node] >= STARTS:
            message = (
                f"{STARTS} workers on {where} could not begin to work; the last said:\n"
                f"{self._last_error}"
            )
            if not any(other.place for other in self.members):
                raise RuncastError(message)
            tell(message)

    def began(self, member: Member) -> None:
        """Note that a worker works: failures before it were not its node's."""
        if member.place is not None:
            self._failed_starts.pop(member.place.node, None)

    def drop(self, member: Member) -> None:
        """End a worker at once and forget it."""
        member.release()
        self.members.remove(member)
        self._cluster.kill(member.actor)

    def close(self) -> None:
        """End all workers but those that keep results for the next driver."""
        going = [member for member in self.members if not member.withheld]
        calls = [member.actor.leave.remote() for member in going if member.place]
        if calls:
            self._cluster.ray.wait(calls, num_returns=len(calls), timeout=FAREWELL_S)
        for member in going:
            self._cluster.kill(member.actor)
        for member in self.members:
            member.release()
        with contextlib.suppress(OSError):
            self._token.unlink()

    def _sign(self) -> None:
        """Show that this driver lives, and for which workers it holds claims."""
        workers = {
            member.cohort: Process(member.place.host, member.place.pid)
            for member in self.members
            if member.cohort and member.place and member.place.sends_back
        }
        if workers != self._noted:
            with contextlib.suppress(StorageError):  # only `harness status` reads it
                held_for.write(self._token, Process(self.host, os.getpid()), workers)
                self._noted = workers
        with contextlib.suppress(OSError):
            self._token.touch()  # a sign that it is no crash's

    def _refused(self) -> int:
        """Return how many workers less to start: nodes that are there cannot have them.

        A node that came back has another name, and is tried anew.
        """
        if not self._failed_starts:
            return 0
        there = {NOWHERE, *self._cluster.nodes}
        failed = (n for node, n in self._failed_starts.items() if node in there)
        return sum(max(0, n - STARTS + 1) for n in failed)

    def _start(self) -> None:
        name = f"{self._prefix}-{uuid.uuid4().hex[:12]}"
        gpus = len(self._crew.devices)
        room = worker_room(self._terms, self._crew.jobs, gpus)
        actor = self._cluster.start(Actor, self._terms, self._driver, name=name, **room)
        member = self._member(actor, name)
        self.ask_in(member)

    def _claim(self, name: str) -> None:
        try:
            actor = self._cluster.ray.get_actor(name)
        except ValueError:  # it has just ended
            return
        call = actor.adopt.remote(self._driver, self._terms, self._token.name)
        self._claims[name] = (actor, call)

    def _welcome(self, name: str, actor: Any, claim: Claim) -> None:
        self._taken.discard(name)
        if claim == "taken":  # perhaps its driver has just died
            self._taken.add(name)
        if claim in ("taken", "stranger"):
            return
        member = self._member(actor, name)
        member.unheard, member.retiring = True, claim == "other"
        self.ask_in(member)
        what = "goes on" if claim == "ours" else "has other terms: it ends after this"
        tell(f"a worker of a driver before {what}")

    def _member(self, actor: Any, name: str) -> Member:
        member = Member(actor, name, driver=self._driver, folder=self._crew.folder)
        self.members.append(member)
        return member


def tell(text: str) -> None:
    """Say something on standard error."""
    sys.stderr.write(f"ray: {text}\n")
    sys.stderr.flush()


def _terms(crew: Crew, tuned: dict[str, str], host: str) -> Terms:
    mirror = crew.source.data_dir
    device = "cpu" if crew.devices[0] == "cpu" else "cuda:0"  # the only one it sees
    return Terms(
        folder=str(Path(crew.folder).resolve()),
        host=host,
        data_dir=None if mirror is None else str(mirror.resolve()),
        cache_dir=str(crew.source.cache_dir.resolve()),
        setting=dataclasses.asdict(crew.on(device)),
        tuned=tuned,
        version=__version__,
        commit=commit(),
    )


def _code(place: Any) -> tuple[str, str | None]:
    return place.version, place.commit


def _text(code: tuple[str, str | None]) -> str:
    version, revision = code
    return version if revision is None else f"{version} at {revision}"
