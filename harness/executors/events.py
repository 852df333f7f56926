"""What an executor tells the driver."""

import enum
from dataclasses import dataclass
from typing import Literal

from harness.executors.failure import Kind


class Outcome(enum.Enum):
    """How the work on a plan ended."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    NO_SPACE = "no-space"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a cohort."""

    kind: Literal["progress", "done", "retried", "failed", "interrupted", "no-space"]
    cohort: str
    """Cohort id."""
    share: float = 0.0
    """Share of its updates done, for `progress`."""
    statuses: tuple[str, ...] = ()
    """Statuses of the runs committed, for `done`."""
    error: str = ""
    """What went wrong."""
    reason: Kind | None = None
    """What kind of failure it was, for `retried` and `failed`."""
