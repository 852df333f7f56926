import itertools

import numpy as np
import pytest
from scipy import stats

from tasks.metrics.pairs import kendall, pairwise_accuracy
from tests.tasks.metrics.resampled import counts, each_resample

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("decimals", [8, 0])
@pytest.mark.parametrize("num_rows", [9, 64, 131])
def test_kendall_of_resamples_equals_a_loop_of_scipy(num_rows, decimals):
    truth = RNG.normal(size=num_rows).round(decimals)
    predictions = (truth + RNG.normal(size=(2, num_rows))).round(decimals)
    weights = counts(num_rows, 50)
    ours = kendall(truth, predictions, weights=weights)
    for prediction, row in zip(predictions, ours, strict=True):
        loop = each_resample(
            weights, lambda i, p=prediction: stats.kendalltau(truth[i], p[i]).statistic
        )
        np.testing.assert_allclose(row, loop, atol=1e-12)
    single = kendall(truth, predictions[0])
    assert single == pytest.approx(stats.kendalltau(truth, predictions[0]).statistic)


def test_kendall_without_variance_is_undefined():
    assert np.isnan(kendall([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]))


def naive_accuracy(truth, prediction, threshold):
    right = pairs = 0.0
    for i, j in itertools.permutations(range(len(truth)), 2):
        if truth[i] < truth[j] - threshold:
            pairs += 1
            right += (prediction[i] < prediction[j]) + 0.5 * (
                prediction[i] == prediction[j]
            )
    return right / pairs if pairs else np.nan


@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_pairwise_accuracy_equals_the_loop_over_pairs(threshold):
    truth = RNG.normal(size=25).round(1)
    prediction = (truth + RNG.normal(size=25)).round(1)
    weights = counts(25, 10)
    ours = pairwise_accuracy(truth, prediction, threshold=threshold, weights=weights)
    loop = each_resample(
        weights, lambda i: naive_accuracy(truth[i], prediction[i], threshold)
    )
    np.testing.assert_allclose(ours, loop, atol=1e-12)


def test_pairwise_accuracy_of_a_table_by_hand():
    # Pairs further apart than 1: (1, 4) right, (2, 4) wrong, (1, 2.5) tied.
    truth, prediction = [1.0, 2.0, 2.5, 4.0], [1.0, 5.0, 1.0, 3.0]
    # and (2.5, 4) right: (1 + 0 + .5 + 1) / 4
    assert pairwise_accuracy(truth, prediction, threshold=1.0) == 2.5 / 4
    assert pairwise_accuracy(truth, [0.0] * 4) == 0.5
    assert np.isnan(pairwise_accuracy(truth, prediction, threshold=3.0))
    with pytest.raises(ValueError, match="threshold is -1; expected 0 or more"):
        pairwise_accuracy(truth, prediction, threshold=-1)


def test_accuracy_without_ties_is_kendall_on_another_scale():
    truth, prediction = RNG.normal(size=(2, 40))
    accuracy = pairwise_accuracy(truth, prediction)
    assert accuracy == pytest.approx((1 + kendall(truth, prediction)) / 2)
