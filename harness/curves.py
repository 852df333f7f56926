"""Curves of a cohort while it trains: preallocated on the device, read once at the end.

The loop writes one column a step and never waits for the device.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.record import Curve


class CurveBuffer:
    """Signals of S runs on one fixed list of steps."""

    def __init__(
        self,
        signals: Sequence[str],
        steps: Sequence[int],
        num_runs: int,
        device: torch.device,
    ) -> None:
        self._steps = np.asarray(steps, dtype=np.int32)
        shape = (len(steps), num_runs)
        self._values = {k: torch.zeros(shape, device=device) for k in signals}

    @property
    def signals(self) -> list[str]:
        """Names of what is recorded."""
        return list(self._values)

    def write(self, index: int, values: Mapping[str, Tensor]) -> None:
        """Store values `[S]` of the `index`-th step of the list."""
        for name, value in values.items():
            self._values[name][index].copy_(value)

    def write_at(self, index: Tensor, values: Mapping[str, Tensor]) -> None:
        """Store values `[S]` at a position int64 `[1]` that only the device knows."""
        for name, value in values.items():
            self._values[name].index_copy_(0, index, value[None])

    def state(self) -> dict[str, Tensor]:
        """Return everything written so far, `[S, num_steps]` a signal."""
        return {k: v.T for k, v in self._values.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        for name, value in state.items():
            self._values[name].copy_(value.T)

    def curves(self, last_steps: Sequence[int]) -> list[dict[str, Curve]]:
        """Return each run's curves up to and with its last step."""
        host = {k: v.T.cpu().numpy() for k, v in self._values.items()}
        runs = []
        for s, last in enumerate(last_steps):
            end = int(np.searchsorted(self._steps, last, side="right"))
            steps = self._steps[:end]
            runs.append({k: Curve(steps, v[s, :end].copy()) for k, v in host.items()})
        return runs


def evaluation_steps(
    steps_per_epoch: int, evals_per_epoch: int, num_steps: int
) -> list[int]:
    """Return the steps after which a run is evaluated, 0 and the last included.

    Evaluation i lies at round(i * steps_per_epoch / evals_per_epoch), so that epochs'
    ends are always among them; with fewer steps than evaluations an epoch, every step.

    Example:
        >>> evaluation_steps(8, 4, 16)
        [0, 2, 4, 6, 8, 10, 12, 14, 16]
    """
    count = num_steps // steps_per_epoch * evals_per_epoch
    exact = (round(i * steps_per_epoch / evals_per_epoch) for i in range(count + 1))
    return sorted({*exact, num_steps})
