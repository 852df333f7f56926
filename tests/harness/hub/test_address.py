"""How corpora on the Hub are called."""

from pathlib import Path

import pytest

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.hub.address import Address, is_address, is_repo
from harness.hub.client import without_secrets
from harness.verify import verify


def test_an_address_is_read_and_written_alike():
    address = Address.of("org/t4-cifar10@v1.0.0")
    assert (address.repo, address.revision) == ("org/t4-cifar10", "v1.0.0")
    assert str(address) == "org/t4-cifar10@v1.0.0"


@pytest.mark.parametrize(
    "text",
    ["org/name", "org/name@", "name@v1.0.0", "a/b/c@v1", "org/..@v1", "org/n@a b"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"expected ORG/NAME"):
        Address.of(text)


def test_a_folder_of_that_name_goes_before_the_hub(tmp_path, monkeypatch):
    assert is_address("org/name@v1.0.0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "name@v1.0.0").mkdir()
    assert not is_address("org/name@v1.0.0")


def test_a_missing_folder_that_looks_like_a_repository_tells_of_the_hub(tmp_path):
    assert is_repo("org/name")
    with pytest.raises(CorpusError, match=r"org/name@v1\.0\.0 for a version on"):
        Corpus.open("org/name")


def test_where_a_folder_is_needed_a_version_on_the_hub_is_told_how_to_be_one():
    (problem,) = verify(Path("org/name@v1.0.0"))
    assert "`harness download org/name@v1.0.0 --out DIR` brings it" in str(problem)


def test_no_token_is_shown(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-of-another-form")
    text = "Bearer abcdef and hf_abcXYZ123 and secret-of-another-form"
    assert without_secrets(text) == "Bearer hf_*** and hf_*** and hf_***"
