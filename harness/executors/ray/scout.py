"""A scout on a GPU of a Ray cluster, for a driver that need not have one."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import RuncastError
from harness.executors.ray.cluster import Cluster

FREE_S: Final = 45.0
"""Seconds to wait for a free GPU; workers of a driver before may hold all of them."""

if TYPE_CHECKING:
    from harness.datasets import Source
    from harness.device import Setting
    from harness.estimate import Estimate
    from harness.plan import PlannedRun
    from harness.scout import Scout
    from harness.spec import RunConfig
    from harness.tuning import Choice


class RayScout:
    """Times work in an actor that has a whole GPU, started when it is first asked.

    Args:
        cluster: Where the GPU is.
        setting: How workers train.
        source: Where data are.
    """

    def __init__(self, cluster: Cluster, setting: "Setting", source: "Source") -> None:
        self._cluster, self._setting, self._source = cluster, setting, source
        self._actor: Any = None
        self._busy = False

    @property
    def device_name(self) -> str:
        """Name of the GPU."""
        return str(self._ask("device_name"))

    def choice(self, config: "RunConfig") -> "Choice":
        """Return how runs like `config` are trained, tried on a GPU if one is free."""
        import torch

        from harness.tuning import Choice, untuned

        asked = self._setting
        if asked.execution != "auto" and asked.packing is not None:
            return Choice(asked.execution, asked.packing)
        if not self._started():
            plain = untuned(config, torch.device("cuda"))
            return Choice(plain.execution, asked.packing or plain.packing)
        return Choice(*self._ask("choice", config))

    def estimate(self, cohorts: "Sequence[Sequence[PlannedRun]]") -> "Estimate":
        """Return what cohorts cost, from timed steps."""
        from harness.estimate import Estimate

        return Estimate(**self._ask("estimate", cohorts))

    def leave(self) -> dict[str, str]:
        """End the actor; return what was tried, for the workers of other nodes."""
        tuned: dict[str, str] = {} if self._actor is None else self._ask("tuned")
        self.close()
        return tuned

    def close(self) -> None:
        """End the actor at once, whatever it tries just now."""
        if self._actor is not None:
            self._cluster.kill(self._actor)
            self._actor = None

    def _started(self) -> bool:
        """Start the actor unless it runs; tell whether a GPU was free for it."""
        if self._actor is not None or self._busy:
            return self._actor is not None
        _tell("trying ways to train on a GPU of the cluster")
        self._actor = self._cluster.start(
            RemoteScout,
            dataclasses.asdict(self._setting),
            self._source.data_dir,
            self._source.cache_dir,
            num_cpus=1,
            num_gpus=1,
        )
        ray = self._cluster.ray
        if ray.wait([self._actor.ready.remote()], timeout=FREE_S)[0]:
            return True
        _tell("no GPU is free to try on: runs are packed as usual (--pack N says how)")
        self.close()
        self._busy = True
        return False

    def _ask(self, what: str, *arguments: Any) -> Any:
        if not self._started():
            raise RuncastError("no GPU of the Ray cluster is free to time the work on")
        ray = self._cluster.ray
        try:
            return ray.get(getattr(self._actor, what).remote(*arguments))
        except ray.exceptions.RayError as error:
            raise RuncastError(
                f"a GPU of the Ray cluster could not be tried (--pack N --execution "
                f"graph asks for no trial):\n{error}"
            ) from error


def _tell(text: str) -> None:
    sys.stderr.write(f"ray: {text}\n")


class RemoteScout:
    """The actor: a `Scout`; torch is loaded when Ray has said which GPU is seen."""

    def __init__(
        self, setting: dict[str, Any], data_dir: Path | None, cache_dir: Path
    ) -> None:
        self._setting = setting
        self._places = (data_dir, cache_dir)
        self._scout: Scout | None = None
        self._folder = cache_dir
        self._before: set[Path] = set()

    def ready(self) -> None:
        """Return once this process has a GPU."""

    def device_name(self) -> str:
        """Return the name of the GPU."""
        return self._ready().device_name

    def choice(self, config: "RunConfig") -> tuple[str, int]:
        """Return what `Scout.choice` does."""
        return tuple(self._ready().choice(config))  # type: ignore[return-value]

    def estimate(self, cohorts: "Sequence[Sequence[PlannedRun]]") -> dict[str, float]:
        """Return what `Scout.estimate` does."""
        return dataclasses.asdict(self._ready().estimate(cohorts))

    def tuned(self) -> dict[str, str]:
        """Return what was tried on this kind of node, now or before."""
        from harness.tuning import FOLDER

        files = (self._folder / FOLDER).glob("*.json")
        return {path.name: path.read_text(encoding="utf-8") for path in files}

    def _ready(self) -> "Scout":
        if self._scout is None:
            from harness.device import Setting
            from harness.executors.local import gpu_environment
            from harness.executors.ray.actor import source_here
            from harness.scout import Scout

            source = source_here(*self._places)
            self._folder = source.cache_dir
            os.environ.update(gpu_environment(source))
            setting = Setting(**self._setting)
            self._scout = Scout(setting, source, lambda _: None)
        return self._scout
