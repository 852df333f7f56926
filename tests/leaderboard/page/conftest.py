"""A built sample site, served below a path as on GitHub Pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboard.page.render import render_site
from tests.leaderboard.page.sample import make_arguments

BASE = "some/base"
"""The site lives below a path, as on GitHub Pages."""


@pytest.fixture(scope="session")
def arguments() -> Any:
    """What `render_site` is given for the sample."""
    return make_arguments()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, arguments: Any) -> Path:
    """Folder of the sample site."""
    out = tmp_path_factory.mktemp("page") / BASE
    render_site(out, **arguments)
    return out


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the sample site is served."""
    from tests.leaderboard.page.browser import served

    with served(site.parents[1]) as host:
        yield f"{host}/{BASE}/index.html"


@pytest.fixture
def wide(browser: Any, address: str) -> Iterator[Any]:
    """A page as wide as a laptop."""
    from tests.leaderboard.page.browser import opened

    with opened(browser, address) as it:
        yield it
