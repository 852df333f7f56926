"""A small release, and Hubs on loopback that it can be published to."""

from pathlib import Path

import pytest

from harness.corpus import Corpus
from harness.hub.package import Package
from tests.harness.hub.small import small_release


@pytest.fixture(scope="session")
def release(built_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released corpus without pictures, not to be changed."""
    folder = tmp_path_factory.mktemp("release") / "corpus"
    return small_release(Corpus.open(built_folder), folder)


@pytest.fixture
def package(release: Path) -> Package:
    """What is uploaded of it."""
    return Package.of_release(release)
