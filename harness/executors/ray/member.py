"""The driver's side of one actor of the Ray executor."""

import time
from pathlib import Path
from typing import Any

from harness.executors.ray.sent_back import discard_checkpoints, take_in
from harness.executors.ray.words import News, Order, Place
from harness.lease import Lease

GONE_S = 5.0
"""Seconds to wait for the end of a process on this machine that was killed."""


class Member:
    """An actor, what it works on and what it was last heard to say.

    Args:
        actor: Its handle.
        name: By which it is found in the cluster.
        driver: Who speaks.
        folder: The corpus folder.
    """

    def __init__(self, actor: Any, name: str, *, driver: str, folder: Path) -> None:
        self.actor, self.name = actor, name
        self._driver, self._folder = driver, folder
        self.place: Place | None = None
        self.cohort: str | None = None
        self.plan = ""
        """Digest of the plan that it has."""
        self.retiring = False
        """Whether it is to end after its cohort."""
        self.unheard = False
        """Whether it was taken over and has not told yet what it works on."""
        self.withheld = False
        """Whether it keeps results for which there was no space here."""
        self.silent = False
        """Whether it was killed as nothing was heard of it."""
        self.damaged = 0
        """Times in a row that something was damaged on its way from it."""
        self.call: Any = None
        """The question that is not answered yet."""
        self.ask_at = 0.0
        """When to ask again, on the monotonic clock."""
        self.heard = time.monotonic()
        self.begun = True
        """Whether torch is loaded there for the plan."""
        self._beats = 0
        self._received = 0
        self._lease: Lease | None = None

    @property
    def where(self) -> str:
        """Name of its machine, and its process there."""
        if self.place is None:
            return "a worker not yet started"
        return f"the worker on {self.place.host} (process {self.place.pid})"

    @property
    def idle(self) -> bool:
        """Tell whether it may be given a cohort."""
        free = self.cohort is None and self.call is None and not self.unheard
        return self.place is not None and free and not (self.retiring or self.withheld)

    def ask(self, *, stop: bool = False) -> None:
        """Ask for news, and have it keep its state and stop."""
        self.call = self.actor.poll.remote(self._driver, self._received, stop=stop)

    def give(self, order: Order) -> None:
        """Have it train a cohort."""
        self.cohort, self.heard, self.ask_at = order.cohort, time.monotonic(), 0.0
        self.begun = self.plan == order.plan
        self.plan = order.plan
        self.call = self.actor.poll.remote(self._driver, self._received, order)

    def claim(self, cohort: str) -> bool:
        """Hold the lease of a cohort for a worker that cannot; tell if it was free."""
        lease = Lease.acquire(self._folder / "leases", cohort)
        if lease is not None:
            self._lease = lease.__enter__()
        return lease is not None

    def release(self) -> None:
        """Give the lease back, if one is held."""
        if self._lease is not None:
            self._lease.__exit__(None, None, None)
            self._lease = None

    def take_in(self, news: News) -> None:
        """Note signs of life and commit what came along.

        Raises:
            CorpusError: Something was damaged on its way: ask again.
            StorageError: It could not be written here.
        """
        if news.beats != self._beats:
            self._beats, self.heard = news.beats, time.monotonic()
            self.begun = True
        for name, data in news.files.items():
            take_in(self._folder, str(news.cohort), name, data)
        self._received = news.number
        done = news.report is not None and news.report["ending"] == "done"
        if done and self.place is not None and self.place.sends_back:
            discard_checkpoints(self._folder, str(news.cohort))

    def wait_until_gone(self, this_host: str) -> None:
        """Wait for the end of its process, if that can be seen from here."""
        deadline = time.monotonic() + GONE_S
        if self.place is None or self.place.host != this_host:
            return
        while Path(f"/proc/{self.place.pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
