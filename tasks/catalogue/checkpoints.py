"""Which checkpoints need not be kept."""

from typing import Final

from harness.spec import Part
from tasks.base import Task, Visibility, declare

TOLERANCE: Final = 0.004
"""One of 256 validation images, the least that the digits' validation set can tell."""

declare(
    Task(
        name="ckpt-prune/w20",
        version="1",
        question="From which share of the run on must checkpoints be kept so that the "
        "best is among them, seen 20 % of it?",
        kind="value",
        target=Part("last_good_checkpoint", {"tolerance": TOLERANCE}),
        unit="share of steps",
        visibility=Visibility(until=0.2),
        metrics=("checkpoints_saved", "mae", "spearman"),
        requires=("val_accuracy",),
        tolerance=TOLERANCE,
    )
)
