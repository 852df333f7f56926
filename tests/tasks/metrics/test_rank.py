import numpy as np
import pytest
from scipy import stats

from tasks.metrics.inputs import TILE, running_sum
from tasks.metrics.rank import spearman, weighted_ranks
from tests.tasks.metrics.resampled import counts, each_resample

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("decimals", [8, 0])
@pytest.mark.parametrize("num_rows", [7, 90, 433])
def test_spearman_of_resamples_equals_a_loop_of_scipy(num_rows, decimals):
    families = np.arange(num_rows) // 3
    truth = RNG.normal(size=num_rows).round(decimals)
    predictions = (truth + RNG.normal(size=(2, num_rows))).round(decimals)
    weights = counts(num_rows, 60, families=families)
    weights = weights[:, [len(set(truth[w > 0])) > 1 for w in weights.T]]
    ours = spearman(truth, predictions, weights=weights)
    for prediction, row in zip(predictions, ours, strict=True):
        with np.errstate(all="ignore"):
            loop = each_resample(weights, lambda i, p=prediction: _loop(truth[i], p[i]))
        np.testing.assert_allclose(row, loop, atol=1e-12)


def _loop(truth, prediction):
    if len(set(prediction)) == 1:
        return np.nan
    return stats.spearmanr(truth, prediction).statistic


def test_spearman_without_weights_equals_scipy():
    truth, prediction = RNG.normal(size=(2, 50)).round(1)
    expected = stats.spearmanr(truth, prediction).statistic
    assert spearman(truth, prediction) == pytest.approx(expected, abs=1e-14)
    assert spearman(truth, np.exp(truth)) == 1.0
    assert spearman(truth, -truth) == -1.0


def test_spearman_without_variance_is_undefined():
    assert np.isnan(spearman([1.0, 2.0], [3.0, 3.0]))
    assert np.isnan(spearman([1.0, 2.0], [3.0, 4.0], weights=[2.0, 0.0]))


def test_weighted_ranks_are_those_of_copies():
    values = RNG.integers(5, size=12).astype(float)
    weights = counts(12, 9)
    ranks = weighted_ranks(values, weights)
    for w, column in zip(weights.T.astype(int), ranks.T, strict=True):
        copies = stats.rankdata(np.repeat(values, w))
        np.testing.assert_array_equal(np.repeat(column, w), copies)


@pytest.mark.parametrize("rows", [1, TILE - 1, TILE, TILE + 1, 5 * TILE + 3])
def test_running_sum_equals_numpy_exactly_for_counts(rows):
    values = RNG.integers(9, size=(rows, 5)) * 1.0
    sums = np.cumsum(values, axis=0)
    np.testing.assert_array_equal(running_sum(values), sums)
    np.testing.assert_array_equal(running_sum(values, own=0.5), sums - values / 2)
