"""What an out-of-distribution set is to the harness: cells that are loaded one by one.

A set of corruptions at five severities may hold 950,000 images; a cell holds those of
one corruption and severity and hands them out only when they are to be evaluated.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.datasets.base import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class OodCell:
    """One set, corruption and severity: the unit in which results are recorded."""

    set_name: str
    """Name of the set as recorded, such as "digits-corrupted" or "cifar10.1-v6"."""
    corruption: str
    """Name of the corruption, "none" for a natural shift."""
    severity: int
    """1 (mild) to 5 (strong), 0 for a natural shift."""
    load: Callable[[], Split]
    """Returns uint8 `[num_examples, channels, height, width]` and int64 labels."""
    sha256: str = ""
    """SHA-256 of the files that inputs come from, "" where they are generated."""
