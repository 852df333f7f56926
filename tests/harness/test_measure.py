import dataclasses

import numpy as np
import pytest

from harness.measure import (
    DIVERGED,
    NO_WINDOW,
    NOT_APPLICABLE,
    OK,
    STATUSES,
    Estimates,
)

NAN = np.nan


def three_curves(**changes):
    """Estimates of three curves: one with a value, two without."""
    fields = {
        "estimator": "power_law",
        "estimator_version": "2",
        "params": {"window": "ep5-15"},
        "units": {"alpha": "1", "c": "nats"},
        "values": {
            "alpha": np.array([0.5, NAN, NAN]),
            "c": np.array([0.9, NAN, NAN]),
        },
        "errors": {"alpha": np.array([0.1, NAN, NAN])},
        "status": np.array([OK, DIVERGED, NO_WINDOW]),
        "n": np.array([41, 41, 0]),
        "window": np.array([[5.0, 15.0], [5.0, 15.0], [NAN, NAN]]),
    }
    return Estimates(**(fields | changes))


def test_one_number_carries_everything_that_is_needed_to_judge_it():
    number = three_curves().at(0, "alpha")
    assert number == (
        *(0.5, 0.1, OK, 41, (5.0, 15.0), "1", "power_law", "2"),
        {"window": "ep5-15"},
    )
    assert three_curves().at(0, "c").se is None  # it has none
    assert three_curves().at(0, "c").unit == "nats"
    # plain Python numbers, which JSON and equality understand
    assert type(number.value) is float
    assert type(number.n) is int
    assert type(number.status) is str


def test_a_number_that_is_missing_is_none_with_a_status():
    diverged, absent = three_curves().at(1, "alpha"), three_curves().at(2, "alpha")
    assert diverged[:5] == (None, None, DIVERGED, 41, (5.0, 15.0))
    assert absent[:5] == (None, None, NO_WINDOW, 0, None)


def test_columns_and_length_are_those_of_the_curves():
    found = three_curves()
    assert len(found) == 3
    assert found.ok.tolist() == [True, False, False]
    np.testing.assert_array_equal(found["alpha"], [0.5, NAN, NAN])
    with pytest.raises(KeyError, match="beta"):
        found["beta"]


def test_the_table_has_nulls_and_no_nan():
    table = three_curves().frame()
    assert table.columns == [
        *("alpha", "alpha.se", "c", "status", "n", "window_first", "window_last")
    ]
    assert table.row(0) == (0.5, 0.1, 0.9, OK, 41, 5.0, 15.0)
    assert table.row(1) == (None, None, None, DIVERGED, 41, 5.0, 15.0)
    assert table.row(2) == (None, None, None, NO_WINDOW, 0, None, None)


def test_no_curves_make_an_empty_table():
    empty = three_curves(
        values={"alpha": np.zeros(0), "c": np.zeros(0)},
        errors={},
        status=np.array([], dtype=str),
        n=np.zeros(0, dtype=int),
        window=np.zeros((0, 2)),
    )
    assert len(empty) == 0
    assert empty.frame().shape == (0, 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": {"alpha": "1"}}, "every quantity needs a unit"),
        ({"status": np.array([OK, "fine", NO_WINDOW])}, "unknown status"),
        ({"status": np.array([OK, OK, NO_WINDOW])}, "alpha: NaN without a status"),
        ({"status": np.array([DIVERGED] * 3)}, "alpha: NaN without a status"),
        ({"errors": {"c": np.full(3, NAN)}}, "c: NaN without a status"),
        ({"errors": {"c": np.full(3, np.inf)}}, "c: NaN without a status"),
        ({"errors": {"c": np.zeros(2)}}, "c: one value a curve"),
    ],
)
def test_a_nan_without_a_status_cannot_be_built(changes, message):
    with pytest.raises(AssertionError, match=message):
        three_curves(**changes)


def test_estimates_are_frozen_and_the_statuses_are_those_of_the_contract():
    with pytest.raises(dataclasses.FrozenInstanceError, match="status"):
        three_curves().status = np.array([OK] * 3)
    assert {OK, NO_WINDOW, DIVERGED, NOT_APPLICABLE} < set(STATUSES)
    assert len(STATUSES) == 6
