"""A synthetic corpus and a blind release of it, made once."""

import pytest

from harness.corpus import Corpus
from tasks.blind.release import Result
from tests.tasks.blind.making import distinct, release
from tests.tasks.full_corpus import build_full


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """24 families of two seeds, of which every task can be asked."""
    return build_full(tmp_path_factory.mktemp("whole") / "corpus", distinct)


@pytest.fixture(scope="session")
def made(whole: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Sixteen families hidden in two windows; not to be changed."""
    return release(whole, tmp_path_factory.mktemp("blind"))


@pytest.fixture(scope="session")
def blind(made: Result) -> Corpus:
    """The public corpus of it."""
    return Corpus.open(made.folder)
