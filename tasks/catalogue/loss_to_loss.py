"""From a run's whole training loss to another loss, where training goes lowest."""

from harness.spec import Part
from tasks.base import Task, Visibility, declare
from tasks.catalogue.ood_accuracy import SETS

TARGETS = {"val": Part("column", {"name": "final.validation_loss", "log": True})} | {
    name: Part("ood_loss", {"name": name, "log": True}) for name in SETS
}

for name, target in TARGETS.items():
    where = "validation images" if name == "val" else name
    declare(
        Task(
            name=f"loss2loss/{name}",
            version="1",
            question=f"What is the ln loss on {where} of the runs that train lowest, "
            "seen their whole training loss and all losses of the others?",
            kind="value",
            target=target,
            unit="ln nat",
            visibility=Visibility(
                until=1.0,
                signals=("train_loss", "train_loss_eval", "lr"),
                settings=False,
            ),
            split=Part("lowest"),
            metrics=("mae", "rmse", "r2", "spearman"),
            reference="median",
            requires=("train_loss",),
        )
    )
