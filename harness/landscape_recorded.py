"""A product of a landscape as a body on fixed memory, which a recording repeats."""

import functools
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from harness.execution import Execution, Fixed

LANES: Final = 8
"""Micro-batches, or runs, whose kernels may overlap in a recording."""


class Recorded:
    """Tasks that fill one tensor from others; called once, then recorded and repeated.

    Args:
        execution: One that records.
        tasks: What to do to `out`, which is zero before; none depends on another.
        given: What the tasks read and every call overwrites.
        out: What they fill; it lies where it lay before they were recorded.
        after: What the tasks may read in the memory that recordings share.
    """

    def __init__(
        self,
        execution: Execution,
        tasks: Sequence[Callable[[], None]],
        given: Sequence[Tensor],
        out: Tensor,
        after: "Recorded | None" = None,
    ) -> None:
        self._given, self._out = given, out
        lanes = _lanes(out.device) if out.device.type == "cuda" else ()

        def body() -> None:
            out.zero_()
            _together(tasks, lanes)

        before = after.body if after else None
        fixed = execution.fixed(body, warm_up=1, after=before)
        assert isinstance(fixed, Fixed), "the execution does not record"
        self.body: Fixed = fixed

    @property
    def settled(self) -> bool:
        """Whether it has been recorded."""
        return self.body.settled

    def __call__(self, *given: Tensor) -> Tensor:
        """Return what the tasks make of tensors; the next call overwrites it."""
        for own, value in zip(self._given, given, strict=True):
            own.copy_(value)
        self.body()
        return self._out


def _together(
    tasks: Sequence[Callable[[], None]], lanes: Sequence[torch.cuda.Stream]
) -> None:
    """Do the tasks, each on a lane if there are lanes, and wait for them there."""
    if not lanes or len(tasks) == 1:
        for task in tasks:
            task()
        return
    current = torch.cuda.current_stream(lanes[0].device)
    used = lanes[: len(tasks)]
    for lane in used:
        lane.wait_stream(current)
    for i, task in enumerate(tasks):
        with torch.cuda.stream(lanes[i % len(lanes)]):
            task()
    for lane in used:
        current.wait_stream(lane)


@functools.cache
def _lanes(device: torch.device) -> tuple[torch.cuda.Stream, ...]:
    """Return the same streams every time: each has workspaces of its own."""
    return tuple(
        torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        for _ in range(LANES)
    )
