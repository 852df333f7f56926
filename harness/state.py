"""Everything that changes while a cohort trains, and how it is kept and restored."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.cadence import Timeline
from harness.clock import Clock
from harness.cohort import CohortNet
from harness.curves import CurveBuffer, evaluation_steps
from harness.execution import Execution
from harness.feed import DeviceData
from harness.kept import KeptBuffers
from harness.probes.base import Scene
from harness.probing import ProbeSet
from harness.registry import OPTIMIZERS
from harness.spec import Part, RunConfig

_log = logging.getLogger(__name__)

FORMAT = 2
"""Of a saved state: raised when it holds something else."""
HIGH_LOSS_STEPS = 200
"""Updates in a row with a loss above ten times chance that count as divergence."""


class CohortState:
    """Networks, optimizer, curves, probes and health of S runs.

    Attributes:
        step: Updates completed.
        time: The same on the device, int64 `[1]`.
        alive: bool `[S]`, false from a run's first bad update on.
        first_bad: int64 `[S]`, that update (1-based), num_steps + 1 while there is
            none.
    """

    def __init__(
        self,
        cohort: Sequence[RunConfig],
        data: DeviceData,
        num_steps: int,
        execution: Execution | None = None,
    ) -> None:
        config, device = cohort[0], data.train.labels.device
        self._ids = [run.run_id for run in cohort]
        self.device = device
        self.clock = Clock(device)
        self.net = CohortNet(
            config.model,
            [run.seed for run in cohort],
            data.in_shape,
            data.num_classes,
            device=device,
            precision=config.precision,
            execution=execution,
        )
        self.kept = KeptBuffers(self.net)
        columns = hyper_columns([run.optimizer for run in cohort], device)
        self.optimizer = OPTIMIZERS.get(config.optimizer.name)(
            self.net.params, **columns
        )
        spe = num_steps // config.epochs
        eval_at = evaluation_steps(spe, config.recording.evals_per_epoch, num_steps)
        self.eval_index = {step: i for i, step in enumerate(eval_at)}
        smoothed = any(r.objective.params.get("label_smoothing") for r in cohort)
        step_signals = ["train_loss", "grad_norm", *(["train_ce"] if smoothed else [])]
        eval_signals = [
            "val_loss",
            "val_accuracy",
            "train_loss_eval",
            "train_accuracy_eval",
        ]
        every = range(1, num_steps + 1)
        self.by_step = CurveBuffer(step_signals, every, len(cohort), device)
        self.by_eval = CurveBuffer(eval_signals, eval_at, len(cohort), device)
        scene = Scene(
            cohort=cohort,
            net=self.net,
            data=data,
            timeline=Timeline(num_steps, spe),
        )
        self.probes = ProbeSet(scene, self.clock)
        self.step = 0
        self.time = torch.zeros(1, dtype=torch.int64, device=device)
        self.alive = torch.ones(len(cohort), dtype=torch.bool, device=device)
        self.first_bad = torch.full((len(cohort),), num_steps + 1, device=device)
        self._high = torch.zeros(len(cohort), dtype=torch.int64, device=device)

    def judge(
        self, loss: Tensor, norm: Tensor, whole: Tensor, ceiling: float
    ) -> Tensor:
        """Update `alive` from what this update saw, `[S]` each.

        A run is bad from the first loss, gradient or running statistic that is not
        finite, or after `HIGH_LOSS_STEPS` losses in a row above `ceiling`.

        Args:
            loss: The objective.
            norm: Of the gradient.
            whole: Whether the running statistics are finite.
            ceiling: Losses above it are high.
        """
        self._high.copy_(torch.where(loss > ceiling, self._high + 1, 0))
        finite = torch.isfinite(loss + norm) & whole
        bad = ~(finite & (self._high < HIGH_LOSS_STEPS))
        first = torch.where(self.alive & bad, self.time + 1, self.first_bad)
        self.first_bad.copy_(first)
        self.alive.logical_and_(~bad)
        return self.alive

    def to_save(self) -> dict[str, Any]:
        """Return tensors with runs as rows, and plain values, for a checkpoint."""
        return {
            "format": FORMAT,
            "torch": str(torch.__version__),
            "ids": self._ids,
            "step": self.step,
            "order": self.net.order,
            "seconds": self.clock.seconds(),
            "rows": {
                "params": {"": self.net.params},
                "buffers": self.net.buffers(),
                "optimizer": self.optimizer.state(),
                "by_step": self.by_step.state(),
                "by_eval": self.by_eval.state(),
                "probes": self.probes.state(),
                "health": {
                    "alive": self.alive,
                    "first_bad": self.first_bad,
                    "high": self._high,
                },
            },
        }

    def fits(self, saved: Mapping[str, Any]) -> bool:
        """Tell whether these runs can go on from a saved state; say why not."""
        missing = [i for i in self._ids if i not in saved["ids"]]
        if missing:
            _log.warning("the checkpoint does not hold %s", ", ".join(missing))
        elif saved.get("format") != FORMAT:
            _log.warning("the checkpoint was written by another version of runcast")
        elif saved["order"] != self.net.order:
            _log.warning(
                "the checkpoint was written on another kind of device (its weights are "
                "%s, here they are %s)",
                saved["order"],
                self.net.order,
            )
        else:
            if saved["torch"] != str(torch.__version__):
                _log.warning(
                    "the checkpoint was written with torch %s, training goes on with "
                    "%s: the bits may differ from those of an uninterrupted run",
                    saved["torch"],
                    torch.__version__,
                )
            return True
        _log.warning("the checkpoint is not used")
        return False

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue from a `to_save` that fits; it may hold more runs than these."""
        index = [saved["ids"].index(i) for i in self._ids]
        rows = {
            group: {k: _take(v, index).to(self.device) for k, v in tensors.items()}
            for group, tensors in saved["rows"].items()
        }
        self.step = saved["step"]
        self.time.fill_(self.step)
        self.clock.load(saved["seconds"])
        self.net.params.copy_(rows["params"][""])
        self.net.load_buffers(rows["buffers"])
        self.kept.start()
        self.optimizer.load_state(rows["optimizer"])
        self.by_step.load_state(rows["by_step"])
        self.by_eval.load_state(rows["by_eval"])
        self.probes.load_state(rows["probes"])
        self.alive.copy_(rows["health"]["alive"])
        self.first_bad.copy_(rows["health"]["first_bad"])
        self._high.copy_(rows["health"]["high"])


def hyper_columns(parts: Sequence[Part], device: torch.device) -> dict[str, Any]:
    """Return each argument of the runs' parts: a value, or `[S, 1]` where they differ.

    Raises:
        ValueError: Runs differ in an argument that is not a number.
    """
    columns: dict[str, Any] = {}
    for name, first in parts[0].params.items():
        values = [part.params[name] for part in parts]
        if all(value == first for value in values):
            columns[name] = first
        elif any(
            isinstance(v, bool) or not isinstance(v, (int, float)) for v in values
        ):
            raise ValueError(
                f"{parts[0].name}.{name} differs within a cohort and is not a number: "
                f"{sorted(set(map(str, values)))}"
            )
        else:
            column = torch.tensor(values, dtype=torch.float32, device=device)
            columns[name] = column[:, None]
    return columns


def _take(value: Tensor, index: list[int]) -> Tensor:
    """Select runs; a tensor without a run axis (a step count) is kept whole."""
    return value[index] if value.ndim else value
