"""A synthetic corpus and a blind release of it, made once."""

import pytest

from harness.corpus import Corpus
from tasks.blind.release import Result
from tests.tasks.blind.making import made_below, whole_below


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """24 families of two seeds, of which every task can be asked."""
    return whole_below(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Sixteen families hidden in two windows; not to be changed."""
    return made_below(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def blind(made: Result) -> Corpus:
    """The public corpus of it."""
    return Corpus.open(made.folder)
