"""The local executor: warm worker processes, one a core or a device.

A worker that dies or hangs is replaced and its cohort tried again; the driver's Ctrl-C
reaches the workers as a request to keep their state after the next update.
"""

import dataclasses
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from harness.datasets import Source
from harness.device import WORKSPACE
from harness.errors import RuncastError
from harness.executors.crew import Crew
from harness.executors.events import Event, Outcome
from harness.executors.failure import Kind
from harness.executors.waiting import Waiting

START_S: Final = 600.0
"""Seconds that a worker may take to load torch, at least, on a slow file system."""
STARTS: Final = 3
"""Workers in a row that may fail on a device before they are given work."""
WORKER: Final = (sys.executable, "-m", "harness.executors.process")
"""Command of a worker process, to which its folder and setting are added."""
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


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


def visible_device(device: str) -> tuple[str, dict[str, str]]:
    """Return how a worker names its GPU, and the variables that show it no other.

    Set before torch loads: a process that sees one GPU cannot touch another's memory.

    Args:
        device: A CUDA device as this process counts them, such as cuda:1.

    Example:
        >>> visible_device("cuda:1")  # where CUDA_VISIBLE_DEVICES is not set
        ('cuda:0', {'CUDA_VISIBLE_DEVICES': '1'})
    """
    index = int(device.partition(":")[2] or 0)
    seen = os.environ.get(_VISIBLE)
    name = seen.split(",")[index].strip() if seen else str(index)
    return "cuda:0", {_VISIBLE: name}


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

    def __init__(
        self, command: Sequence[str], crew: Crew, device: str, inbox: "Inbox"
    ) -> None:
        setting, variables = crew.on(device), crew.source.environment()
        if device == "cpu":
            variables |= cpu_environment(setting.threads)
        else:
            name, visible = visible_device(device)
            setting = crew.on(name)
            variables |= visible | gpu_environment(crew.source)
        self.device = device
        self.cohort: str | None = None
        self.heard = time.monotonic()
        self.ready = self.worked = self.silent = False
        self.unreadable: str | None = None
        self.process = subprocess.Popen(
            [*command, str(crew.folder), json.dumps(dataclasses.asdict(setting))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
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
        line = ""
        try:
            for line in self.process.stdout:
                inbox.put((self, dict(json.loads(line))))
        except (TypeError, ValueError):
            self.unreadable = line
            self.process.kill()  # its next lines would mean as little
        finally:
            inbox.put((self, None))


Inbox: TypeAlias = "queue.SimpleQueue[tuple[_Worker, Any]]"


class LocalExecutor:
    """Trains cohorts on worker processes of this machine.

    Args:
        crew: Who trains.
        command: Of a worker process.
    """

    def __init__(self, crew: Crew, *, command: Sequence[str] = WORKER) -> None:
        self._crew, self._command = crew, command
        self._inbox: Inbox = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._stillborn: Counter[str] = Counter()
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

        Raises:
            RuncastError: On no device workers live until they are given work.
        """
        waiting = Waiting(self._crew.folder, cohorts, self._places)
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
        self._workers.append(_Worker(self._command, self._crew, device, self._inbox))

    def _places(self) -> dict[str, str]:
        return {worker.device: worker.device for worker in self._workers}

    def _stop(self, outcome: Outcome) -> None:
        """Have workers keep their state and end; those that load torch have none."""
        self._outcome = outcome
        for worker in self._workers:
            if worker.ready:
                worker.tell({"stop": True})
            else:
                worker.process.kill()

    def _hand_out(self, waiting: Waiting) -> None:
        """Give idle workers their next cohort, or let them go."""
        for worker in list(self._idle):
            free = self._outcome is Outcome.DONE
            cohort = waiting.take(worker.device) if free else None
            if cohort is not None:
                self._idle.remove(worker)
                worker.cohort, worker.heard = cohort, time.monotonic()
                worker.worked, self._stillborn[worker.device] = True, 0
                worker.tell({"cohort": cohort})
            elif not waiting and all(w.cohort is None for w in self._workers):
                worker.tell({"stop": True})

    def _kill_silent(self) -> None:
        """Kill workers that have made no update for too long; they are replaced."""
        limit_s = self._crew.timeout_s or math.inf
        for worker in self._workers:
            silent_s = time.monotonic() - worker.heard
            starts = worker.cohort is None and not worker.ready
            limit = max(limit_s, START_S) if starts else limit_s
            if (starts or worker.cohort is not None) and silent_s > limit:
                worker.silent = True
                worker.process.kill()

    def _take_in(self, worker: _Worker, message: Any, waiting: Waiting) -> Event | None:
        """Take in a worker's message, None for its end; return what it means."""
        if message is None:
            return self._after_end(worker, waiting)
        worker.heard = time.monotonic()
        if "ready" in message:
            worker.ready = True
            self._idle.append(worker)
            return None
        cohort = worker.cohort
        assert cohort is not None
        if "progress" in message:
            return Event("progress", cohort, share=message["progress"])
        worker.cohort = None
        if message["ending"] == "interrupted" and self._outcome is Outcome.DONE:
            waiting.put_back(cohort)  # somebody else told it to stop: it ends
            return None
        if message["spoiled"]:
            worker.tell({"stop": True})
        else:
            self._idle.append(worker)
        return waiting.after_report(cohort, message, worker.device)

    def _after_end(self, worker: _Worker, waiting: Waiting) -> Event | None:
        """Replace a worker that ended while there is work.

        Raises:
            RuncastError: No device is left where one lives until it is given work.
        """
        self._workers.remove(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        code = worker.process.wait()
        worker.close()
        event, goes_on = None, self._outcome is Outcome.DONE
        if worker.cohort is not None:
            kind: Kind = "timeout" if worker.silent else "died"
            error = _how_it_ended(worker, code)
            event = waiting.after_loss(worker.cohort, kind, error, worker.device)
        elif code != 0 and not worker.worked and goes_on:
            self._stillborn[worker.device] += 1
        if waiting and goes_on:
            self._replace(worker, code)
        return event

    def _replace(self, worker: _Worker, code: int) -> None:
        """Start a worker on the same device, or where none is if it is of no use."""
        device = worker.device
        if self._stillborn[device] < STARTS:
            self._start(device)
            return
        taken = {other.device for other in self._workers}
        sound = (d for d in self._crew.devices if self._stillborn[d] < STARTS)
        spare = next((d for d in sound if d not in taken), None)
        text = (
            f"{STARTS} workers in a row on {device} ended before they were given work; "
            f"the last: {_how_it_ended(worker, code)}; their messages are above "
            "(`harness doctor` checks the installation)"
        )
        if spare is None and not self._workers:
            raise RuncastError(text)
        if self._stillborn[device] == STARTS:
            sys.stderr.write(f"{device} is left out, others go on: {text}\n")
            sys.stderr.flush()
        if spare is not None:
            self._start(spare)


def _how_it_ended(worker: _Worker, code: int) -> str:
    silent_s = time.monotonic() - worker.heard
    how = f"worker process died (exit status {code}), last heard of {silent_s:.0f} s "
    how += "before"
    if worker.unreadable is not None:
        how += f"; it was ended as it said what is no message: {worker.unreadable!r}"
    elif code == -signal.SIGKILL:
        how += "; where nobody killed it, memory may have run out (`dmesg` tells)"
    return how
