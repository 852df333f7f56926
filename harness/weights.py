"""How long cohorts take relative to each other, and a share of one; torch-free."""

from collections.abc import Sequence
from typing import Final

from harness.plan import PlannedRun

TRAINING_SHARE: Final = 0.9
"""Share of a cohort's time before its final scores."""
PER_STEP_RUNS: Final = 64.0
"""Weight of the fixed cost of an update: small batches take more updates."""


def weight(runs: Sequence[PlannedRun]) -> float:
    """Return the relative length of a cohort: its updates, with a share a run.

    Example:
        Two runs of 5 epochs with batches of 32 weigh 5 * (2 + 64 / 32) = 20.
    """
    config = runs[0].config
    return config.epochs * (len(runs) + PER_STEP_RUNS / config.batch_size)


def share_done(step: int, num_steps: int) -> float:
    """Return the share of a cohort's time that went by, 0 to `TRAINING_SHARE`.

    Example:
        >>> share_done(50, 100), share_done(0, 0)
        (0.45, 0.0)
    """
    return TRAINING_SHARE * min(1.0, step / num_steps) if num_steps > 0 else 0.0
