"""What the seed alone decides: a run against its replicates."""

from harness.spec import Part
from tasks.base import Task, Visibility, declare

declare(
    Task(
        name="seed-residual/w20",
        version="1",
        question="How much more accurate does a run end than its replicates with other "
        "seeds, seen 20 % of it?",
        kind="value",
        target=Part("deviation", {"name": "final.test_accuracy"}),
        unit="accuracy",
        visibility=Visibility(until=0.2),
        # not r2 first: one run in a hundred that fails by chance decides it
        metrics=("mae", "r2", "spearman"),
        reference="zero",
    )
)
