"""Decoded arrays on disk: absent, or whole and checksummed.

A cache entry is a folder of .npy files and a manifest of their SHA-256, renamed into
place when complete. Data sets read through it, so that decoding happens once a machine.
"""

import contextlib
import hashlib
import json
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.datasets.base import Array
from harness.errors import StorageError
from harness.spec import canonical_json
from harness.storage import replacing, sha256_of, write_text

FORMAT: Final = 1
"""Version of the entry's layout and of the decoding; part of every key."""
ABANDONED_S: Final = 86_400.0
"""Age in seconds after which a half-built entry is a crash's and is removed."""
_BUILDING: Final = ".building-"
_MANIFEST: Final = "manifest.json"
_DAMAGE: Final = (OSError, ValueError, KeyError, TypeError, AttributeError)

logger = logging.getLogger(__name__)


def cached(
    cache_dir: Path,
    name: str,
    identity: Mapping[str, Any],
    build: Callable[[], Mapping[str, Array]],
) -> dict[str, Array]:
    """Return the arrays that `build` makes, from the cache where it holds them.

    Safe against crashes and concurrent callers: each builds in a folder of its own, one
    rename wins and the others discard theirs. A damaged entry is reported through
    `logging`, removed and built anew.

    Args:
        cache_dir: Folder of all entries.
        name: Readable start of the entry's name.
        identity: Plain data that changes whenever the arrays may; kept in the manifest.
        build: Makes the arrays; called on a miss only.

    Returns:
        The arrays by name: just built, or verified against their SHA-256.

    Raises:
        StorageError: The cache cannot be written.
    """
    text = canonical_json({"format": FORMAT, **identity})
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    entry = cache_dir / f"{name}-{key}"
    if entry.exists():
        try:
            return _read(entry)
        except _DAMAGE as error:
            logger.warning("%s is damaged (%s): building it anew", entry, error)
    arrays = dict(build())
    try:
        _install(entry, arrays, identity)
    except OSError as error:
        raise StorageError(
            f"cannot write the cache entry {entry}: {error.strerror or error}; make "
            "room or mend the permissions, or name another folder in RUNCAST_CACHE_DIR"
        ) from error
    return arrays


def _read(entry: Path) -> dict[str, Array]:
    """Load every array, each from the very file that was verified."""
    manifest = json.loads((entry / _MANIFEST).read_text(encoding="utf-8"))
    arrays: dict[str, Array] = {}
    for name, expected in manifest["sha256"].items():
        with (entry / f"{name}.npy").open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                raise ValueError(f"{name}.npy has another checksum than its manifest")
            file.seek(0)
            arrays[name] = np.load(file)
    return arrays


def _install(
    entry: Path, arrays: Mapping[str, Array], identity: Mapping[str, Any]
) -> None:
    """Write a complete entry beside `entry` and rename it; an intact one stays."""
    building = entry.parent / f"{_BUILDING}{uuid.uuid4().hex}"
    building.mkdir(parents=True)
    try:
        _sweep(entry.parent)
        sha256 = {}
        for name, array in arrays.items():
            with replacing(building / f"{name}.npy") as path, path.open("wb") as file:
                np.save(file, array)
            sha256[name] = sha256_of(building / f"{name}.npy")
        manifest = {"format": FORMAT, "identity": identity, "sha256": sha256}
        write_text(building / _MANIFEST, json.dumps(manifest, indent=1))
        if not _is_intact(entry):
            _remove(entry)
            try:
                building.rename(entry)
            except OSError:
                if not entry.exists():  # else a concurrent builder came first
                    raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _is_intact(entry: Path) -> bool:
    try:
        return bool(_read(entry))
    except _DAMAGE:
        return False


def _remove(entry: Path) -> None:
    """Move an entry out of the way in one step, then delete it."""
    aside = entry.parent / f"{_BUILDING}{uuid.uuid4().hex}"
    with contextlib.suppress(FileNotFoundError):
        entry.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _sweep(cache_dir: Path) -> None:
    """Remove what crashed builders left."""
    for left in cache_dir.glob(f"{_BUILDING}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
