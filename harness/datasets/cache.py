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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.datasets.base import Array
from harness.errors import StorageError
from harness.lease import Lease
from harness.spec import canonical_json
from harness.storage import replacing, sha256_of, sweep, time_in, write_text

FORMAT: Final = 1
"""Version of the entry's layout and of the decoding; part of every key."""
ABANDONED_S: Final = 86_400.0
"""Age in seconds after which a half-built entry is a crash's and is removed."""
WAIT_S: Final = 600.0
"""Seconds to wait for another builder that lives; then the caller builds, too."""
POLL_S: Final = 0.1
"""Seconds between two looks at whether the other builder is done."""
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

    Of concurrent callers one builds and the others wait for it, on this machine and on
    others that share the folder; the work of a builder that died is taken over. Safety
    does not rest on that: each builds in a folder of its own, one rename wins and the
    others discard theirs. A damaged entry is reported through `logging`, removed and
    built anew.

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
    look = _Look(entry)
    if (found := look()) is not None:
        return found
    with _turn(entry, look.is_new):
        if (found := look()) is not None:
            return found
        arrays = dict(build())
        with _writing(entry):
            _install(entry, arrays, identity)
    return arrays


class _Look:
    """Reads an entry, each version of it once: a damaged one is reported once."""

    def __init__(self, entry: Path) -> None:
        self._entry = entry
        self._seen: tuple[int, int] | None = None

    def __call__(self) -> dict[str, Array] | None:
        """Return the arrays; None if there is no entry, or one known as damaged."""
        if not self.is_new():
            return None
        self._seen = _version(self._entry)
        try:
            return _read(self._entry)
        except _DAMAGE as error:
            logger.warning("%s is damaged (%s): building it anew", self._entry, error)
            return None

    def is_new(self) -> bool:
        """Tell whether there is an entry that was not looked at yet."""
        return _version(self._entry) not in (None, self._seen)


def _version(entry: Path) -> tuple[int, int] | None:
    """Return what tells an entry from the one that takes its place."""
    try:
        stat = entry.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


@contextlib.contextmanager
def _turn(entry: Path, appeared: Callable[[], bool]) -> Iterator[None]:
    """Wait until nobody who lives builds the entry, then hold the claim to it.

    Goes on without the claim where the entry `appeared` meanwhile, and after `WAIT_S`.
    """
    deadline = time.monotonic() + WAIT_S
    lease = None
    while not appeared():
        with _writing(entry):
            lease = Lease.acquire(entry.parent, f".{entry.name}")
        if lease is not None:
            break
        if time.monotonic() > deadline:
            logger.warning("%s is still being built elsewhere: building it too", entry)
            break
        time.sleep(POLL_S)
    with lease or contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _writing(entry: Path) -> Iterator[None]:
    """Say of a file that cannot be written how to mend it."""
    try:
        yield
    except (OSError, StorageError) as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        why = getattr(cause, "strerror", None) or error
        raise StorageError(
            f"cannot write the cache entry {entry}: {why}; make "
            "room or mend the permissions, or name another folder in RUNCAST_CACHE_DIR"
        ) from error


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
    """Remove what crashed builders left: half-built entries and claims."""
    sweep(cache_dir)
    found = [*cache_dir.glob(f"{_BUILDING}*"), *cache_dir.glob(".*.lease")]
    now = time_in(cache_dir) if found else None
    for left in found:
        with contextlib.suppress(OSError):  # another builder's sweep was faster
            if now is not None and now - left.stat().st_mtime > ABANDONED_S:
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
