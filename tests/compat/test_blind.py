"""A blind release is as readable as any other."""

from pathlib import Path

import mlcroissant as mlc
import pyarrow.parquet as pq
import pytest

from harness.corpus import Corpus
from harness.manifest import HIDDEN_TABLES, TABLES, read_manifest
from harness.release.card import card_text
from harness.release.columns import describe
from harness.release.croissant import croissant_text
from harness.release.facts import gather_facts
from tests.compat.conftest import NOTES
from tests.compat.reader import digest
from tests.compat.test_datasets import read, tables
from tests.tasks.blind.making import distinct, release
from tests.tasks.full_corpus import build_full


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blind release with its card and metadata."""
    scratch = tmp_path_factory.mktemp("blind")
    folder = release(build_full(scratch / "whole", distinct), scratch).folder
    (folder / "README.md").write_text(
        card_text(gather_facts(Corpus.open(folder)), NOTES)
    )
    text = croissant_text(folder, read_manifest(folder), NOTES)
    (folder / "croissant.json").write_text(text)
    return folder


@pytest.mark.slow
def test_every_column_of_it_is_described(hidden):
    found = {
        (table, name): describe(table, name)
        for table in (*TABLES, *HIDDEN_TABLES)
        for path in (hidden / table).glob("*.parquet")
        for name in pq.read_schema(path).names
    }
    assert {table for table, _ in found} == {*TABLES, *HIDDEN_TABLES}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
def test_mlcroissant_reads_every_row_of_the_hidden_tables(hidden):
    rows = read_manifest(hidden)["rows"]
    dataset = mlc.Dataset(str(hidden / "croissant.json"))
    assert not dataset.metadata.ctx.issues.warnings
    for table in HIDDEN_TABLES:
        assert len(list(dataset.records(table))) == rows[table] > 0


@pytest.mark.slow
def test_datasets_reads_every_cell_of_it(python, hidden, scrubbed, tmp_path):
    found = read(python, scrubbed | {"HF_HOME": str(tmp_path)}, str(hidden))
    expected = tables(hidden)
    assert set(HIDDEN_TABLES) <= set(expected) == set(found["configs"])
    for name, table in expected.items():
        assert found["configs"][name]["whole"] == digest(table.to_pylist())
        assert found["configs"][name]["streamed"] == digest(table.to_pylist())
