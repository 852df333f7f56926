"""What the tests of the importers share: files of curves, and an import of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.corpus import Corpus
from harness.importers.convert import Request, import_corpus
from harness.importers.report import Report

HEADER = "run_id,signal,step,value"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes lines to a file."""

    def written(name: str, *lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
        return path

    return written


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., tuple[Corpus, Report]]:
    """A function that imports files and opens the corpus."""

    def loaded(*files: Path, format: str = "long", **options: Any):
        out = options.pop("out", tmp_path / "corpus")
        done = import_corpus(
            Request(files=list(files), format=format, out=out, **options)
        )
        return Corpus.open(out), done

    return loaded


@pytest.fixture
def curves_of() -> Callable[[Corpus], dict[tuple[str, str], dict[int, float]]]:
    """A function that returns all curves of a corpus, by given run id and signal."""

    def curves(corpus: Corpus) -> dict[tuple[str, str], dict[int, float]]:
        names = dict(corpus.runs(["run_id", "foreign.run"]).rows())
        found: dict[tuple[str, str], dict[int, float]] = {}
        for row in corpus.curves().sort("segment").iter_rows(named=True):
            pairs = zip(row["steps"], row["values"], strict=True)
            found.setdefault((names[row["run_id"]], row["signal"]), {}).update(pairs)
        return found

    return curves
