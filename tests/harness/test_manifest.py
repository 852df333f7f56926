"""The manifest says what it is, and what to install to read it."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.manifest import (
    MANIFEST,
    data_sha256,
    manifest_text,
    parse_manifest,
    read_manifest,
)
from harness.schema import SCHEMA_VERSION


def rewritten(folder: Path, **fields: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text()) | fields
    (folder / MANIFEST).write_text(manifest_text(manifest))


@pytest.mark.parametrize(
    ("schema", "mend"),
    [
        ("2.0", r"pip install --upgrade 'runcast>=9\.1\.0'"),
        ("10.3", r"pip install --upgrade 'runcast>=9\.1\.0'"),
        ("0.9", r"pip install 'runcast==9\.1\.0'"),
    ],
)
def test_a_schema_of_another_major_version_says_what_to_install(
    corpus_folder, schema, mend
):
    rewritten(corpus_folder, schema_version=schema, runcast_version="9.1.0")
    with pytest.raises(
        CorpusError, match=rf"schema {schema}, this runcast .* `{mend}`"
    ):
        Corpus.open(corpus_folder)


def test_a_newer_minor_schema_is_read(corpus_folder):
    major = SCHEMA_VERSION.split(".")[0]
    rewritten(corpus_folder, schema_version=f"{major}.99")
    assert len(Corpus.open(corpus_folder).runs()) == 12


@pytest.mark.parametrize("key", ["name", "version", "files", "rows", "grids"])
def test_what_is_no_manifest_of_a_corpus_is_named(corpus_folder, key):
    rewritten(corpus_folder, **{key: 5})
    with pytest.raises(CorpusError, match=rf"has no \w+ '{key}': it is no manifest"):
        read_manifest(corpus_folder)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000, b"[]", b"{}", b"nan"])
def test_bytes_that_are_no_manifest_are_refused(data):
    with pytest.raises(CorpusError, match=r"x/corpus.json (is damaged|differs)"):
        parse_manifest(data, "x/corpus.json")


def test_the_digest_of_the_data_is_that_of_the_tables_alone(corpus_folder):
    before = read_manifest(corpus_folder)
    entry = {"sha256": "0" * 64, "bytes": 1}
    files = before["files"]
    rewritten(corpus_folder, files=files | {"README.md": entry}, version="2.0.0")
    assert data_sha256(read_manifest(corpus_folder)) == data_sha256(before)
    rewritten(corpus_folder, files=files | {"ood/part-00000.parquet": entry})
    assert data_sha256(read_manifest(corpus_folder)) != data_sha256(before)
