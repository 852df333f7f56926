"""Where data sets are read from and where their decoded copies are kept."""

import os
from pathlib import Path
from typing import Final

from harness.datasets.base import Source
from harness.errors import DataError
from harness.folders import cache_folder

DATA_DIR_VARIABLE: Final = "RUNCAST_DATA_DIR"
"""Environment variable naming the local mirror; the option --data-dir goes first."""


def find_source(data_dir: Path | None = None) -> Source:
    """Return the source named by the argument, the environment or the platform.

    Args:
        data_dir: Local mirror laid out like the Hub's repositories: a folder
            `<set name>` or `<owner>/<repository>` for each set. None: the folder in
            RUNCAST_DATA_DIR, and without it the Hub alone.

    Returns:
        The mirror, and the cache: RUNCAST_CACHE_DIR or the user's cache folder.

    Raises:
        DataError: The mirror is not a folder.
    """
    named = os.environ.get(DATA_DIR_VARIABLE)
    if data_dir is None and named:
        data_dir = Path(named)
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(
            f"the local mirror {data_dir} is not a folder: mend --data-dir or "
            f"{DATA_DIR_VARIABLE}, or leave both out to read from the Hub"
        )
    return Source(data_dir=data_dir, cache_dir=cache_folder())
