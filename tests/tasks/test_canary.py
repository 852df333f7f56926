import dataclasses

import numpy as np
import pytest

from harness.corpus import Corpus
from harness.spec import Part
from tasks.canary import FIRES, canary
from tasks.prediction import Targets
from tasks.question import Answers, Question, ask
from tests.tasks.asking import task
from tests.tasks.full_corpus import build_full


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_full(tmp_path_factory.mktemp("canary") / "corpus")


def renamed(
    question: Question, answers: Answers, names: dict[str, str]
) -> tuple[Question, Answers]:
    """Return the same under other ids; those of a block come in their order."""
    blocks = []
    for block in question.everyone.blocks:
        run_ids = tuple(sorted(names[name] for name in block.run_ids))
        blocks.append(dataclasses.replace(block, run_ids=run_ids))
    everyone = dataclasses.replace(
        question.everyone, ids=tuple(sorted(names.values())), blocks=tuple(blocks)
    )
    rounds = []
    for learned, tested in question.rounds:
        ids = tuple(names[name] for name in learned.ids)
        parts = {"ids": ids, "values": learned.values, "groups": learned.groups}
        rounds.append((Targets(**parts), tuple(names[name] for name in tested)))
    ids = tuple(names[name] for name in answers.ids)
    return (
        dataclasses.replace(question, everyone=everyone, rounds=tuple(rounds)),
        dataclasses.replace(answers, ids=ids),
    )


@pytest.mark.parametrize("kind", ["value", "probability", "curve"])
def test_honest_questions_pass(full, kind):
    changes = {"target": Part("failed_to_learn", {"below": 0.65})}
    question = task(kind, **(changes if kind == "probability" else {}))
    found = canary(*ask(full, question))
    assert found.p > FIRES
    assert found.null.shape == (199,)


def test_it_passes_on_fresh_names_about_as_often_as_it_should(full):
    question, answers = ask(full, task())
    rng, p_values = np.random.default_rng(0), []
    for _ in range(40):
        numbers = rng.integers(2**63, size=len(answers.ids))
        names = {k: f"e-{v:016x}" for k, v in zip(answers.ids, numbers, strict=True)}
        again = canary(*renamed(question, answers, names), permutations=19)
        p_values.append(again.p)
    assert 0.3 < np.mean(p_values) < 0.75
    assert np.mean(np.array(p_values) <= 0.05) < 0.2


def test_it_fires_when_the_order_of_ids_tells_the_target(full):
    question, answers = ask(full, task())
    order = np.argsort(answers.values)
    names = {answers.ids[row]: f"e-{place:04}" for place, row in enumerate(order)}
    assert canary(*renamed(question, answers, names)).p == pytest.approx(1 / 200)


def test_it_fires_when_an_id_holds_the_target(full):
    question, answers = ask(full, task())
    rng = np.random.default_rng(1)
    names = {
        # Behind random bytes: neither place knows of it.
        name: f"e-{rng.integers(2**31):08x}{chr(97 + round(25 * value))}"
        for name, value in zip(answers.ids, answers.values, strict=True)
    }
    found = canary(*renamed(question, answers, names))
    assert found.p <= FIRES
    assert found.observed < found.null.min()


def test_the_same_question_has_the_same_canary(full):
    question, answers = ask(full, task())
    first, again = canary(question, answers), canary(question, answers)
    np.testing.assert_array_equal(first.null, again.null)
    assert canary(question, answers, seed=1).observed == first.observed
