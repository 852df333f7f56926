"""Who is to train: what every executor needs to know."""

import dataclasses
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
    setting: Setting
    """How they train, each on its own device."""
    timeout_s: float | None = None
    """Silence in seconds after which a worker is killed; None: never."""

    def on(self, device: str) -> Setting:
        """Return how a worker on `device` trains."""
        return dataclasses.replace(self.setting, device=device)
