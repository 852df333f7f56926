import numpy as np
import pytest

from tasks.metrics.curves import curve_error


def test_the_error_of_a_table_by_hand():
    truth = np.exp([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    prediction = np.exp([[0.3, 0.0, 0.0], [1.0, 0.5, 0.0]])
    # Means of (.3, 0, 0) and (0, .5, 1).
    assert curve_error(truth, prediction) == pytest.approx((0.1 + 0.5) / 2)
    weights = np.array([[2.0, 0.0], [1.0, 3.0]])
    np.testing.assert_allclose(
        curve_error(truth, prediction, weights=weights), [0.7 / 3, 0.5]
    )


def test_only_counted_points_matter():
    truth = np.exp([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    prediction = np.exp([[0.3, 9.0, 9.0], [1.0, 0.5, 9.0]])
    counted = [[1, 0, 0], [1, 1, 0]]
    error = curve_error(truth, prediction, counted=counted)
    assert error == pytest.approx((0.3 + 0.25) / 2)
    with pytest.raises(ValueError, match="at least one point in every curve"):
        curve_error(truth, prediction, counted=[[1, 1, 1], [0, 0, 0]])


def test_losses_must_be_positive_and_fit():
    with pytest.raises(ValueError, match=r"prediction is -1.0 in row 1"):
        curve_error([[1.0], [1.0]], [[1.0], [-1.0]])
    with pytest.raises(ValueError, match=r"expected \[N, T\] and \[..., N, T\]"):
        curve_error([[1.0, 1.0]], [[1.0], [1.0]])
