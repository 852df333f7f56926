"""LICENSE, CITATION.cff and the entry for BibTeX say the same."""

import re

import pytest
import yaml

from harness.release.licence import (
    LICENCES,
    bibtex_entry,
    citation_text,
    licence_of,
    licence_text,
)
from tests.harness.release.kinds import KINDS, notes

REQUIRED = {"cff-version", "message", "title", "authors"}
"""Fields that format 1.2.0 of the Citation File Format asks for."""


@pytest.mark.parametrize("licence", sorted(LICENCES))
def test_a_licence_is_named_with_its_text(licence, facts_of):
    text = licence_text(facts_of("many"), notes(licence=licence))
    spdx, address = LICENCES[licence]
    assert f"SPDX-License-Identifier: {spdx}\n" in text
    assert address in text
    assert spdx.lower().startswith(licence)
    assert "The runcast developers" in text


def test_a_licence_of_another_name_is_passed_on(facts_of):
    text = licence_text(facts_of("many"), notes(licence="etalab-2.0"))
    assert "SPDX-License-Identifier: etalab-2.0" in text
    assert "None" not in text
    assert "license" not in yaml.safe_load(
        citation_text(facts_of("many"), notes(licence="etalab-2.0"))
    )


def test_an_unknown_licence_permits_nothing(facts_of):
    text = licence_text(facts_of("imported"), notes(licence="unknown"))
    assert "SPDX" not in text
    assert "ask whoever made them" in text
    assert licence_of(facts_of("imported"), None) == "unknown"
    assert licence_of(facts_of("many"), None) == "cc-by-4.0"


@pytest.mark.parametrize("kind", KINDS)
def test_a_citation_file_has_the_fields_of_its_format(kind, facts_of):
    facts = facts_of(kind)
    told = notes(authors=("A: \u00d8 # 'x'", "B"))
    data = yaml.safe_load(citation_text(facts, told))
    assert set(data) >= REQUIRED
    assert data["type"] == "dataset"
    assert data["authors"] == [{"name": "A: \u00d8 # 'x'"}, {"name": "B"}]
    assert data["version"] == "1.1.0"
    assert data["date-released"] == "2026-11-22"
    assert data["license"] == "CC-BY-4.0"
    assert data["url"] == "https://huggingface.co/datasets/org/name/tree/v1.1.0"
    assert data["title"].startswith(facts.name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_for_bibtex_is_balanced(kind, facts_of):
    facts = facts_of(kind)
    entry = bibtex_entry(facts.name, facts.runs, notes())
    assert re.match(r"@misc\{[a-z0-9-]+,\n", entry)
    bare = re.sub(r"\\[{}]", "", entry)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert "year = {2026}" in entry
    assert "url" not in bibtex_entry(facts.name, facts.runs, notes(repo=None))
