"""The validation loss at the end, from the early training loss alone."""

from harness.spec import Part
from tasks.base import Task, Visibility, declare

declare(
    Task(
        name="final-valce/w30",
        version="1",
        question="What is ln validation loss in the end, seen nothing but 30 % of the "
        "training loss and its learning rate?",
        kind="value",
        target=Part("column", {"name": "final.validation_loss", "log": True}),
        unit="ln nat",
        visibility=Visibility(until=0.3, signals=("train_loss", "lr"), settings=False),
        metrics=("mae", "rmse", "r2", "spearman", "kendall", "crps", "coverage"),
        requires=("train_loss",),
    )
)
