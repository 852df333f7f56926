"""Who works on a folder, for whom it was lost, and what was tried again; torch-free.

Clocks of machines differ. Ages are differences between times that one file system
noted: that of a claim or note, and that of a file made now in the same folder.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from harness import attempts
from harness.attempts import Attempt
from harness.held_for import Held, Process
from harness.lease import STALE_S, Claim
from harness.status.ended import Signature, listing
from harness.storage import TEMPORARY_PREFIX, time_in
from harness.weights import share_done

SILENT_S: Final = STALE_S
"""Seconds without a note of progress after which a worker is marked."""
_NUMBERS: Final = ("pid", "resumed_from", "step", "num_steps", "seconds", "saved_s")
_KEPT: Final = ("done", "interrupted")
"""Endings after which nothing is to be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A living worker; None is not known yet."""

    host: str
    """Its machine."""
    pid: int
    """Its process there."""
    cohort: str
    """The cohort that it holds."""
    device: str | None
    """What it trains on."""
    phase: str | None
    """"loading", "training" or "scoring"."""
    step: int | None
    """Updates completed."""
    num_steps: int | None
    """Updates planned; 0 while data are loaded."""
    share: float | None
    """Share of the cohort's time that went by, 0 to 1."""
    seconds: float | None
    """At work on this cohort."""
    heard_s: float
    """Since its last sign of life."""
    noted_s: float | None
    """Since it last noted how far it is."""
    is_silent: bool
    """Whether that was more than `SILENT_S` ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A claim whose holder is gone: killed, or its machine is."""

    host: str
    """Its machine."""
    pid: int
    """Its process there."""
    cohort: str
    """The cohort that the next start takes over."""
    device: str | None
    """What it trained on."""
    heard_s: float
    """Since its last sign of life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Attempts at a cohort that ended in one way on one device."""

    kind: str
    """Kind of failure; "killed" where nobody saw how it ended."""
    host: str
    """Its machine."""
    device: str
    """What it ran on there."""
    times: int
    """How often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A cohort that was started again after an attempt came to nothing."""

    cohort: str
    """Its id."""
    attempts: int
    """Times that it was started."""
    losses: tuple[Loss, ...]
    """How the earlier attempts ended."""
    lost_s: float
    """Seconds whose work was lost."""


class Noted(NamedTuple):
    """The attempts at a cohort, oldest first, and when they were last noted."""

    attempts: tuple[Attempt, ...]
    at: float
    """In seconds by the clock of the file system."""


class Notes:
    """Looks at the attempts of one folder again and again; each is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[Signature, Noted]] = {}

    def look(self) -> dict[str, Noted]:
        """Return the attempts at every cohort that was tried."""
        found = {}
        for name, seen in listing(self._folder / attempts.FOLDER).items():
            cohort = name.removesuffix(".json")
            if cohort == name or name.startswith(TEMPORARY_PREFIX):
                continue
            before = self._read.get(cohort)
            if before is None or before[0] != seen:
                tried = attempts.load(self._folder, cohort)
                tried = tried if all(map(_is_sound, tried)) else ()
                before = (seen, Noted(tried, seen[2] / 1e9))
            found[cohort] = before
        self._read = found
        return {cohort: noted for cohort, (_, noted) in found.items() if noted.attempts}


def _is_sound(attempt: Attempt) -> bool:
    """Tell whether what stands where a number is expected is one."""
    return all(isinstance(getattr(attempt, name), int | float) for name in _NUMBERS)


def claims(folder: Path) -> list[Claim]:
    """Return all claims in a corpus folder, by name."""
    found = (Claim.read(path) for path in sorted((folder / "leases").glob("*.lease")))
    return [claim for claim in found if claim is not None]


def now_for(folder: Path, seen: Iterable[float], *, held: bool) -> float:
    """Return what time it is for the files of a folder, in seconds.

    Where nothing may be written it is the clock of this machine, and not before the
    newest file.

    Args:
        folder: The corpus folder.
        seen: Times of its files.
        held: Whether there are claims to be judged: else nothing is written.
    """
    now = time_in(folder / "leases") if held else None
    return max([time.time(), *seen]) if now is None else now


def crew(
    held: Iterable[Claim],
    notes: Mapping[str, Noted],
    now: float,
    held_for: Mapping[Held, Process],
) -> tuple[tuple[Worker, ...], tuple[Gone, ...]]:
    """Return the living workers and those who are gone.

    Args:
        held: Claims on cohorts.
        notes: Attempts by cohort.
        now: What time it is by the clock of the file system.
        held_for: The workers for whom drivers hold claims.
    """
    workers, gone = [], []
    for claim in held:
        noted = notes.get(claim.name)
        holder = Process(claim.host, claim.pid)
        worker = held_for.get(Held(claim.name, holder), holder)
        mine = _last_of(worker, noted)
        heard = max(claim.heard, noted.at) if noted and mine else claim.heard
        heard_s = max(0.0, now - heard)
        if claim.is_gone(now):
            gone.append(
                Gone(
                    host=claim.host,
                    pid=claim.pid,
                    cohort=claim.name,
                    device=mine.device if mine else None,
                    heard_s=heard_s,
                )
            )
            continue
        noted_s = max(0.0, now - noted.at) if noted and mine else None
        workers.append(
            Worker(
                host=worker.host,
                pid=worker.pid,
                cohort=claim.name,
                device=mine.device if mine else None,
                phase=mine.phase if mine else None,
                step=mine.step if mine else None,
                num_steps=mine.num_steps if mine else None,
                share=share_done(mine.step, mine.num_steps) if mine else None,
                seconds=mine.seconds + (noted_s or 0.0) if mine else None,
                heard_s=heard_s,
                noted_s=noted_s,
                is_silent=noted_s is not None and noted_s > SILENT_S,
            )
        )
    return tuple(workers), tuple(gone)


def _last_of(worker: Process, noted: Noted | None) -> Attempt | None:
    """Return the attempt at which a worker is; None if it noted nothing yet."""
    last = noted.attempts[-1] if noted else None
    if last is None or last.ending is not None:
        return None
    return last if (last.host, last.pid) == worker else None


def retried(notes: Mapping[str, Noted]) -> tuple[Retried, ...]:
    """Return the cohorts that were started again after a loss, the dearest first."""
    found = []
    for cohort, (tried, _) in notes.items():
        lost = [one for one in tried[:-1] if one.ending not in _KEPT]
        if not lost:
            continue
        counts = Counter((one.ending or "killed", one.host, one.device) for one in lost)
        losses = tuple(
            Loss(kind=kind, host=host, device=device, times=times)
            for (kind, host, device), times in counts.items()
        )
        seconds = sum(one.lost_s for one in lost)
        found.append(
            Retried(cohort=cohort, attempts=len(tried), losses=losses, lost_s=seconds)
        )
    return tuple(sorted(found, key=lambda one: (-one.lost_s, one.cohort)))
