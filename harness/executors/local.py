"""The local executor: warm worker processes, one a core or a device.

A worker that dies is replaced and its cohort tried again; the driver's Ctrl-C reaches
the workers as a request to stop at the next end of an epoch.
"""

import dataclasses
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from harness.datasets import Source
from harness.device import WORKSPACE
from harness.executors.crew import Crew
from harness.executors.events import Event, Outcome
from harness.executors.waiting import Waiting


def cpu_environment(threads: int) -> dict[str, str]:
    """Return the variables with which a worker on a processor must start.

    One thread a process beats many threads on small networks, and glibc's habit of
    returning large blocks to the kernel costs a factor of two on convolutions.
    """
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the largest that glibc accepts
        "MALLOC_TRIM_THRESHOLD_": str(8 * 2**30),
    }


def gpu_environment(source: Source) -> dict[str, str]:
    """Return the variables with which a worker on a GPU must start.

    Compiled kernels are kept beside decoded data, for the next worker and grid. Sums of
    cuBLAS have one order.
    """
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(source.cache_dir / "compiled"),
        WORKSPACE: os.environ.get(WORKSPACE, ":4096:8"),
    }


class _Worker:
    """A worker process and the cohort that it works on."""

    def __init__(self, crew: Crew, device: str, inbox: "Inbox") -> None:
        command = [sys.executable, "-m", "harness.executors.process"]
        setting, variables = crew.on(device), crew.source.environment()
        if device == "cpu":
            variables |= cpu_environment(setting.threads)
        else:
            variables |= gpu_environment(crew.source)
        self.device = device
        self.cohort: str | None = None
        self.heard = time.monotonic()
        self.process = subprocess.Popen(
            [*command, str(crew.folder), json.dumps(dataclasses.asdict(setting))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
            start_new_session=True,  # the terminal's Ctrl-C is the driver's to handle
        )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def tell(self, message: dict[str, Any]) -> None:
        """Send an order; a dead worker is noticed by the end of its output."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return

    def close(self) -> None:
        """Kill the process if it still runs, and give its pipes back."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def _listen(self, inbox: "Inbox") -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, None))


Inbox: TypeAlias = "queue.SimpleQueue[tuple[_Worker, Any]]"


class LocalExecutor:
    """Trains cohorts on worker processes of this machine."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._inbox: Inbox = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._outcome = Outcome.DONE

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
            interrupted: Asked often; when true the workers are told to stop.
        """
        waiting = Waiting(cohorts)
        try:
            for i in range(min(self._crew.jobs, len(cohorts))):
                self._start(self._crew.devices[i % len(self._crew.devices)])
            while self._workers:
                if self._outcome is Outcome.DONE and interrupted():
                    self._stop(Outcome.INTERRUPTED)
                self._hand_out(waiting)
                self._kill_silent()
                try:
                    worker, message = self._inbox.get(timeout=0.2)
                except queue.Empty:
                    continue
                event = self._take_in(worker, message, waiting)
                if event is not None:
                    on_event(event)
                    if event.kind == "no-space":
                        self._stop(Outcome.NO_SPACE)
        finally:
            for worker in self._workers:
                worker.close()
        return self._outcome

    def _start(self, device: str) -> None:
        self._workers.append(_Worker(self._crew, device, self._inbox))

    def _stop(self, outcome: Outcome) -> None:
        self._outcome = outcome
        for worker in self._workers:
            worker.tell({"stop": True})

    def _hand_out(self, waiting: Waiting) -> None:
        """Give idle workers their next cohort, or let them go."""
        for worker in list(self._idle):
            cohort = waiting.take() if self._outcome is Outcome.DONE else None
            if cohort is not None:
                self._idle.remove(worker)
                worker.cohort, worker.heard = cohort, time.monotonic()
                worker.tell({"cohort": cohort})
            elif not waiting and all(w.cohort is None for w in self._workers):
                worker.tell({"stop": True})

    def _kill_silent(self) -> None:
        """Kill workers that have not ended an epoch for too long; they are replaced."""
        limit_s = self._crew.timeout_s or math.inf
        for worker in self._workers:
            silent_s = time.monotonic() - worker.heard
            if worker.cohort is not None and silent_s > limit_s:
                worker.process.kill()

    def _take_in(self, worker: _Worker, message: Any, waiting: Waiting) -> Event | None:
        """Take in a worker's message, None for its end; return what it means."""
        if message is None:
            return self._after_end(worker, waiting)
        worker.heard = time.monotonic()
        if "ready" in message:
            self._idle.append(worker)
            return None
        cohort = worker.cohort
        assert cohort is not None
        if "progress" in message:
            return Event("progress", cohort, share=message["progress"])
        worker.cohort = None
        self._idle.append(worker)
        return waiting.after_report(cohort, message)

    def _after_end(self, worker: _Worker, waiting: Waiting) -> Event | None:
        """Replace a worker that died at work; a worker that was let go just ends.

        Raises:
            RuntimeError: It died before it was given work, so another would too.
        """
        self._workers.remove(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        code = worker.process.wait()
        worker.close()
        event = None
        if worker.cohort is not None:
            silent_s = time.monotonic() - worker.heard
            error = f"worker process died (exit status {code}), last heard of "
            error += f"{silent_s:.0f} s before"
            event = waiting.after_failure(worker.cohort, error)
        elif code != 0:
            raise RuntimeError(
                f"a worker process ended with status {code} before it was given work; "
                "its messages are above (`harness doctor` checks the installation)"
            )
        if waiting and self._outcome is Outcome.DONE:
            self._start(worker.device)
        return event
