"""The cards of image sets are those of what is registered."""

import re

import pytest

from data_cards.sets import FOLDER, card, names
from harness.datasets import HUB_SETS
from harness.release.sources import SOURCES, sources_of

NAMES = names()


@pytest.mark.parametrize("name", NAMES)
def test_a_card_in_the_folder_is_what_is_rendered(name):
    written = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert written == card(name), "write it again: python -m data_cards"


def test_every_set_has_a_source_and_a_card_and_no_other_has():
    assert set(NAMES) == set(SOURCES)
    assert {path.stem for path in FOLDER.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("hub", HUB_SETS, ids=lambda hub: hub.name)
def test_a_card_tells_the_registered_facts(hub):
    text = card(hub.name)
    for fact in (f"{hub.train_rows:,}", f"{hub.test_rows:,}", str(hub.num_classes)):
        assert fact in text
    assert hub.repo is None or hub.repo in text
    assert hub.revision is None or hub.revision in text
    assert hub.fingerprint is None or hub.fingerprint in text


def test_where_no_licence_is_known_none_is_told():
    for name in ("cifar10", "cifar100", "tiny-imagenet", "mnist"):
        assert SOURCES[name].licence == "unknown"
        assert "| licence | unknown |" in card(name)


@pytest.mark.parametrize("name", NAMES)
def test_no_card_is_left_open(name):
    source = SOURCES[name]
    assert source.limits
    assert all(limit.endswith(".") for limit in source.limits)
    assert not re.search(r"TODO|\{\{|None", card(name))


def test_a_set_of_unknown_origin_is_refused():
    with pytest.raises(KeyError, match=r"'mine': add its origin, licence and limits"):
        card("mine")


def test_a_corrupted_set_has_the_source_of_its_images():
    found = [source.name for source in sources_of(["digits-corrupted", "mine"])]
    assert found == ["corrupted", "digits"]
