"""How accurate a run ends, from 4, 10, 20 or 50 % of it."""

from typing import Final

from harness.spec import Part
from tasks.base import Task, Visibility, declare

ACCURACY: Final = Part("column", {"name": "final.test_accuracy"})
METRICS: Final = ("mae", "rmse", "r2", "spearman", "kendall", "crps", "coverage")
"""Of forecasts of an accuracy, the primary one first."""

for percent in (4, 10, 20, 50):
    declare(
        Task(
            name=f"final-acc/w{percent:02d}",
            version="1",
            question=f"How accurate on test images is a run in the end, seen {percent} "
            "% of it?",
            kind="value",
            target=ACCURACY,
            unit="accuracy",
            visibility=Visibility(until=percent / 100),
            metrics=METRICS,
        )
    )
