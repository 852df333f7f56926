"""Which of two runs ends more accurate."""

from tasks.base import Task, Visibility, declare
from tasks.catalogue.final_accuracy import ACCURACY

declare(
    Task(
        name="rank/pairs/w20",
        version="1",
        question="Which of two runs ends more accurate, where they differ by more than "
        "two standard deviations between seeds, seen 20 % of both?",
        kind="value",
        target=ACCURACY,
        unit="accuracy",
        visibility=Visibility(until=0.2),
        metrics=("pairwise_accuracy", "kendall", "spearman"),
    )
)
