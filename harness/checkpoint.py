"""The state of a cohort in the middle of training, so that a crash costs minutes.

Every random number is derived from (seed, epoch, step), so tensors and the step are
all there is to keep. Two generations are kept; a damaged one is detected and skipped.
"""

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harness.digested import read_digested, with_digest
from harness.errors import CorpusError
from harness.storage import replacing

_log = logging.getLogger(__name__)


class CheckpointFile:
    """The two latest checkpoints of one cohort, `<stem>.pt` and `<stem>.old.pt`.

    Args:
        folder: Where they lie.
        stem: Name of the cohort.
        on_saved: Called with the step of a checkpoint once it is safe.
        on_loaded: Called with the step of a checkpoint that training goes on from.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        *,
        on_saved: Callable[[int], None] = lambda step: None,
        on_loaded: Callable[[int], None] = lambda step: None,
    ) -> None:
        self._latest = folder / f"{stem}.pt"
        self._previous = folder / f"{stem}.old.pt"
        self._on_saved, self._on_loaded = on_saved, on_loaded

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` (tensors and plain values); the latest becomes the previous.

        Raises:
            StorageError: It could not be written; both generations are as they were.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with replacing(self._latest, keep=self._previous) as temporary:
            temporary.write_bytes(with_digest(buffer.getvalue()))
        self._on_saved(state["step"])

    def load(
        self, fits: Callable[[dict[str, Any]], bool] = lambda state: True
    ) -> dict[str, Any] | None:
        """Return the newest undamaged state on the CPU, or None.

        Args:
            fits: Tells whether training can go on from a state; the next is tried else.
        """
        for path in (self._latest, self._previous):
            state = _read(path)
            if state is not None and fits(state):
                self._on_loaded(state["step"])
                return state
        return None

    def discard(self) -> None:
        """Remove both generations."""
        self._latest.unlink(missing_ok=True)
        self._previous.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        payload = read_digested(path)
    except CorpusError as error:
        _log.warning("checkpoint is not used: %s", error)
        return None
    state: dict[str, Any] = torch.load(
        io.BytesIO(payload), map_location="cpu", weights_only=True
    )
    return state
