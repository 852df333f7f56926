"""A released corpus, the Hub that has it, and an environment with old readers."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.release.card import card_text
from harness.release.facts import gather_facts
from harness.release.notes import Change, Notes
from tests.compat.placing import place
from tests.hub.server import Hub
from tests.tasks.full_corpus import build_full

NOTES = Notes(
    version="1.0.0",
    released="2026-11-20",
    changes=(Change(version="1.0.0", released="2026-11-20", text="First release."),),
)
REPO, TAG = "lab/corpus", "v1.0.0"


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables and card of 48 runs: one diverged, which is NaN; one failed, all null."""
    corpus = build_full(tmp_path_factory.mktemp("compat") / "corpus")
    text = card_text(gather_facts(corpus), NOTES)
    (corpus.folder / "README.md").write_text(text)
    shutil.rmtree(corpus.folder / "shards")
    return corpus.folder


@pytest.fixture
def hub(release: Path, tmp_path: Path) -> Iterator[Hub]:
    """A running Hub, without Xet, that has the release as lab/corpus at v1.0.0."""
    with Hub(tmp_path / "hub", xet=False) as running:
        place(running, REPO, release, TAG)
        yield running


@pytest.fixture(
    params=["this", pytest.param("old", marks=pytest.mark.slow)],
)
def python(request: pytest.FixtureRequest) -> Path:
    """Python with the readers of this environment, and one with the old ones."""
    if request.param == "this":
        return Path(sys.executable)
    return Path(request.getfixturevalue("old_python"))


@pytest.fixture
def scrubbed() -> dict[str, str]:
    """The environment without what points a client of the Hub anywhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return kept | {"USE_TORCH": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
