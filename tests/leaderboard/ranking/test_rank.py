import math

import numpy as np
import pytest

from leaderboard.ranking.rank import (
    average_ranks,
    display_order,
    interval,
    pairwise,
    ranking,
    ranks,
    together,
)

# Errors of three tasks and three entries, the first being the reference; by hand:
#
#            reference    a     b    ratios a, b    ranks      won by (ref, a, b) of 2
#   task 1      4         1     4      1/4    1     2.5 1 2.5    0.5   2    0.5
#   task 2      2         4     1       2   1/2       2 3 1      1     0    2
#   task 3      1         2    500      2   100*      1 2 3      2     1    0
#                                          * clipped from 500
#   geometric mean of ratios:  a (1/4 * 2 * 2)^(1/3) = 1,  b (1 * 1/2 * 100)^(1/3)
HAND = np.array([[4.0, 1.0, 4.0], [2.0, 4.0, 1.0], [1.0, 2.0, 500.0]])
RNG = np.random.default_rng(0)


def still(errors, resamples=3):
    return np.repeat(np.asarray(errors, float)[..., None], resamples, axis=-1)


def noisy(tasks=4, entries=5, resamples=60):
    errors = np.round(RNG.exponential(size=(tasks, entries)), 1) + 0.1
    samples = errors[..., None] * np.exp(
        0.5 * RNG.normal(size=(tasks, entries, resamples))
    )
    return errors, np.round(samples, 1)


def test_the_table_computed_by_hand():
    found = ranking(HAND, still(HAND), reference=0)
    np.testing.assert_allclose(found.skill.value, [0, 0, 1 - 50 ** (1 / 3)], atol=1e-12)
    np.testing.assert_allclose(found.win_rate.value, [3.5 / 6, 3 / 6, 2.5 / 6])
    np.testing.assert_allclose(found.mean_rank.value, [5.5 / 3, 6 / 3, 6.5 / 3])
    np.testing.assert_array_equal(found.skill.low, found.skill.high)
    assert found.rank.tolist() == [1, 1, 3]
    pairs = pairwise(HAND, still(HAND), reference=0)
    win = [[0.5, 2 / 3, 0.5], [1 / 3, 0.5, 2 / 3], [0.5, 1 / 3, 0.5]]
    np.testing.assert_allclose(pairs.win.value, win)
    # b against a: 4, 1/4 and 250, which is clipped to 100
    assert pairs.skill.value[2, 1] == pytest.approx(1 - 100 ** (1 / 3))
    assert pairs.skill.value[1, 2] == pytest.approx(1 - 0.01 ** (1 / 3))


def test_every_resample_is_the_table_of_its_errors():
    errors, samples = noisy()
    found, pairs = (f(errors, samples, reference=2) for f in (ranking, pairwise))
    alone = [
        ranking(samples[..., b], samples[..., :0], reference=2)
        for b in range(samples.shape[2])
    ]
    for name in ("skill", "win_rate", "mean_rank"):
        values = [getattr(one, name).value for one in alone]
        ends = np.quantile(values, [0.025, 0.975], axis=0)
        mine = getattr(found, name)
        np.testing.assert_allclose([mine.low, mine.high], ends, atol=1e-12)
    lone = [pairwise(samples[..., b], samples[..., :0], reference=2) for b in range(60)]
    for name in ("win", "skill"):
        values = [getattr(one, name).value for one in lone]
        ends = np.quantile(values, [0.025, 0.975], axis=0)
        mine = getattr(pairs, name)
        np.testing.assert_allclose([mine.low, mine.high], ends, atol=1e-12)


def test_win_rates_are_the_naive_loop_over_opponents_and_tasks():
    errors, samples = noisy()
    found = ranking(errors, samples, reference=0)
    for a in range(5):
        won = [
            float(row[a] < row[b]) + 0.5 * float(row[a] == row[b])
            for row in errors
            for b in range(5)
            if b != a
        ]
        assert found.win_rate.value[a] == pytest.approx(np.mean(won))


def test_ranks_of_ties_are_those_of_scipy():
    from scipy.stats import rankdata

    values = RNG.integers(0, 4, size=(3, 7, 11)).astype(float)
    np.testing.assert_array_equal(average_ranks(values), rankdata(values, axis=1))


def test_a_rank_counts_who_is_better_beyond_doubt():
    _, samples = noisy(entries=6)
    skill = samples.mean(axis=0)
    expected = [
        1 + sum(np.quantile(other - own, 0.025) > 0 for other in skill) for own in skill
    ]
    assert ranks(skill).tolist() == expected
    assert ranks(skill[:, :0]).tolist() == [1] * 6
    gap = skill.copy()
    gap[3, 5] = np.nan  # left out for everybody
    assert ranks(gap).tolist() == ranks(np.delete(skill, 5, axis=1)).tolist()


def test_who_does_not_answer_a_task_counts_as_the_reference_there():
    errors, samples = noisy()
    gap, gaps = errors.copy(), samples.copy()
    gap[1, 3], gaps[1, 3] = np.nan, np.nan
    gaps[2, 4, 7] = np.nan
    filled, all_filled = errors.copy(), samples.copy()
    filled[1, 3], all_filled[1, 3] = errors[1, 0], samples[1, 0]
    all_filled[2, 4, 7] = samples[2, 0, 7]
    for function, names in (
        (ranking, ("skill", "win_rate", "mean_rank")),
        (pairwise, ("skill", "win")),
    ):
        one = function(gap, gaps, reference=0)
        two = function(filled, all_filled, reference=0)
        for name in names:
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_task_without_a_reference_counts_for_nobody():
    errors, samples = noisy()
    more = np.concatenate([errors, [[np.nan, 1, 2, 3, 4]]])
    extra = np.full((1, 5, 60), 7.0)
    extra[0, 0] = np.nan
    one = ranking(more, np.concatenate([samples, extra]), reference=0)
    two = ranking(errors, samples, reference=0)
    for name in ("skill", "win_rate", "mean_rank"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    none = ranking(errors[:1] * np.nan, samples[:1] * np.nan, reference=0)
    assert np.isnan(none.skill).all()
    assert np.isnan(pairwise(errors[:1] * np.nan, samples[:1], reference=0).win).all()
    assert none.rank.tolist() == [1] * 5


def test_perfect_and_impossible_errors_stay_within_the_limits():
    errors = np.array([[1.0, 0.0, -0.0, 1.0, -1e-9], [1.0, 0.0, math.inf, 1.0, 1.0]])
    found = ranking(errors, still(errors), reference=0)
    np.testing.assert_allclose(found.skill.value, [0, 0.99, 0, 0, 0.9], atol=1e-12)
    np.testing.assert_array_equal(found.mean_rank.value[1:3], [1.5, 3.5])
    pairs = pairwise(errors, still(errors), reference=0)
    assert pairs.skill.value[1, 2] == pytest.approx(1 - 0.01**0.5)


def test_a_task_at_which_the_reference_is_perfect_counts_for_nobody():
    errors, samples = noisy()
    more = np.concatenate([errors, [[0.0, 1, 2, 3, 4]]])
    extra = np.full((1, 5, 60), 7.0)
    extra[0, 0] = -1e-3
    one = ranking(more, np.concatenate([samples, extra]), reference=0)
    two = ranking(errors, samples, reference=0)
    for name in ("skill", "win_rate", "mean_rank"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_the_order_on_the_page_is_total():
    rank = np.array([2, 1, 1, 1, 1, 1, 1])
    skill = np.array([0.9, math.nan, 0.0, -0.0, 0.0, 0.3, -0.0])
    submitted = ["2026-01-01", None, None, "2026-02-02", "2026-01-01", None, None]
    names = ["z", "nan", "b", "late", "early", "best", "a"]
    order = display_order(rank, skill, submitted, names)
    shown = [names[at] for at in order]
    assert shown == ["best", "early", "late", "a", "b", "nan", "z"]


def test_intervals_leave_out_what_is_undefined():
    table = np.array([[0.0, 1, 2, 3, np.nan], [0.0, 5, np.nan, 7, 8], [np.nan] * 5])
    found = interval(table)
    expected = [
        np.quantile(row[1:][np.isfinite(row[1:])], [0.025, 0.975]) for row in table[:2]
    ]
    np.testing.assert_allclose(np.transpose(found[1:])[:2], expected)
    assert np.isnan([end[2] for end in found]).all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"errors have shape \[3, 3\], samples \[2"):
        together(HAND, np.ones((2, 3, 4)), 0)
    with pytest.raises(ValueError, match=r"reference is 3; expected one of 3 columns"):
        together(HAND, still(HAND), 3)
