"""The state of a cohort in the middle of training, so that a crash costs minutes.

Every random number is derived from (seed, epoch, step), so tensors and the step are
all there is to keep. Two generations are kept; a damaged one is detected and skipped.
"""

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import torch

from harness.storage import replacing

_log = logging.getLogger(__name__)
_DIGEST_BYTES = 32


class CheckpointFile:
    """The two latest checkpoints of one cohort, `<stem>.pt` and `<stem>.old.pt`."""

    def __init__(self, folder: Path, cohort_id: str) -> None:
        self._latest = folder / f"{cohort_id}.pt"
        self._previous = folder / f"{cohort_id}.old.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` (tensors and plain values); the latest becomes the previous."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        if self._latest.exists():
            self._latest.replace(self._previous)
        with replacing(self._latest) as temporary:
            temporary.write_bytes(hashlib.sha256(payload).digest() + payload)

    def load(self) -> dict[str, Any] | None:
        """Return the newest undamaged state on the CPU, or None."""
        for path in (self._latest, self._previous):
            if not path.exists():
                continue
            data = path.read_bytes()
            digest, payload = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
            if hashlib.sha256(payload).digest() != digest:
                _log.warning("checkpoint %s is damaged and is not used", path)
                continue
            state: dict[str, Any] = torch.load(
                io.BytesIO(payload), map_location="cpu", weights_only=True
            )
            return state
        return None

    def discard(self) -> None:
        """Remove both generations."""
        self._latest.unlink(missing_ok=True)
        self._previous.unlink(missing_ok=True)
