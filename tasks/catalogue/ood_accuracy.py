"""How accurate a run ends on shifted images, from 20 % of it."""

from typing import Final

from harness.spec import Part
from tasks.base import Task, Visibility, declare
from tasks.catalogue.final_accuracy import METRICS

SETS: Final = (
    "digits-corrupted",
    "mnist-8",
    "cifar10-corrupted",
    "cifar10-c",
    "cifar10.1-v6",
    "cinic10",
)
"""Out-of-distribution sets that the profiles' data sets have."""

for name in SETS:
    declare(
        Task(
            name=f"ood-acc/{name}/w20",
            version="1",
            question=f"How accurate on {name} is a run in the end, seen 20 % of it?",
            kind="value",
            target=Part("column", {"name": f"ood.{name}_accuracy"}),
            unit="accuracy",
            visibility=Visibility(until=0.2),
            metrics=METRICS,
            reference="accuracy_on_the_line",
            requires=("val_accuracy",),
        )
    )
