"""One Chromium for all tests of the page: a process can drive no second one."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, once for all tests."""
    from tests.leaderboard.page.browser import chromium

    with chromium() as running:
        yield running
