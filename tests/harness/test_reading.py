"""A reading keeps the promise of statuses: NaN exactly where there is a reason."""

import numpy as np
import pytest

from harness.measure import DIVERGED, OK, TOO_SHORT
from harness.reading import reading


def test_a_number_that_is_not_finite_gets_a_reason():
    found = reading([1.0, np.inf, np.nan, 4.0], [OK, OK, TOO_SHORT, TOO_SHORT])
    assert found.status.tolist() == [OK, DIVERGED, TOO_SHORT, TOO_SHORT]
    assert found.value[0] == 1.0
    assert np.isnan(found.value[1:]).all()
    assert found.ok.tolist() == [True, False, False, False]


def test_value_and_standard_error_are_missing_together():
    found = reading([1.0, 2.0, np.inf], se=[0.1, np.nan, 0.3])
    assert found.status.tolist() == [OK, DIVERGED, DIVERGED]
    assert found.se[0] == 0.1
    assert np.isnan(found.value[1:]).all()
    assert np.isnan(found.se[1:]).all()


def test_a_reading_does_not_write_into_its_arguments():
    values, states = np.array([np.inf]), np.array([OK])
    reading(values, states)
    assert np.isinf(values[0])
    assert states[0] == OK


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="unknown statuses"):
        reading([1.0], "fine")
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(1,\)"):
        reading([1.0, 2.0], se=[1.0])
