import dataclasses

import numpy as np
import pytest

from harness.errors import CorpusError
from harness.spec import Part
from tasks.answering import answer
from tasks.prediction import Charge
from tasks.question import ask
from tasks.sealed import CARD, Entry, folder_of, judge, load, save, seal
from tests.tasks.asking import task


@pytest.mark.parametrize("kind", ["value", "probability", "curve"])
def test_what_is_kept_scores_as_what_was_made(corpus, tmp_path, kind):
    asked = task(kind, metrics=("curve_error",) if kind == "curve" else ("rmse",))
    found = seal(corpus, asked)
    save(found, tmp_path / "kept")
    again = load(tmp_path / "kept", asked)
    entry = Entry(
        table=answer(ask(corpus, asked)[0], Part("median")).table,
        charge=Charge(signals=()),
    )
    one, two = (judge(each, {"mine": entry}, resamples=50) for each in (found, again))
    assert one.equals(two)
    np.testing.assert_array_equal(found.controls, again.controls)
    assert found.answers.families == again.answers.families


def test_another_definition_lies_elsewhere_and_is_not_read(corpus, tmp_path):
    asked, other = task(), task(until=0.5)
    digest = corpus.data_sha256
    places = {folder_of(tmp_path, digest, each) for each in (asked, other)}
    places |= {folder_of(tmp_path, "0" * 64, asked)}
    assert len(places) == 3
    assert folder_of(tmp_path, digest, asked) in places
    save(seal(corpus, asked), tmp_path / "kept")
    with pytest.raises(CorpusError, match=r"as another runcast .* defines it"):
        load(tmp_path / "kept", other)


def test_a_folder_without_a_card_or_with_a_broken_one_is_told(tmp_path):
    with pytest.raises(CorpusError, match="holds no sealed task"):
        load(tmp_path, task())
    (tmp_path / CARD).write_text("{")
    with pytest.raises(CorpusError, match="holds no sealed task"):
        load(tmp_path, task())


def test_the_order_of_entries_does_not_matter(corpus):
    found = seal(corpus, dataclasses.replace(task(), metrics=("mae",)))
    table = found.reference
    entries = {n: Entry(table=table, charge=Charge(signals=())) for n in ("a", "b")}
    backwards = dict(reversed(entries.items()))
    one, two = (judge(found, each, resamples=20) for each in (entries, backwards))
    assert one.equals(two)
