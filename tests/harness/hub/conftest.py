"""A small release, and Hubs on loopback that it can be published to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.corpus import Corpus
from harness.hub.package import Package
from tests.harness.hub.small import small_release
from tests.hub.client import pointed_at
from tests.hub.server import Hub


@pytest.fixture(scope="session")
def release(built_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released corpus without pictures, not to be changed."""
    folder = tmp_path_factory.mktemp("release") / "corpus"
    return small_release(Corpus.open(built_folder), folder)


@pytest.fixture
def package(release: Path) -> Package:
    """What is uploaded of it."""
    return Package.of_release(release)


@pytest.fixture(params=[False, True], ids=["lfs", "xet"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    """A Hub that this process's client speaks to."""
    with (
        Hub(tmp_path / "hub", xet=request.param) as found,
        pointed_at(found, tmp_path / "home"),
    ):
        yield found
