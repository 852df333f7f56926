"""S-20: announced scores rise in steps, and probing them gains less."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.hidden.ladder import ETA, announced, rung
from tests.conftest import ROOT
from tests.leaderboard.process.probing import climbing, gains, majority

SKILLS = st.floats(-3, 1, allow_nan=False)


def by_hand(scores, eta):
    """The algorithm as the paper prints it, in exact decimals, of a score to raise."""
    step, best, found = Decimal(str(eta)), None, []
    for score in scores:
        exact = Decimal(score)
        if best is None or exact > best + step:
            best = (exact / step).to_integral_value() * step
        found.append(float(best))
    return found


@given(
    # Three ten-thousandths off every tie, where decimals and floats could disagree.
    st.lists(st.integers(-3000, 1000).map(lambda k: k / 1000 + 0.0003), max_size=30),
    st.sampled_from([0.01, 0.05, 0.1]),
)
def test_s20_the_ladder_is_a_naive_loop(scores, eta):
    assert announced(scores, eta) == pytest.approx(by_hand(scores, eta))


@given(st.lists(SKILLS, min_size=1, max_size=30))
def test_s20_announcements_never_fall_and_are_whole_steps(scores):
    got = announced(scores)
    assert list(got) == sorted(got)
    assert all(abs(told / ETA - round(told / ETA)) < 1e-6 for told in got)
    assert abs(got[-1] - max(scores)) <= 1.5 * ETA + 1e-9


def test_s20_a_slightly_better_score_is_answered_with_the_old_one():
    scores = [0.312, 0.3199, 0.1, 0.3201]
    assert announced(scores, 0.01) == (0.31, 0.31, 0.31, 0.32)


def test_s20_a_task_without_a_score_repeats_what_was_said():
    assert announced([None, 0.2, None]) == (None, 0.2, 0.2)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_s23_a_score_that_is_no_number_is_an_error(score):
    with pytest.raises(ValueError, match=r"the score is (nan|inf), expected a finite"):
        rung(0.1, score)


def test_s23_nought_has_no_sign():
    assert [str(rung(None, score)) for score in (-0.0, -0.01, 0.01)] == ["0.0"] * 3


@pytest.mark.parametrize("eta", [0.0, -0.1, math.nan])
def test_a_step_must_be_positive(eta):
    with pytest.raises(ValueError, match=r"eta is .*, expected a finite number above"):
        rung(None, 0.1, eta)


def figure(attack, queries, column):
    """Return a number of the table in docs/leaderboard.md."""
    page = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    (row,) = [r for r in page.splitlines() if r.startswith(f"| {attack}, {queries} |")]
    return float(row.split("|")[2 + column])


def compare(attack, queries):
    """Return public gains, raw and at each step; private ones; and the page's."""
    found = [gains(attack, eta=e, queries=queries) for e in (None, 0.01, 0.05)]
    public, private = zip(*found, strict=True)
    return public, private, [figure(attack.__name__, queries, c) for c in range(3)]


@pytest.mark.parametrize(("attack", "queries"), [(majority, 20), (climbing, 20)])
def test_s20_a_prober_gains_less_through_the_ladder(attack, queries):
    public, private, page = compare(attack, queries)
    assert public[2] < public[1] < public[0]
    # 100 tries of 200 guesses: a deviation of .007.
    assert max(map(abs, private)) < 0.03
    assert page == pytest.approx(public, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "queries"), [(majority, 400), (climbing, 400)])
def test_s20_four_hundred_probes_gain_less_and_nothing_in_private(attack, queries):
    public, private, page = compare(attack, queries)
    assert public[2] < public[1] < public[0]
    assert max(map(abs, private)) < 0.03
    assert page == pytest.approx(public, abs=0.005)
