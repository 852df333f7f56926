"""When something is measured along a run, written as data.

A cadence is a short text, so that it can stand among a probe's arguments:

    "epochs:2"   at the start and after every second epoch, and at the end
    "steps:100"  at the start and after every 100 updates, and at the end
    "log:24"     24 times from 1 % to 100 % of the updates, a constant factor apart
    "windows"    at the end of every task window: 4, 10, 20, 30, 50 and 100 %
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from harness.schema import WINDOW_EDGES

LOG_START: Final = 0.01
"""Share of the run at which a log-spaced cadence begins."""


class Timeline(NamedTuple):
    """Length of a run."""

    num_steps: int
    """Planned updates."""
    steps_per_epoch: int


def cadence_steps(cadence: str, timeline: Timeline) -> list[int]:
    """Return the times (updates completed) of a cadence, ascending, without doubles.

    Args:
        cadence: "epochs:k", "steps:k", "log:n" or "windows".
        timeline: Length of the run.

    Raises:
        ValueError: The text is not a cadence.

    Example:
        >>> cadence_steps("epochs:2", Timeline(50, 10))
        [0, 20, 40, 50]
        >>> cadence_steps("log:3", Timeline(1000, 10))
        [10, 100, 1000]
    """
    kind, _, text = cadence.partition(":")
    last = timeline.num_steps
    if cadence == "windows":
        return sorted({max(1, edge * last // 100) for edge in WINDOW_EDGES})
    if kind not in ("epochs", "steps", "log") or not text.isdecimal() or int(text) < 1:
        raise ValueError(
            f"cadence is {cadence!r}, expected 'epochs:k', 'steps:k', 'log:n' with a "
            "positive whole number, or 'windows'"
        )
    count = int(text)
    if kind == "log":
        shares = np.geomspace(LOG_START, 1.0, count) if count > 1 else np.ones(1)
        return sorted({max(1, round(share * last)) for share in shares.tolist()})
    every = count * (timeline.steps_per_epoch if kind == "epochs" else 1)
    return sorted({*range(0, last, every), last})


def apart(steps: Sequence[int], size: int) -> list[int]:
    """Return the times whose windows of `size` updates do not overlap, greedily.

    A window ends with its time and does not begin before the first update.

    Example:
        >>> apart([1, 4, 6, 9], 4)
        [4, 9]
    """
    kept: list[int] = []
    for step in steps:
        if step - size >= (kept[-1] if kept else 0):
            kept.append(step)
    return kept
