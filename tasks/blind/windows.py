"""The windows of a blind corpus: a hidden run is shown through one of them only.

A run that served two tasks of different visibility would answer the earlier of them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from harness.early.curves import RATE
from tasks.base import Task, Visibility

LOSSES: Final = "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is shown of some hidden runs, and the tasks that share them."""

    name: str
    """Such as "w20", "w20-rates" or "w100-losses"."""
    visibility: Visibility
    """What is shown."""
    tasks: tuple[str, ...]
    """Names of the tasks, sorted."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        seen = dataclasses.asdict(self.visibility)
        return {"tasks": list(self.tasks)} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in seen.items()
        }

    @classmethod
    def from_json(cls, name: str, data: Mapping[str, Any]) -> Self:
        """Rebuild it from `to_json`."""
        seen: dict[str, Any] = {
            field.name: tuple(value) if isinstance(value, list) else value
            for field in dataclasses.fields(Visibility)
            for value in [data[field.name]]
        }
        return cls(name=name, visibility=Visibility(**seen), tasks=tuple(data["tasks"]))


def windows_of(tasks: Sequence[Task]) -> tuple[Window, ...]:
    """Return the distinct visibilities of tasks as windows, sorted by name.

    A name tells the share of the steps and, where less or more than all signals and
    settings is shown, what: "rates" as planned, "losses" or "curves" without settings,
    "finals" that are given. Of equal names the second ends in "-2".

    Args:
        tasks: The tasks that runs are hidden for.

    Example:
        >>> from tasks.base import TASKS
        >>> tasks = [TASKS.get(name)() for name in ("curve/w20", "prune/w20")]
        >>> [window.name for window in windows_of(tasks)]
        ['w20', 'w20-rates']
    """
    groups: dict[Visibility, list[str]] = {}
    for task in sorted(tasks, key=lambda task: task.name):
        groups.setdefault(task.visibility, []).append(task.name)
    found: dict[str, Window] = {}
    for visibility, names in groups.items():
        name = first = _name(visibility)
        count = 1
        while name in found:
            count += 1
            name = f"{first}-{count}"
        found[name] = Window(name=name, visibility=visibility, tasks=tuple(names))
    return tuple(found[name] for name in sorted(found))


def _name(seen: Visibility) -> str:
    """Return the name that a visibility would have alone."""
    parts = [f"w{round(100 * seen.until, 6):02g}"]
    if seen.planned_rate:
        parts.append("rates")
    elif seen.signals is not None:
        losses = all(LOSSES in name for name in seen.signals if name != RATE)
        parts.append("losses" if losses else "curves")
    elif not seen.settings:
        parts.append("curves")
    if seen.finals:
        parts.append("finals")
    return "-".join(parts)
