"""Corpora of every kind, built once."""

from collections.abc import Callable

import pytest

from harness.corpus import Corpus
from harness.release.facts import Facts, gather_facts
from tests.harness.release.kinds import make


@pytest.fixture(scope="session")
def corpus_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Corpus]:
    """A function that returns the corpus of a kind, see `kinds`."""
    made: dict[str, Corpus] = {}

    def corpus(kind: str) -> Corpus:
        if kind not in made:
            made[kind] = make(kind, tmp_path_factory.mktemp("kinds") / "folder")
        return made[kind]

    return corpus


@pytest.fixture(scope="session")
def facts_of(corpus_of: Callable[[str], Corpus]) -> Callable[[str], Facts]:
    """A function that returns the facts of the corpus of a kind."""
    return lambda kind: gather_facts(corpus_of(kind))
