"""What became of every attempt at a cohort: `attempts/<cohort>.json`, torch-free.

Only who holds the cohort's lease writes. The last attempt tells how far living work is;
the others tell what was lost and why.
"""

import dataclasses
import json
import os
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from harness.lease import Lease
from harness.storage import write_text

FOLDER: Final = "attempts"
BEAT_S: Final = 5.0
"""Seconds between two notes of how far the work is."""

Phase = Literal["loading", "training", "scoring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One worker's work on a cohort, from its claim to its end."""

    host: str
    """Machine of the worker."""
    pid: int
    """Its process there."""
    device: str
    """Device that it trains on."""
    started: str
    """When, in UTC."""
    resumed_from: int = 0
    """Update that it went on from; 0: it began anew."""
    step: int = 0
    """Updates completed, those before it included."""
    num_steps: int = 0
    """Updates planned; 0 while data are loaded."""
    phase: Phase = "loading"
    """What it does."""
    seconds: float = 0.0
    """Worked up to the last note."""
    saved_s: float = 0.0
    """Of these, up to the last checkpoint: the rest is lost if it dies."""
    ending: str | None = None
    """None while it runs, and for ever if it died and nobody saw how; "done",
    "interrupted", "no-space" or a kind of failure."""
    error: str = ""
    """What went wrong."""

    @property
    def lost_s(self) -> float:
        """Seconds whose work was lost."""
        if self.ending in ("done", "interrupted"):
            return 0.0
        return max(0.0, self.seconds - self.saved_s)


def load(folder: Path, cohort_id: str) -> tuple[Attempt, ...]:
    """Return the attempts at a cohort, oldest first; none if nothing is known.

    Args:
        folder: The corpus folder.
        cohort_id: A cohort of its plan.
    """
    try:
        entries = json.loads(_path(folder, cohort_id).read_text(encoding="utf-8"))
        return tuple(Attempt(**entry) for entry in entries)
    except (OSError, ValueError, TypeError):
        return ()


def close(folder: Path, cohort_id: str, *, ending: str, error: str) -> None:
    """Note how an attempt ended whose worker cannot tell any more.

    Nothing is noted where another worker has taken over already.

    Args:
        folder: The corpus folder.
        cohort_id: A cohort of its plan.
        ending: A kind of failure.
        error: What is known.

    Raises:
        StorageError: It could not be written.
    """
    lease = Lease.acquire(folder / "leases", cohort_id)
    if lease is None:
        return
    with lease:
        *before, last = load(folder, cohort_id) or (None,)
        if last is not None and last.ending is None:
            last = dataclasses.replace(last, ending=ending, error=error)
            _write(folder, cohort_id, [*filter(None, before), last])


class Logbook:
    """The attempts at one cohort, kept by the worker that holds its lease.

    Raises:
        StorageError: The beginning could not be written, also from the other methods.
    """

    def __init__(self, folder: Path, cohort_id: str, *, device: str) -> None:
        self._folder, self._cohort = folder, cohort_id
        self.earlier = load(folder, cohort_id)
        self._start = self._written = time.monotonic()
        self._now = Attempt(
            host=socket.gethostname(),
            pid=os.getpid(),
            device=device,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._write()

    @property
    def lost_s(self) -> float:
        """Seconds whose work earlier attempts lost."""
        return sum(attempt.lost_s for attempt in self.earlier)

    def beat(self, phase: Phase, step: int = 0, num_steps: int = 0) -> None:
        """Note how far the work is, every `BEAT_S` seconds."""
        now = dataclasses.replace(
            self._now, phase=phase, step=step, num_steps=num_steps, seconds=self._worked
        )
        due = time.monotonic() - self._written > BEAT_S or phase != self._now.phase
        self._now = now
        if due:
            self._write()

    def resumed(self, step: int) -> None:
        """Note that the work goes on from a checkpoint."""
        self._now = dataclasses.replace(self._now, resumed_from=step)

    def saved(self, step: int) -> None:
        """Note that a checkpoint holds all work up to now, `step` updates."""
        worked = self._worked
        self._now = dataclasses.replace(
            self._now, step=step, seconds=worked, saved_s=worked
        )
        self._write()

    def end(self, ending: str, error: str = "") -> None:
        """Note the end."""
        self._now = dataclasses.replace(
            self._now, ending=ending, error=error, seconds=self._worked
        )
        self._write()

    @property
    def _worked(self) -> float:
        return round(time.monotonic() - self._start, 3)

    def _write(self) -> None:
        self._written = time.monotonic()
        _write(self._folder, self._cohort, [*self.earlier, self._now])


def _path(folder: Path, cohort_id: str) -> Path:
    return folder / FOLDER / f"{cohort_id}.json"


def _write(folder: Path, cohort_id: str, attempts: list[Attempt]) -> None:
    entries: list[dict[str, Any]] = [dataclasses.asdict(each) for each in attempts]
    write_text(_path(folder, cohort_id), json.dumps(entries, indent=1) + "\n")
