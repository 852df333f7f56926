"""Every question of the datasheet has an answer, whatever the corpus."""

import re

import pytest

from harness.release.datasheet import datasheet_text
from tests.harness.release.kinds import KINDS, notes
from tests.harness.release.test_card import LEFT_OPEN

QUESTIONS = 57
"""Gebru et al. 2021: 4 on motivation, 16 on composition, 12 on collection, 4 on
preprocessing, 6 on uses, 7 on distribution, 8 on maintenance."""


@pytest.mark.parametrize("told", [None, notes(), notes(repo=None, licence="unknown")])
@pytest.mark.parametrize("kind", KINDS)
def test_every_question_is_answered(kind, told, facts_of):
    text = datasheet_text(facts_of(kind), told)
    found = re.findall(r"^\*\*(\d+)\. [^*\n]+[?.]\*\* (.*)$", text, re.MULTILINE)
    assert [int(number) for number, _ in found] == list(range(1, QUESTIONS + 1))
    for number, answer in found:
        assert len(answer.strip()) > 2, number
        assert answer.strip()[-1] in ".)", number
    assert LEFT_OPEN.findall(text) == []
    assert "<i>" not in text


def test_the_parts_have_their_questions(facts_of):
    text = datasheet_text(facts_of("many"), notes())
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    counts = {p.split("\n")[0]: len(re.findall(r"^\*\*\d", p, re.M)) for p in parts}
    assert counts == {
        "Motivation": 4,
        "Composition": 16,
        "Collection": 12,
        "Preprocessing": 4,
        "Uses": 6,
        "Distribution": 7,
        "Maintenance": 8,
    }


def test_answers_are_of_this_corpus(facts_of):
    text = datasheet_text(facts_of("many"), notes())
    assert "9 runs (6 completed, 3 diverged) in 3 families" in text
    assert "org/name" in text
    foreign = datasheet_text(facts_of("imported"))
    assert "Who trained the runs is not known here" in foreign
    assert "trained by runcast" not in foreign
