"""The Ray executor: the same worker as an actor, on one machine or many.

All machines must see the corpus folder and the data under the same paths. Actors, not
tasks: a Ray GPU task ends its process after every call, and with it torch and data.
"""

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from harness.datasets import Source
from harness.device import Setting
from harness.executors.crew import Crew
from harness.executors.events import Event, Outcome
from harness.executors.local import cpu_environment, gpu_environment
from harness.executors.waiting import Waiting

POLL_S: Final = 0.5


class _Actor:
    """A worker that can be asked for its progress and told to stop while it works."""

    def __init__(self, folder: str, source: Source, setting: Setting) -> None:
        from harness.executors.work import CohortWorker

        self._worker = CohortWorker(Path(folder), source, setting)
        self._share = 0.0
        self._stop = threading.Event()

    def work(self, cohort: str) -> dict[str, Any]:
        """Train a cohort and return the report."""
        self._share = 0.0
        report = self._worker.work(
            cohort, progress=self._set_share, interrupted=self._stop.is_set
        )
        return dataclasses.asdict(report)

    def share(self) -> float:
        """Return the share of the current cohort that is done."""
        return self._share

    def stop(self) -> None:
        """Ask the current work to end at the next end of an epoch."""
        self._stop.set()

    def _set_share(self, share: float) -> None:
        self._share = share


class RayExecutor:
    """Trains cohorts on actors of a Ray cluster."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._device = "cpu" if crew.devices[0] == "cpu" else "cuda"
        gpus = 0 if self._device == "cpu" else len(crew.devices)
        self._gpus = min(1.0, gpus / crew.jobs)

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
            ModuleNotFoundError: Ray is not installed.
        """
        ray = _import_ray()
        started = not ray.is_initialized()
        if started:
            ray.init(log_to_driver=True, include_dashboard=False)
        try:
            return self._run(ray, Waiting(cohorts), len(cohorts), on_event, interrupted)
        finally:
            if started:
                ray.shutdown()

    def _run(
        self,
        ray: Any,
        waiting: Waiting,
        count: int,
        on_event: Callable[[Event], None],
        interrupted: Callable[[], bool],
    ) -> Outcome:
        idle = [self._actor(ray) for _ in range(min(self._crew.jobs, count))]
        at_work: dict[Any, tuple[Any, str]] = {}
        outcome = Outcome.DONE
        while at_work or (waiting and outcome is Outcome.DONE):
            if outcome is Outcome.DONE and interrupted():
                outcome = Outcome.INTERRUPTED
            if outcome is not Outcome.DONE:
                for actor, _ in at_work.values():
                    actor.stop.remote()
            while idle and outcome is Outcome.DONE and (c := waiting.take()):
                actor = idle.pop()
                at_work[actor.work.remote(c)] = (actor, c)
            if not at_work:  # all that waits is held by another driver
                time.sleep(POLL_S)
                continue
            ready, _ = ray.wait(list(at_work), timeout=POLL_S)
            for job in ready:
                actor, cohort = at_work.pop(job)
                try:
                    event = waiting.after_report(cohort, ray.get(job))
                except ray.exceptions.RayError as error:
                    event = waiting.after_failure(cohort, str(error))
                    actor = self._actor(ray)
                idle.append(actor)
                if event is not None:
                    on_event(event)
                    if event.kind == "no-space":
                        outcome = Outcome.NO_SPACE
            self._tell_progress(ray, at_work, on_event)
        return outcome

    def _actor(self, ray: Any) -> Any:
        """Start an actor; it answers questions while it works."""
        variables = {"PYTHONPATH": os.pathsep.join(sys.path)}
        if self._device == "cpu":
            variables |= cpu_environment(self._crew.setting.threads)
        else:
            variables |= gpu_environment(self._crew.source)
        remote = ray.remote(
            num_cpus=self._crew.setting.threads,
            num_gpus=self._gpus,
            max_concurrency=2,
            runtime_env={"env_vars": variables},
        )(_Actor)
        return remote.remote(
            str(self._crew.folder.resolve()),
            self._crew.source,
            self._crew.on(self._device),
        )

    def _tell_progress(
        self,
        ray: Any,
        at_work: dict[Any, tuple[Any, str]],
        on_event: Callable[[Event], None],
    ) -> None:
        questions = {actor.share.remote(): c for actor, c in at_work.values()}
        if not questions:
            return
        answers, _ = ray.wait(list(questions), num_returns=len(questions), timeout=1.0)
        for answer in answers:
            try:
                on_event(Event("progress", questions[answer], share=ray.get(answer)))
            except ray.exceptions.RayError:
                continue  # its death is told by the end of its work


def _import_ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "--executor ray needs Ray: pip install 'runcast[ray]'"
        ) from error
    return ray
