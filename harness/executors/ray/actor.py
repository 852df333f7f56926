"""The actor of the Ray executor: hosts the same worker as a local worker process.

Its calls return soon; the work is done in a thread of its own, and only that thread
loads torch: by then Ray has said which GPU this process sees. It outlives its driver,
so that the next one takes it over.
"""

import dataclasses
import os
import queue
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import __version__
from harness.checkout import commit
from harness.executors.ray.sent_back import Desk
from harness.executors.ray.words import (
    DRIVER_S,
    FORSAKEN_S,
    NEWS_S,
    UNFETCHED_S,
    Claim,
    News,
    Order,
    Place,
    Terms,
)

if TYPE_CHECKING:
    from harness.datasets import Source
    from harness.executors.work import CohortWorker

SEEN_S: Final = 3.0
"""Seconds for which a file written by the driver may take to be seen here."""


class Actor:
    """Trains one cohort at a time, for one driver at a time.

    Args:
        terms: What it works on, and how.
        driver: Who speaks to it first.
    """

    def __init__(self, terms: Terms, driver: str) -> None:
        self._terms, self._driver = terms, driver
        self._spoken = self._ended = time.monotonic()
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._cohort: str | None = None
        self._report: dict[str, Any] | None = None
        self._share, self._beats, self._number = 0.0, 0, 0
        self._told: tuple[bool, dict[str, tuple[int, int, int]]] = (False, {})
        self._desk: Desk | None = None
        self._hired: tuple[str, CohortWorker] | None = None
        for work in (self._work, self._end_when_forsaken):
            threading.Thread(target=work, daemon=True).start()

    def enter(self, token: str) -> Place:
        """Look for the driver's token in the corpus folder; tell where this is."""
        if self._desk is None and not self._sees(token):
            self._desk = Desk()
        return Place(
            host=socket.gethostname(),
            node=_node(),
            pid=os.getpid(),
            version=__version__,
            commit=commit(),
            sends_back=self._desk is not None,
        )

    def adopt(self, driver: str, terms: Terms, token: str) -> Claim:
        """Answer a driver that was not there when this actor was started."""
        with self._changed:
            if time.monotonic() - self._spoken < DRIVER_S and driver != self._driver:
                return "taken"
            known = self._terms.host == terms.host if self._desk else self._sees(token)
            if not known:
                return "stranger"
            self._driver, self._spoken = driver, time.monotonic()
            self._stop.clear()
            if self._desk is not None:
                self._desk.forget()
            mine = dataclasses.replace(self._terms, host=terms.host, tuned=terms.tuned)
            return "ours" if mine == terms else "other"

    def poll(
        self,
        driver: str,
        received: int,
        order: Order | None = None,
        *,
        stop: bool = False,
    ) -> News | None:
        """Take a word of the driver in and tell the news; None: it is another's now.

        Args:
            driver: Who asks.
            received: Number of the last news that were taken in.
            order: What to do next; only after the last report was taken in.
            stop: Keep the state after the next update.
        """
        with self._changed:
            if driver != self._driver:
                return None
            self._spoken = time.monotonic()
            if received == self._number:
                self._accepted()
            if stop:
                self._stop.set()
            if order is not None:
                self._begin(order)
            if self._cohort is not None:
                self._changed.wait_for(lambda: self._report is not None, NEWS_S)
            self._spoken = time.monotonic()
            return self._news()

    def leave(self) -> None:
        """Remove what lies on this machine, before the end."""
        if self._desk is not None:
            self._desk.remove()

    def _begin(self, order: Order) -> None:
        assert self._cohort is None
        self._cohort, self._share = order.cohort, 0.0
        self._stop.clear()
        if self._desk is not None:
            self._desk.lay_out(order.files)
        self._orders.put(order)

    def _news(self) -> News:
        report = self._report  # before the files: with the end, all of them are there
        files, stamps = self._desk.changed() if self._desk else ({}, {})
        self._number += 1
        self._told = (report is not None, stamps)
        return News(
            number=self._number,
            cohort=self._cohort,
            share=self._share,
            beats=self._beats,
            files=files,
            report=report,
        )

    def _accepted(self) -> None:
        ended, stamps = self._told
        if self._desk is not None:
            self._desk.accept(stamps)
        if ended:
            self._cohort = self._report = None
        self._told = (False, stamps)

    def _beat(self, share: float) -> None:
        self._share, self._beats = share, self._beats + 1

    def _work(self) -> None:
        """Serve orders in this thread, as long as the process lives."""
        try:
            while True:
                report = self._served(self._orders.get())
                with self._changed:
                    self._report, self._ended = report, time.monotonic()
                    self._changed.notify_all()
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # or it would live on without ever working again

    def _served(self, order: Order) -> dict[str, Any]:
        try:
            worker = self._worker(order.plan)
        except Exception:  # the worker's boundary
            return {"ending": "unfit", "error": traceback.format_exc()}
        self._beat(0.0)
        report = worker.work(
            order.cohort, progress=self._beat, interrupted=self._stop.is_set
        )
        told = dataclasses.asdict(report) | {"spoiled": report.spoiled}
        if report.kind == "data":
            told["error"] += self._lacking()
        return told

    def _worker(self, plan: str) -> "CohortWorker":
        """Return the worker for a plan; the last one keeps its data in memory."""
        if self._hired is None or self._hired[0] != plan:
            from harness.device import Setting, settle
            from harness.executors.work import CohortWorker

            self._hired = None
            folder = self._desk.folder if self._desk else Path(self._terms.folder)
            source = self._source()
            if self._terms.setting["device"] != "cpu":
                self._prepare_gpu(source)
            worker = CohortWorker(folder, source, Setting(**self._terms.setting))
            settle()
            self._hired = (plan, worker)
        return self._hired[1]

    def _source(self) -> "Source":
        mirror = self._terms.data_dir
        return source_here(
            Path(mirror) if mirror else None, Path(self._terms.cache_dir)
        )

    def _prepare_gpu(self, source: "Source") -> None:
        """Set what a GPU worker starts with, and keep what was tried elsewhere."""
        from harness.executors.local import gpu_environment
        from harness.storage import write_text
        from harness.tuning import FOLDER

        os.environ.update(gpu_environment(source))
        for name, text in self._terms.tuned.items():
            path = source.cache_dir / FOLDER / name
            if not path.exists():
                write_text(path, text)

    def _lacking(self) -> str:
        source = self._source()
        return (
            f"{socket.gethostname()} lacks data: looked for in "
            f"{source.data_dir or 'no mirror'} and in {source.cache_dir}; give it the "
            "same paths, or set RUNCAST_DATA_DIR before its `ray start`\n"
        )

    def _sees(self, token: str) -> bool:
        path = Path(self._terms.folder) / "leases" / token
        deadline = time.monotonic() + SEEN_S
        while not path.exists():
            if time.monotonic() > deadline or not path.parent.is_dir():
                return False
            time.sleep(0.1)
        return True

    def _is_forsaken(self) -> bool:
        if self._cohort is not None and self._report is None:
            return False
        unfetched = self._desk is not None and self._report is not None
        silent_s = time.monotonic() - max(self._spoken, self._ended)
        return silent_s > (UNFETCHED_S if unfetched else FORSAKEN_S)

    def _end_when_forsaken(self) -> None:
        while not self._is_forsaken():
            time.sleep(1.0)
        sys.stderr.write("no driver has spoken for long: this worker ends\n")
        self.leave()
        os._exit(0)


def source_here(mirror: Path | None, cache: Path) -> "Source":
    """Return the driver's places of data where they are here too, or this node's.

    Args:
        mirror: The driver's mirror.
        cache: The driver's cache.

    Raises:
        DataError: RUNCAST_DATA_DIR of this node is not a folder.
    """
    from harness.datasets.source import find_source

    source = find_source(mirror if mirror is not None and mirror.is_dir() else None)
    return dataclasses.replace(source, cache_dir=cache) if cache.is_dir() else source


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())
