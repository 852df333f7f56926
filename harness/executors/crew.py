"""Who is to train: what every executor needs to know."""

from dataclasses import dataclass
from pathlib import Path

from harness.datasets import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Workers for one corpus folder."""

    folder: Path
    """Corpus folder with its plan."""
    source: Source
    """Where the workers find their data."""
    devices: tuple[str, ...]
    """Devices, shared out among the workers in turn."""
    jobs: int
    """Number of workers."""
    threads: int = 1
    """Threads of a worker on a processor; part of what fixes the bits."""
    timeout_s: float | None = None
    """Silence in seconds after which a local worker is killed; None: never."""
