"""Which runs to stop after 20 % of their steps."""

from tasks.base import Task, Visibility, declare
from tasks.catalogue.final_accuracy import ACCURACY

declare(
    Task(
        name="prune/w20",
        version="1",
        question="Which runs can be stopped after 20 % of their steps without losing "
        "the best one?",
        kind="value",
        target=ACCURACY,
        unit="accuracy",
        visibility=Visibility(until=0.2),
        metrics=("compute_saved", "auc_bottom_half", "regret_at_k"),
        # a constant stops nothing, but luck and a bar set in hindsight save a good deal
        reference="random_order",
    )
)
