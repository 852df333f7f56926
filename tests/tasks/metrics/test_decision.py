import itertools

import numpy as np
import pytest

from tasks.metrics.decision import compute_saved, regret_at_k
from tests.tasks.metrics.resampled import counts, each_resample

RNG = np.random.default_rng(3)


def naive_regret(truth, prediction, k):
    """Average over all ways to break ties of which k are kept."""
    if k >= len(truth):
        return 0.0
    bar = np.sort(prediction)[-k]
    sure = list(np.flatnonzero(prediction > bar))
    tied = np.flatnonzero(prediction == bar)
    kept = [
        truth[sure + list(more)].max()
        for more in itertools.combinations(tied, k - len(sure))
    ]
    return truth.max() - np.mean(kept)


@pytest.mark.parametrize("k", [1, 2, 5, 20])
@pytest.mark.parametrize("decimals", [0, 6])
def test_regret_equals_the_mean_over_all_ways_to_break_ties(k, decimals):
    truth = RNG.normal(size=9).round(1)
    prediction = (truth + 2 * RNG.normal(size=9)).round(decimals)
    weights = counts(9, 30)
    ours = regret_at_k(truth, prediction, k=k, weights=weights)
    loop = each_resample(weights, lambda i: naive_regret(truth[i], prediction[i], k))
    np.testing.assert_allclose(ours, loop, atol=1e-12)
    alone = regret_at_k(truth, prediction, k=k)
    assert alone == pytest.approx(naive_regret(truth, prediction, k), abs=1e-12)


def test_regret_of_a_constant_is_that_of_a_random_choice():
    truth = np.array([1.0, 2.0, 6.0])
    assert regret_at_k(truth, np.zeros(3), k=1) == pytest.approx(3.0)
    # Best of two at random: 2, 6, 6.
    assert regret_at_k(truth, np.zeros(3), k=2) == pytest.approx(6 - 14 / 3)
    assert regret_at_k(truth, truth, k=1) == 0.0
    with pytest.raises(ValueError, match="k is 0"):
        regret_at_k(truth, truth, k=0)


def naive_saving(truth, prediction, cost, share, tolerance):
    """Try every bar; keep the largest saving whose regret is acceptable."""
    best = 0.0
    for bar in prediction:
        kept = prediction >= bar
        if truth.max() - truth[kept].max() <= tolerance:
            saved = (cost * (1 - share))[~kept].sum() / cost.sum()
            best = max(best, saved)
    return best


def test_compute_saved_equals_the_search_over_all_bars():
    truth = RNG.normal(90, 0.2, size=12)
    prediction = (truth + RNG.normal(0, 0.1, size=12)).round(1)
    cost, share = RNG.uniform(1, 5, size=12), RNG.uniform(0.1, 0.3, size=12)
    weights = counts(12, 40)
    ours = compute_saved(truth, prediction, cost=cost, share=share, weights=weights)
    loop = each_resample(
        weights, lambda i: naive_saving(truth[i], prediction[i], cost[i], share[i], 0.1)
    )
    np.testing.assert_allclose(ours, loop, atol=1e-12)
    assert (ours > 0).any()


def test_compute_saved_of_a_table_by_hand():
    # The best runs (94.0, 93.95) are predicted 2nd and 4th: rank 3 and 4 of the
    # prediction are kept with them at a bar of 2; 1 of 4 equal runs is stopped at w20.
    truth, cost = [94.0, 93.0, 93.95, 90.0], 10.0
    assert compute_saved(truth, [3.0, 4.0, 1.0, 2.0], cost=cost) == pytest.approx(0.4)
    assert compute_saved(truth, [1.0, 4.0, 2.0, 3.0], cost=cost) == pytest.approx(0.2)
    assert compute_saved(truth, truth, cost=cost) == pytest.approx(0.6)
    assert compute_saved(truth, [0.0] * 4, cost=cost) == 0.0
    with pytest.raises(ValueError, match=r"share is 1.2 in row 0"):
        compute_saved(truth, truth, share=1.2)
    with pytest.raises(ValueError, match="cost of row 1 is not positive"):
        compute_saved(truth, truth, cost=[1.0, 0.0, 1.0, 1.0])
