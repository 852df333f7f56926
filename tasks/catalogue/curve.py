"""The rest of the training loss, given the learning rates that are planned."""

from harness.spec import Part
from tasks.base import FOLDS, Task, Visibility, declare

SPLITS = {
    "curve/w20": FOLDS,
    "curve/w20/sched=step": Part(
        "held_out_level", {"column": "schedule.name", "level": "step"}
    ),
}

for name, split in SPLITS.items():
    new = ", under a schedule never seen in training" if split != FOLDS else ""
    declare(
        Task(
            name=name,
            version="1",
            question="What is the mean training loss of every epoch after 20 % of the "
            f"run, given the planned learning rates{new}?",
            kind="curve",
            target=Part("remaining_curve", {"after": 0.2}),
            unit="nat",
            visibility=Visibility(
                until=0.2,
                signals=("train_loss", "lr"),
                settings=False,
                planned_rate=True,
            ),
            split=split,
            metrics=("curve_error",),
            reference="last_value",
            requires=("train_loss",),
        )
    )
