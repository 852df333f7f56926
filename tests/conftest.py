"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# Bits hold for a number of threads: one, as the workers have (before torch is loaded).
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository, in the Hub's layout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA
