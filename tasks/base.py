"""What a prediction task is: frozen data, from which everything else follows.

A task says what may be seen of a run (`Visibility`, the only source of it), what is
asked, how runs are divided, and how answers are scored.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness.registry import Registry
from harness.spec import Part

NAME: Final = re.compile(r"[a-z0-9-]+(/[a-z0-9=.-]+)*")
FOLDS: Final = Part("grouped_folds", {"folds": 5})
KINDS: Final = ("value", "probability", "curve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """What a predictor may see of a run. Nothing else reaches it."""

    until: float
    """Share of the run's steps up to which curves are shown, in (0, 1]."""
    signals: tuple[str, ...] | None = None
    """Recorded signals that are shown; None for all of the corpus's dictionary."""
    settings: bool = True
    """Whether the hyper-parameters are shown; never the seed."""
    planned_rate: bool = False
    """Whether the learning rates of the whole run are shown, as planned."""
    finals: tuple[str, ...] = ()
    """Columns of the table `runs` that are given although they come later."""

    def __post_init__(self) -> None:
        """Check the window."""
        if not 0 < self.until <= 1:
            raise ValueError(f"until is {self.until}, expected a share in (0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question about the runs of any corpus that has what it needs."""

    name: str
    """Such as "final-acc/w20"; lower case, parts divided by slashes."""
    version: str
    """Raised whenever scores stop being comparable; a released task never changes."""
    question: str
    """One sentence, with a question mark."""
    kind: str
    """"value": a number a run; "probability": one in [0, 1]; "curve": one an epoch."""
    target: Part
    """Registered target, see `tasks.targets`."""
    unit: str = "1"
    """Unit of the target: "accuracy" (a share of images), "ln nat", "epochs", ..."""
    visibility: Visibility
    """What is shown."""
    split: Part = FOLDS
    """How runs are divided, see `tasks.splits`."""
    metrics: tuple[str, ...]
    """Names in `tasks.metrics.table`, the primary one first."""
    reference: str = "median"
    """Predictor with skill 0; one that answers every run."""
    requires: tuple[str, ...] = ()
    """Recorded signals without which there is nothing to ask or nothing to see;
    `train_loss` means one value an update."""
    tolerance: float = 0.001
    """Regret that a decision may cost, in accuracy: .1 point."""
    rescored: tuple[str, ...] = ()
    """Earlier versions whose predictions answer this one, too: its scoring alone was
    mended, so that stored predictions are scored anew."""
    levels: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    """Quantile levels that a predictor may answer with."""

    def answered_by(self, version: str) -> bool:
        """Tell whether predictions that answer a version answer this one."""
        return version == self.version or version in self.rescored

    def __post_init__(self) -> None:
        """Check what would otherwise be found late."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"task name {self.name!r} is not of the form part/part")
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}, expected one of {KINDS}")
        if not self.question.endswith("?"):
            raise ValueError(f"task {self.name} asks {self.question!r}: no question")
        if not self.metrics:
            raise ValueError(f"task {self.name} has no metric")
        if list(self.levels) != sorted(set(self.levels)) or not all(
            0 < level < 1 for level in self.levels
        ):
            raise ValueError(f"levels are {self.levels}, expected ascending in (0, 1)")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance is {self.tolerance}, expected 0 or more")


TASKS: Final[Registry[Callable[[], Task]]] = Registry("task", "tasks.catalogue")
"""Functions without arguments that return a task, by the task's name."""


def declare(task: Task) -> None:
    """Register a task under its name.

    Raises:
        ValueError: The name is taken.
    """
    TASKS.register(task.name)(lambda: task)
