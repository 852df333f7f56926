import itertools

import numpy as np
import pytest

from tasks.metrics.events import c_index, f1_within
from tasks.metrics.pairs import pairwise_accuracy
from tests.tasks.metrics.resampled import counts, each_resample

RNG = np.random.default_rng(7)
NEVER = np.inf


def naive_c_index(time, prediction, happened):
    right = pairs = 0.0
    for i, j in itertools.permutations(range(len(time)), 2):
        first = time[i] < time[j] or (time[i] == time[j] and not happened[j])
        if happened[i] and first:
            pairs += 1
            right += (prediction[i] < prediction[j]) + 0.5 * (
                prediction[i] == prediction[j]
            )
    return right / pairs if pairs else np.nan


def test_c_index_equals_the_loop_over_pairs():
    time = RNG.integers(8, size=24).astype(float)
    prediction = (time + 3 * RNG.normal(size=24)).round(0)
    happened = RNG.uniform(size=24) < 0.6
    weights = counts(24, 15)
    ours = c_index(time, prediction, happened=happened, weights=weights)
    loop = each_resample(
        weights, lambda i: naive_c_index(time[i], prediction[i], happened[i])
    )
    np.testing.assert_allclose(ours, loop, atol=1e-12)


def test_c_index_of_a_table_by_hand():
    # Known pairs: (2, 3+), (2, 5), and not (3+, 5): the first is right, the second not.
    time, prediction, happened = [2.0, 3.0, 5.0], [2.0, 4.0, 1.0], [True, False, True]
    assert c_index(time, prediction, happened=happened) == 0.5
    assert np.isnan(c_index(time, prediction, happened=[False] * 3))
    with pytest.raises(ValueError, match=r"happened has shape \[2\]; expected \[3\]"):
        c_index(time, prediction, happened=[True, False])


def test_c_index_without_censoring_is_pairwise_accuracy():
    time, prediction = RNG.normal(size=(2, 30))
    full = c_index(time, prediction, happened=np.ones(30))
    assert full == pytest.approx(pairwise_accuracy(time, prediction))


def test_f1_of_a_table_by_hand():
    # hit, wrong place (a miss and a false alarm), missed, false alarm, quiet
    truth = np.array([10.0, 20.0, 30.0, NEVER, NEVER])
    prediction = np.array([11.5, 25.0, NEVER, 5.0, NEVER])
    assert f1_within(truth, prediction) == pytest.approx(2 * 1 / (3 + 3))
    assert f1_within(truth, prediction, tolerance=1.0) == 0.0
    assert f1_within(truth, truth) == 1.0
    assert np.isnan(f1_within([NEVER], [NEVER]))
    weights = np.array([[2.0, 0.0, 0.0, 1.0, 5.0], [1.0, 1.0, 1.0, 1.0, 1.0]]).T
    np.testing.assert_allclose(
        f1_within(truth, prediction, weights=weights), [4 / 5, 1 / 3]
    )
    with pytest.raises(ValueError, match="prediction is nan in row 0"):
        f1_within([1.0], [np.nan])
