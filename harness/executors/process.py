"""The worker process of the local executor: JSON lines in, JSON lines out.

Started as `python -m harness.executors.process FOLDER SETTING`, the setting as JSON. A
line `{"cohort": ID}` starts work; `{"stop": true}`, the end of the input, SIGTERM and
SIGUSR1 ask to keep the state after the next update and to end.
"""

import dataclasses
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from harness.datasets.source import find_source


def main() -> None:
    """Serve cohorts until told to stop."""
    from harness.device import Setting
    from harness.executors.work import CohortWorker

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # prints must not break the lines
    folder, setting = Path(sys.argv[1]), Setting(**json.loads(sys.argv[2]))
    orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(
        target=_listen, args=(sys.stdin, orders, stop), daemon=True
    ).start()

    def end(number: int, frame: object) -> None:
        stop.set()
        orders.put(None)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver's to handle
    worker = CohortWorker(folder, find_source(), setting)
    _say(answers, {"ready": True})
    while (cohort := orders.get()) is not None and not stop.is_set():
        report = worker.work(
            cohort,
            progress=lambda share: _say(answers, {"progress": share}),
            interrupted=stop.is_set,
        )
        _say(answers, dataclasses.asdict(report) | {"spoiled": report.spoiled})


def _listen(
    lines: TextIO, orders: "queue.SimpleQueue[str | None]", stop: threading.Event
) -> None:
    """Turn input lines into orders; the driver's end is an order to stop."""
    for line in lines:
        message = json.loads(line)
        if message.get("stop"):
            break
        orders.put(message["cohort"])
    stop.set()
    orders.put(None)


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
