"""Where this user's machine keeps what can be made again."""

import os
from pathlib import Path
from typing import Final

import platformdirs

CACHE_DIR_VARIABLE: Final = "RUNCAST_CACHE_DIR"


def cache_folder() -> Path:
    """Return the cache: RUNCAST_CACHE_DIR, or the user's cache folder."""
    named = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("runcast")
