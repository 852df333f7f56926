"""Who is to train: what every executor needs to know."""

from dataclasses import dataclass
from pathlib import Path

from harness.datasets import Source
from harness.device import Setting


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
    execution: str = "auto"
    """How workers run their steps: a name that `harness.execution` knows."""
    packing: int | None = None
    """See `harness.device.Setting`."""
    deterministic: bool = False
    """See `harness.device.Setting`."""
    timeout_s: float | None = None
    """Silence in seconds after which a local worker is killed; None: never."""

    def setting(self, device: str) -> Setting:
        """Return how a worker on `device` trains."""
        return Setting(
            device=device,
            threads=self.threads,
            execution=self.execution,
            packing=self.packing,
            deterministic=self.deterministic,
        )
