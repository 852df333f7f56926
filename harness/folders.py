"""Where this user's machine keeps what can be made again."""

import os
from pathlib import Path
from typing import Final

CACHE_DIR_VARIABLE: Final = "RUNCAST_CACHE_DIR"


def cache_folder() -> Path:
    """Return the cache: RUNCAST_CACHE_DIR, or `runcast` in the user's cache folder.

    The latter is XDG_CACHE_HOME or ~/.cache on every system, as torch and the Hub's
    client have it.
    """
    if named := os.environ.get(CACHE_DIR_VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runcast"
