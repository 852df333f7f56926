"""Looks at the device that a grid is to be trained on, before it is planned."""

from collections.abc import Sequence
from typing import Protocol

from harness.datasets import Source
from harness.device import Setting
from harness.estimate import Estimate, estimate
from harness.plan import PlannedRun
from harness.spec import RunConfig
from harness.tuning import Choice, Say, Tuner
from harness.workbench import Workbench


class Looks(Protocol):
    """Times work on a device, here or elsewhere."""

    @property
    def device_name(self) -> str:
        """Name of the GPU, or cpu."""
        ...

    def choice(self, config: RunConfig) -> Choice:
        """Return how runs like `config` are trained."""
        ...

    def estimate(self, cohorts: Sequence[Sequence[PlannedRun]]) -> Estimate:
        """Return what cohorts cost."""
        ...


class Scout:
    """Times work on a device of this process.

    Args:
        setting: How workers train.
        source: Where data are.
        say: Told what is tried.
    """

    def __init__(self, setting: Setting, source: Source, say: Say) -> None:
        self._bench = Workbench(source, setting.apply())
        self._tuner = Tuner(setting, source.cache_dir, say=say)

    @property
    def device_name(self) -> str:
        """Name of the GPU, or cpu."""
        return self._bench.device_name

    def choice(self, config: RunConfig) -> Choice:
        """Return how runs like `config` are trained, see `Tuner.choice`."""
        return self._tuner.choice(config, self._bench.data)

    def estimate(self, cohorts: Sequence[Sequence[PlannedRun]]) -> Estimate:
        """Return what cohorts cost, from timed steps."""
        return estimate(cohorts, self._bench, self._tuner)
