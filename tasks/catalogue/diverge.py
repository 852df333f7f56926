"""Whether a run fails to learn, from 4 % of it."""

from harness.spec import Part
from tasks.base import Task, Visibility, declare

declare(
    Task(
        name="diverge/w04",
        version="1",
        question="Will the run diverge or end below 20 % test accuracy, seen 4 % of "
        "it?",
        kind="probability",
        target=Part("failed_to_learn", {"below": 0.2}),
        unit="probability",
        visibility=Visibility(until=0.04),
        metrics=("brier", "auprc", "auc"),
    )
)
