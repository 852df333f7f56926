"""What git tells of the checkout that this code lies in."""

import subprocess
from functools import cache
from pathlib import Path


@cache
def commit() -> str | None:
    """Return the commit of a source checkout, "-dirty" appended; None elsewhere."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    return _git(root, "describe", "--always", "--dirty", "--abbrev=12")


def day_of(path: Path) -> str | None:
    """Return the day on which a path was last committed; None if it never was.

    Args:
        path: A file or folder.
    """
    folder, name = path.resolve().parent, path.resolve().name
    return _git(folder, "log", "-1", "--format=%cs", "--", name) or None


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
