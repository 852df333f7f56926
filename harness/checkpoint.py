"""The state of a cohort in the middle of training, so that a crash costs minutes.

Every random number is derived from (seed, epoch, step), so tensors and the step are
all there is to keep. Two generations are kept; a damaged one is detected and skipped.
Where memory is short, parts of a cohort train one after the other, and each has files
of its own: `<cohort>-r-<digest>.pt`.
"""

import hashlib
import io
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch

from harness.digested import read_digested, with_digest
from harness.errors import CorpusError
from harness.storage import remove, replacing

_log = logging.getLogger(__name__)


class CheckpointFile:
    """The two latest checkpoints of runs that train together, the older `.old.pt`.

    Args:
        folder: Where they lie.
        cohort_id: Cohort of the runs.
        part: Ids of the runs, where others of the cohort train apart from them: they
            go on from whichever checkpoint of the cohort holds them and is farthest.
        on_saved: Called with the step of a checkpoint once it is safe.
        on_loaded: Called with the step of a checkpoint that training goes on from.
    """

    def __init__(
        self,
        folder: Path,
        cohort_id: str,
        part: Collection[str] = (),
        *,
        on_saved: Callable[[int], None] = lambda step: None,
        on_loaded: Callable[[int], None] = lambda step: None,
    ) -> None:
        self._folder, self._cohort, self._part = folder, cohort_id, frozenset(part)
        digest = hashlib.blake2b(",".join(sorted(part)).encode(), digest_size=10)
        self._stem = f"{cohort_id}-r-{digest.hexdigest()}" if part else cohort_id
        self._on_saved, self._on_loaded = on_saved, on_loaded

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` (tensors and plain values); the latest becomes the previous.

        Raises:
            StorageError: It could not be written; both generations are as they were.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        latest, previous = _generations(self._folder, self._stem)
        with replacing(latest, keep=previous) as temporary:
            temporary.write_bytes(with_digest(buffer.getvalue()))
        self._on_saved(state["step"])

    def load(
        self, fits: Callable[[dict[str, Any]], bool] = lambda state: True
    ) -> dict[str, Any] | None:
        """Return the undamaged state that is farthest, on the CPU, or None.

        Args:
            fits: Tells whether training can go on from a state; the next is tried else.
        """
        found = _newest(self._folder, self._stem, fits)
        for stem in self._others():
            state = _newest(
                self._folder, stem, lambda s: self._part <= {*s["ids"]} and fits(s)
            )
            if state and (found is None or state["step"] > found["step"]):
                found = state
        if found is not None:
            self._on_loaded(found["step"])
        return found

    def discard(self) -> None:
        """Remove both generations.

        Raises:
            StorageError: One could not be removed.
        """
        for path in _generations(self._folder, self._stem):
            remove(path)

    def _others(self) -> list[str]:
        """Return the names of checkpoints that may hold the runs of a part too."""
        stems = _stems(self._folder, self._cohort) if self._part else []
        return [stem for stem in stems if stem != self._stem]


def kept_parts(folder: Path, cohort_id: str) -> list[frozenset[str]]:
    """Return the ids of the runs of each part of a cohort that has a checkpoint.

    The smallest come first. A run may be in several: parts are split and never joined,
    so the smallest is the latest to have trained.

    Args:
        folder: Where the checkpoints lie.
        cohort_id: The cohort.
    """
    stems = (stem for stem in _stems(folder, cohort_id) if stem != cohort_id)
    states = (_newest(folder, stem, lambda state: True) for stem in stems)
    parts = {frozenset(state["ids"]) for state in states if state is not None}
    return sorted(parts, key=lambda ids: (len(ids), sorted(ids)))


def discard_all(folder: Path, cohort_id: str) -> None:
    """Remove the checkpoints of a cohort and of its parts.

    Args:
        folder: Where they lie.
        cohort_id: The cohort.

    Raises:
        StorageError: One could not be removed.
    """
    for stem in _stems(folder, cohort_id):
        for path in _generations(folder, stem):
            remove(path)


def _stems(folder: Path, cohort_id: str) -> list[str]:
    """Return the names of the checkpoints of a cohort and of its parts."""
    paths = [*_generations(folder, cohort_id), *folder.glob(f"{cohort_id}-r-*.pt")]
    return sorted({path.name.partition(".")[0] for path in paths})


def _generations(folder: Path, stem: str) -> tuple[Path, Path]:
    """Return where the latest checkpoint is and the one before it."""
    return folder / f"{stem}.pt", folder / f"{stem}.old.pt"


def _newest(
    folder: Path, stem: str, fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    """Return the newer of two generations that is undamaged and fits."""
    for path in _generations(folder, stem):
        state = _read(path)
        if state is not None and fits(state):
            return state
    return None


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
