"""The worker process of the local executor: JSON lines in, JSON lines out.

Started as `python -m harness.executors.process FOLDER SETTING`, the setting as JSON. A
line `{"cohort": ID}` starts work; `{"stop": true}`, the end of the input, an output
that nobody reads, SIGTERM and SIGUSR1 ask to keep the state after the next update and
to end.
"""

import contextlib
import dataclasses
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from harness.executors.work import CohortWorker


def main() -> None:
    """Serve cohorts until told to stop."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # prints must not break the lines
    driver = Driver(answers)
    threading.Thread(target=driver.listen, args=(sys.stdin,), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: driver.end())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver's to handle

    # These load torch for seconds, in which they may print and signals may come.
    from harness.datasets.source import find_source
    from harness.device import Setting, settle
    from harness.executors.work import CohortWorker

    if driver.has_ended():
        return
    folder, setting = Path(sys.argv[1]), Setting(**json.loads(sys.argv[2]))
    worker = CohortWorker(folder, find_source(), setting)
    settle()
    serve(worker, driver)
    driver.close()


class Driver:
    """The process that gives the orders; its end is an order to stop.

    Args:
        answers: Where it reads, line by line.
    """

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._ended = threading.Event()

    def listen(self, lines: Iterable[str]) -> None:
        """Turn input lines into orders, up to the last one."""
        for line in lines:
            message = json.loads(line)
            if message.get("stop"):
                break
            self._orders.put(message["cohort"])
        self.end()

    def order(self) -> str | None:
        """Wait for the next cohort; None: there is none any more."""
        cohort = self._orders.get()
        return None if self._ended.is_set() else cohort

    def say(self, message: dict[str, Any]) -> None:
        """Answer; where nobody reads it, the driver is gone."""
        try:
            self._answers.write(json.dumps(message) + "\n")
        except BrokenPipeError:
            self.end()

    def end(self) -> None:
        """Note that no more orders are to be followed."""
        self._ended.set()
        self._orders.put(None)

    def has_ended(self) -> bool:
        """Tell whether present work is to be kept for another time."""
        return self._ended.is_set()

    def close(self) -> None:
        """Close the answers, of which some may never have been read."""
        with contextlib.suppress(BrokenPipeError):
            self._answers.close()


def serve(worker: "CohortWorker", driver: Driver) -> None:
    """Work on cohorts until the driver orders no more.

    Args:
        worker: Who trains.
        driver: Told how far the work is and how it ended.
    """
    driver.say({"ready": True})
    while (cohort := driver.order()) is not None:
        report = worker.work(
            cohort,
            progress=lambda share: driver.say({"progress": share}),
            interrupted=driver.has_ended,
        )
        driver.say(dataclasses.asdict(report) | {"spoiled": report.spoiled})


if __name__ == "__main__":
    main()
