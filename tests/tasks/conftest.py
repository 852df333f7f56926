"""A corpus of synthetic runs with replicates, divergence and a failure."""

from pathlib import Path

import pytest

from harness.corpus import Corpus
from harness.publish import build
from tests.harness.conftest import record


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
