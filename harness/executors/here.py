"""The executor without workers: trains in this process, one cohort after the other."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from harness import attempts
from harness.errors import RuncastError
from harness.executors.crew import Crew
from harness.executors.events import Event, Outcome
from harness.executors.failure import ATTEMPTS, KINDS, give_up
from harness.executors.waiting import Waiting
from harness.executors.work import CohortWorker, Report
from harness.plan import Plan
from harness.record import failed_ids

POLL_S: Final = 0.2
"""Seconds between two looks for a cohort, while other processes hold all of them."""

_ENDINGS: Final = {
    "interrupted": Outcome.INTERRUPTED,
    "no-space": Outcome.NO_SPACE,
}


class HereExecutor:
    """Trains cohorts in this process, on the crew's only device.

    A network that takes the process down takes the driver down with it; there is no
    watch over a silent one. Where nobody reads its progress any more, it stops. What
    failed in a process before comes after everything else, so that one cohort cannot
    end process after process while others wait.

    Raises:
        ValueError: The crew has several devices or workers, or a time limit.
    """

    def __init__(self, crew: Crew) -> None:
        if len(crew.devices) != 1 or crew.jobs != 1 or crew.timeout_s is not None:
            raise ValueError(
                f"one process trains on one device without a time limit, got "
                f"{', '.join(crew.devices)} for {crew.jobs} worker(s) and the limit "
                f"{crew.timeout_s}: start a process for each device"
            )
        self._crew = crew

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
            interrupted: Asked after every update; when true the state is saved.

        Raises:
            RuncastError: The device is spoiled for this process.
        """
        crew = self._crew
        waiting = Waiting(crew.folder, cohorts)
        worker = CohortWorker(crew.folder, crew.source, crew.setting)
        past = _Past(crew.folder)
        while waiting:
            if interrupted():
                return Outcome.INTERRUPTED
            cohort = waiting.take()
            if cohort is None:
                time.sleep(POLL_S)
                continue
            if waiting and past.comes_last(cohort):
                waiting.postpone(cohort)
                continue
            if past.given_up(cohort):
                text = "another process gave it up"
                on_event(Event("failed", cohort, error=text, reason="device"))
                continue
            event = self._work(worker, cohort, waiting, on_event, interrupted)
            if event is not None:
                on_event(event)
                if event.kind in _ENDINGS:
                    return _ENDINGS[event.kind]
        return Outcome.DONE

    def _work(
        self,
        worker: CohortWorker,
        cohort: str,
        waiting: Waiting,
        on_event: Callable[[Event], None],
        interrupted: Callable[[], bool],
    ) -> Event | None:
        unread = False

        def tell(share: float) -> None:
            nonlocal unread
            try:
                on_event(Event("progress", cohort, share=share))
            except BrokenPipeError:  # no fault of the run's
                unread = True

        report = worker.work(
            cohort, progress=tell, interrupted=lambda: unread or interrupted()
        )
        if report.spoiled:
            raise self._spoiled(cohort, report, on_event)
        return waiting.after_report(cohort, dataclasses.asdict(report))

    def _spoiled(
        self, cohort: str, report: Report, on_event: Callable[[Event], None]
    ) -> RuncastError:
        """Note that the device is lost to this process; return what to tell its user.

        The process cannot try again, so attempts are counted over all that trained the
        cohort, and each that uses up the last one gives it up.
        """
        folder, device = self._crew.folder, self._crew.setting.device
        count = sum(each.ending == "device" for each in attempts.load(folder, cohort))
        last_one = count > 0 and count % ATTEMPTS["device"] == 0
        if last_one:
            give_up(folder, cohort, "device", report.error, count)
        kind: Literal["failed", "retried"] = "failed" if last_one else "retried"
        on_event(Event(kind, cohort, error=report.error, reason="device"))
        last = report.error.strip().splitlines()[-1]
        return RuncastError(
            f"this process cannot use {device} any more ({last}): the same command "
            "again goes on; finished runs are kept"
        )


class _Past:
    """What became of cohorts in processes before, and in those at work beside this one.

    Args:
        folder: The corpus folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cohorts = Plan.load(folder).cohorts()
        self._failed = failed_ids(folder / "shards")
        self._postponed: set[str] = set()

    def comes_last(self, cohort: str) -> bool:
        """Tell, once, that the last attempt failed, or ended with its process.

        What had saved its state before such an end has rather met a time limit.
        """
        history = attempts.load(self._folder, cohort)
        if not history or cohort in self._postponed:
            return False
        self._postponed.add(cohort)
        last = history[-1]
        return last.ending in KINDS or (last.ending is None and last.saved_s == 0)

    def given_up(self, cohort: str) -> bool:
        """Tell whether another process gave it up for its device since the start."""
        history = attempts.load(self._folder, cohort)
        if not history or history[-1].ending != "device":
            return False
        new = failed_ids(self._folder / "shards") - self._failed
        return any(run.run_id in new for run in self._cohorts[cohort])
