import numpy as np
import pytest
from sklearn.metrics import (
    mean_absolute_error,
    mean_squared_log_error,
    r2_score,
    root_mean_squared_error,
)

from tasks.metrics.point import log_mae, mae, r2, rmse
from tests.tasks.metrics.resampled import counts, each_resample

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(90, 3, size=40)
PREDICTIONS = TRUTH + RNG.normal(size=(3, 40))
WEIGHTS = counts(40, 25)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(mae, mean_absolute_error), (rmse, root_mean_squared_error), (r2, r2_score)],
)
def test_errors_equal_scikit_learn_with_and_without_weights(ours, theirs):
    plain = [theirs(TRUTH, p) for p in PREDICTIONS]
    np.testing.assert_allclose(ours(TRUTH, PREDICTIONS), plain, rtol=1e-12)
    weighted = [
        [theirs(TRUTH, p, sample_weight=w) for w in WEIGHTS.T] for p in PREDICTIONS
    ]
    ours_weighted = ours(TRUTH, PREDICTIONS, weights=WEIGHTS)
    np.testing.assert_allclose(ours_weighted, weighted, rtol=1e-11)
    copied = each_resample(WEIGHTS, lambda i: theirs(TRUTH[i], PREDICTIONS[0][i]))
    np.testing.assert_allclose(ours_weighted[0], copied, rtol=1e-11)


def test_log_mae_measures_ratios():
    assert log_mae([1.0, 2.0], [np.e, 2 / np.e]) == pytest.approx(1.0)
    # One row: its mean squared logarithm is the square of the absolute one.
    squared = mean_squared_log_error([1.0], [3.0])
    assert log_mae([2.0], [4.0]) == pytest.approx(np.sqrt(squared))


def test_r2_is_undefined_where_the_truth_does_not_vary():
    assert np.isnan(r2([0.1] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]))
    two = np.array([[3.0, 1.0], [0.0, 2.0]])
    value = r2([0.3, 0.7], [0.3, 0.6], weights=two)
    assert np.isnan(value[0])
    assert value[1] == pytest.approx(1 - 0.02 / (3 * 0.16 * 2 / 9))


def test_numbers_of_one_prediction_have_no_axes():
    assert mae([1.0], [2.0]).shape == ()
    assert mae([1.0], [2.0], weights=[2.0]).shape == ()
    assert mae([1.0], [[2.0]], weights=[[2.0, 1.0, 1.0]]).shape == (1, 3)


def test_bad_rows_are_named():
    with pytest.raises(ValueError, match=r"prediction is nan in row 2;.*2 bad: 2, 3"):
        mae([1.0, 2, 3, 4], [1.0, 2, np.nan, np.inf])
    with pytest.raises(ValueError, match="truth is inf in row 1"):
        mae([1.0, np.inf], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"prediction is -1.0 in row 1.*positive"):
        log_mae([1.0, 2.0], [1.0, -1.0])
    with pytest.raises(ValueError, match=r"truth has shape \[2\] and prediction \[3\]"):
        mae([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"weights have shape \[3\]"):
        mae([1.0, 2.0], [1.0, 2.0], weights=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="every resample needs a row"):
        mae([1.0, 2.0], [1.0, 2.0], weights=[[0.0, 1.0], [0.0, 1.0]])
