"""The executor without workers: trains in this process, one cohort after the other."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Final

from harness.errors import RuncastError
from harness.executors.crew import Crew
from harness.executors.events import Event, Outcome
from harness.executors.waiting import Waiting
from harness.executors.work import CohortWorker

POLL_S: Final = 0.2
"""Seconds between two looks for a cohort, while other processes hold all of them."""

_ENDINGS: Final = {
    "interrupted": Outcome.INTERRUPTED,
    "no-space": Outcome.NO_SPACE,
}


class HereExecutor:
    """Trains cohorts in this process, on the crew's only device.

    A network that takes the process down takes the driver down with it; there is no
    watch over a silent one.

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
        while waiting:
            if interrupted():
                return Outcome.INTERRUPTED
            cohort = waiting.take()
            if cohort is None:
                time.sleep(POLL_S)
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
        report = worker.work(
            cohort,
            progress=lambda share: on_event(Event("progress", cohort, share=share)),
            interrupted=interrupted,
        )
        if report.spoiled:
            last = report.error.strip().splitlines()[-1]
            device = self._crew.setting.device
            raise RuncastError(
                f"this process cannot use {device} any more ({last}): the same command "
                "again goes on; finished runs are kept"
            )
        return waiting.after_report(cohort, dataclasses.asdict(report))
