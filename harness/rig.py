"""A cohort set up to train: networks, batches, updates and scores on one device."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.cohort import is_recordable
from harness.evaluate import Scorer
from harness.execution import Execution, execution_for
from harness.feed import DeviceData, Feed
from harness.registry import OBJECTIVES, SCHEDULES
from harness.seeds import stream
from harness.spec import RunConfig
from harness.state import CohortState, hyper_columns
from harness.update import Update


class Rig:
    """What trains a cohort, and the numbers that follow from its configurations.

    Args:
        cohort: Resolved configurations with one `cohort_key`.
        data: Their data set on the device.
        execution: How updates and scores are run, or its name, see `execution_for`.

    Attributes:
        feed: Batches.
        state: What changes while it trains.
        update: Makes an update.
        scorer: Scores the present state.
        execution: How they are run.
        steps_per_epoch: Updates an epoch.
        num_steps: Updates in all.
        factors: Multiplier of the peak learning rate at every update, `[S, num_steps]`.
        subset: Indices of the training images that are scored clean.

    Raises:
        ValueError: The batch is larger than the training set, or an argument of the
            configurations is out of range.
    """

    def __init__(
        self,
        cohort: Sequence[RunConfig],
        data: DeviceData,
        execution: Execution | str = "auto",
    ) -> None:
        config, device = cohort[0], data.train.labels.device
        if isinstance(execution, str):
            fit = is_recordable(config.model, data.in_shape, data.num_classes)
            execution = execution_for(execution, device, recordable=fit)
        self.execution = execution
        self.feed = Feed(data, cohort, static=execution.static)
        self.steps_per_epoch = self.feed.steps_per_epoch
        self.num_steps = config.epochs * self.steps_per_epoch
        self.factors = _factors(cohort, self.num_steps, self.steps_per_epoch)
        self.subset = _clean(len(data.train), config.recording.train_subset).to(device)
        self.state = CohortState(cohort, data, self.num_steps, execution)
        columns = hyper_columns([run.objective for run in cohort], device)
        objective = OBJECTIVES.get(config.objective.name)(**columns)
        self.update = Update(
            self.state, self.feed, objective, self.factors, data.num_classes, execution
        )
        self.scorer = Scorer(self.state.net, data, execution)

    def rehearse(self, number: int) -> None:
        """Make an update of the first epoch over and over, to be timed.

        Args:
            number: Of the call, from 0.
        """
        step = number % self.steps_per_epoch
        if step == 0:
            self.state.time.zero_()
        self.update(step)


def _factors(
    cohort: Sequence[RunConfig], num_steps: int, steps_per_epoch: int
) -> npt.NDArray[np.float64]:
    rows = []
    for run in cohort:
        schedule = SCHEDULES.get(run.schedule.name)
        rows.append(schedule(num_steps, steps_per_epoch, **run.schedule.params))
    return np.stack(rows)


def _clean(num_examples: int, size: int) -> Tensor:
    chosen = stream(0, "clean-subset").permutation(num_examples)[:size]
    return torch.from_numpy(np.sort(chosen))
