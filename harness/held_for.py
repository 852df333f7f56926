"""For whom a driver holds claims: for workers that do not see the corpus folder.

A claim names who holds it. A note of the driver, which goes with it, names the workers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from harness.storage import TEMPORARY_PREFIX, write_text

_PREFIX: Final = f"{TEMPORARY_PREFIX}ray-"


class Process(NamedTuple):
    """A process of a machine."""

    host: str
    """Name of the machine."""
    pid: int
    """The process there."""


class Held(NamedTuple):
    """A claim on a cohort."""

    cohort: str
    """Its id."""
    holder: Process
    """Whom the claim names."""


def note_path(folder: Path, driver: str) -> Path:
    """Return where a driver's note is; it is swept if the driver does not remove it.

    Args:
        folder: The corpus folder.
        driver: What no other driver is called.
    """
    return folder / "leases" / f"{_PREFIX}{driver}"


def write(note: Path, holder: Process, workers: Mapping[str, Process]) -> None:
    """Write a driver's note.

    Args:
        note: Of `note_path`.
        holder: The driver.
        workers: Who works for it, by cohort.

    Raises:
        StorageError: It could not be written.
    """
    write_text(note, json.dumps({"holder": holder, "workers": dict(workers)}))


def read(folder: Path) -> dict[Held, Process]:
    """Return for whom claims are held; notes that cannot be read tell nothing."""
    found = {}
    for path in (folder / "leases").glob(f"{_PREFIX}*"):
        try:
            if not path.is_file():
                continue
            told = json.loads(path.read_text(encoding="utf-8"))
            holder = _process(*told["holder"])
            for cohort, worker in told["workers"].items():
                found[Held(cohort, holder)] = _process(*worker)
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            continue
    return found


def _process(host: object, pid: int) -> Process:
    return Process(str(host), int(pid))
