"""A corpus of synthetic runs with replicates, divergence and a failure."""

from pathlib import Path

import numpy as np
import pytest

from harness.corpus import Corpus
from harness.publish import build
from tasks.question import Answers
from tests.harness.conftest import record
from tests.tasks.by_hand import truths
from tests.tasks.full_corpus import build_full


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Six families of three seeds; one run diverged, one failed."""
    folder: Path = tmp_path_factory.mktemp("tasks") / "corpus"
    factors = [
        (optimizer, rate, seed)
        for optimizer in ("sgd", "adamw")
        for rate in (0.1, 0.3, 1.0)
        for seed in range(3)
    ]
    for number, (optimizer, rate, seed) in enumerate(factors):
        status = {4: "diverged", 7: "failed"}.get(number, "completed")
        record(seed, status=status, optimizer=optimizer, lr=rate).save(
            folder / "shards"
        )
    build(folder, name="tasks-corpus", grids={})
    return Corpus.open(folder)


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A corpus of which every task can be asked."""
    return build_full(tmp_path_factory.mktemp("everything") / "corpus")


@pytest.fixture(scope="session")
def some() -> Answers:
    """The truth about thirty families of three."""
    random = np.random.default_rng(0)
    mean = np.repeat(random.normal(size=30), 3)
    return truths(mean + 0.3 * random.normal(size=90), np.repeat(np.arange(30), 3))
