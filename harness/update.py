"""One update of a cohort, written so that it can be a CUDA graph.

Everything that changes from update to update, which batch, which learning rate, where
to record, is read from the device, so that one sequence of kernels serves them all.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.execution import Execution
from harness.feed import Feed
from harness.objectives import Losses
from harness.state import CohortState

HIGH_LOSS: Final = 10.0
"""Losses above so many times the logarithm of the number of classes are high."""


class Update:
    """The update that a cohort makes over and over.

    Args:
        state: What changes; its optimizer is told not to ask the device for values if
            the execution asks for that.
        feed: Batches.
        objective: From logits `[S, B, K]` and labels `[S, B]` to losses.
        factors: Multiplier of the peak learning rate at every update, `[S, T]`.
        num_classes: K.
        execution: How it is run.
    """

    def __init__(
        self,
        state: CohortState,
        feed: Feed,
        objective: Callable[[Tensor, Tensor], Losses],
        factors: npt.NDArray[np.float64],
        num_classes: int,
        execution: Execution,
    ) -> None:
        self._state, self._feed, self._objective = state, feed, objective
        scale = torch.from_numpy(factors.T.astype(np.float32)).to(state.device)
        self._scale = scale[:, :, None]  # [T, S, 1]
        self._ceiling = HIGH_LOSS * math.log(num_classes)
        self._masks = execution.static or state.device.type != "cpu"
        state.optimizer.static = execution.static
        runs = len(state.net)
        self._seen = {
            name: torch.zeros(runs, device=state.device)
            for name in state.by_step.signals
        }
        self._descend = execution.compiled(self._apply)
        self._make = execution.fixed(self._body)
        self._keep = execution.fixed(self._record)

    @property
    def settled(self) -> bool:
        """Whether the next update compiles, chooses and records no kernel."""
        return self._make.settled

    def __call__(self, step: int) -> None:
        """Make update `step` + 1 of the run.

        Args:
            step: Updates completed; steps come in order, from the start of an epoch or
                from the step that `resume` was given.
        """
        index = step % self._feed.steps_per_epoch
        if index == 0:
            self._feed.start_epoch(step // self._feed.steps_per_epoch)
        self._feed.prepare(index)
        self._make()

    def resume(self, step: int) -> None:
        """Make the batches ready for going on after `step` updates."""
        epoch, index = divmod(step, self._feed.steps_per_epoch)
        if index:  # a whole epoch begins by itself
            self._feed.start_epoch(epoch)
            self._feed.seek(index)

    def record(self) -> None:
        """Put what the last update saw into the curves by step."""
        self._keep()

    def _body(self) -> None:
        inputs, labels = self._feed.take()
        logits = self._state.net.train_logits(inputs, self._state.step)
        losses = self._objective(logits, labels)
        grads = self._state.net.gradients(losses.objective)
        loss, entropy = losses.objective.detach(), losses.cross_entropy.detach()
        # Looked up here: what is compiled must not know the length of the run.
        scale = self._scale.index_select(0, self._state.time)[0]
        state = self._state
        self._descend(loss, entropy, grads, state.kept.whole(), scale)
        state.kept.settle(state.alive, masks=self._masks)
        state.time.add_(1)

    @torch.no_grad()
    def _apply(
        self,
        loss: Tensor,
        entropy: Tensor,
        grads: Tensor,
        whole: Tensor,
        scale: Tensor,
    ) -> None:
        """Judge the gradients `[S, P]`; take a step along them, `scale [S, 1]`."""
        state = self._state
        norm = torch.linalg.vector_norm(grads, dim=1)
        alive = state.judge(loss, norm, whole, self._ceiling)
        if self._masks or not alive.all():  # keep the last finite state
            grads.masked_fill_(~alive[:, None], 0.0)
        state.optimizer.step(grads, scale * alive[:, None])
        values = {"train_loss": loss, "grad_norm": norm, "train_ce": entropy}
        for name, seen in self._seen.items():
            seen.copy_(values[name])

    def _record(self) -> None:
        self._state.by_step.write_at(self._state.time - 1, self._seen)
