"""Which version a release is, and what its changelog says."""

from typing import Any

import pytest

from harness.corpus import Corpus
from harness.release.next_version import next_notes
from harness.release.notes import RELEASE, Change, Notes, Version

TODAY = "2026-11-21"


@pytest.fixture
def corpus(built_folder) -> Corpus:
    return Corpus.open(built_folder)


def told(corpus: Corpus, **given: Any) -> Notes:
    options = {"last": None, "begun": {}, "version": None, "changes": None}
    return next_notes(corpus, **options | given, repo="org/name", today=TODAY)


def held(corpus: Corpus, version: str, *, tables: str = "same") -> dict[str, Any]:
    """Return the manifest of an earlier release, of the same tables or of others."""
    change = Change(version=version, released="2025-01-01", text="Begun.")
    notes = Notes(version=version, released="2025-01-01", changes=(change,))
    files = dict(corpus.manifest["files"])
    if tables == "other":
        files["runs/part-00000.parquet"] = {"sha256": "0" * 64, "bytes": 1}
    named = {"name": corpus.name, "version": version}
    return named | {"files": files, RELEASE: notes.to_json()}


def test_the_first_release_is_1_0_0(corpus):
    notes = told(corpus)
    assert notes.version == "1.0.0"
    assert [c.text for c in notes.changes] == ["First release."]
    assert notes.released == TODAY
    assert notes.repo == "org/name"


def test_the_same_tables_again_are_the_same_version_of_the_same_day(corpus):
    notes = told(corpus, last=held(corpus, "1.2.0"))
    assert (notes.version, notes.released) == ("1.2.0", "2025-01-01")


def test_other_tables_need_a_version_of_their_own(corpus):
    last = held(corpus, "1.0.0", tables="other")
    for given in ({}, {"version": "1.0.0", "changes": "More runs."}):
        with pytest.raises(ValueError, match=r"1\.0\.0 is there already, with other"):
            told(corpus, last=last, **given)


def test_a_new_version_says_what_is_new(corpus):
    last = held(corpus, "1.0.0", tables="other")
    with pytest.raises(
        ValueError, match=r"1\.1\.0 follows 1\.0\.0: say with --changes"
    ):
        told(corpus, last=last, version="1.1.0")
    notes = told(corpus, last=last, version="1.1.0", changes="More runs.")
    assert [(c.version, c.text) for c in notes.changes] == [
        ("1.1.0", "More runs."),
        ("1.0.0", "Begun."),
    ]
    assert notes.changes[0].released == TODAY


def test_another_corpus_at_the_destination_is_left_alone(corpus):
    last = held(corpus, "1.0.0") | {"name": "other"}
    with pytest.raises(ValueError, match=r"the corpus other is there, not test-corpus"):
        told(corpus, last=last, version="2.0.0", changes="All new.")


def test_an_older_version_is_refused(corpus):
    with pytest.raises(ValueError, match=r"1\.9\.0 is older than 1\.10\.0"):
        told(corpus, last=held(corpus, "1.10.0"), version="1.9.0")


def test_a_release_brought_elsewhere_keeps_version_day_and_changes(corpus):
    corpus.manifest[RELEASE] = held(corpus, "2.1.0")[RELEASE]
    notes = told(corpus)
    assert (notes.version, notes.released) == ("2.1.0", "2025-01-01")
    assert [c.text for c in notes.changes] == ["Begun."]
    assert notes.repo == "org/name"


def test_an_interrupted_release_keeps_the_day_it_was_begun(corpus):
    begun = {"1.0.0": held(corpus, "1.0.0")}
    assert told(corpus, begun=begun).released == "2025-01-01"


@pytest.mark.parametrize("text", ["1", "1.0", "v1.0.x", "01.0.0", "1.0.0-rc1", ""])
def test_what_is_no_version_is_refused(text):
    with pytest.raises(ValueError, match=r"expected three numbers such as 1\.0\.0"):
        Version.of(text)


def test_notes_survive_json():
    change = Change(version="1.0.0", released=TODAY, text="First.")
    notes = Notes(
        version="1.0.0", released=TODAY, changes=(change,), authors=("A", "B")
    )
    assert Notes.from_json(notes.to_json()) == notes
