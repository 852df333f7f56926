"""The final accuracy at a level of a factor that no training run has."""

from harness.spec import Part
from tasks.base import Task, Visibility, declare
from tasks.catalogue.final_accuracy import ACCURACY, METRICS

LEVELS = {
    "opt=lion": Part("held_out_level", {"column": "optimizer.name", "level": "lion"}),
    "bs=max": Part("held_out_level", {"column": "batch_size", "level": "max"}),
    "sched=step": Part("held_out_level", {"column": "schedule.name", "level": "step"}),
    "aug=randaug": Part(
        "held_out_level", {"column": "augmentation.name", "level": "randaugment"}
    ),
    "lr=max": Part(
        "held_out_top",
        {"column": "optimizer.lr", "within": ("optimizer.name", "batch_size")},
    ),
}

for name, split in LEVELS.items():
    declare(
        Task(
            name=f"shift/{name}",
            version="1",
            question=f"How accurate is a run with {name} in the end, seen 20 % of it, "
            "when no training run has this?",
            kind="value",
            target=ACCURACY,
            unit="accuracy",
            visibility=Visibility(until=0.2),
            split=split,
            metrics=METRICS,
        )
    )
