import numpy as np
import pytest
from scipy import stats

from tasks.statistics.multiplicity import benjamini_hochberg, holm


def test_benjamini_hochberg_equals_scipy():
    p = np.random.default_rng(0).uniform(size=30) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))


def test_holm_of_a_table_by_hand():
    # Ascending .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04 -> .06 (never less).
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])


def test_holm_rejects_what_stepping_down_rejects():
    p = np.random.default_rng(1).uniform(size=12) ** 3
    rejected = np.zeros(12, dtype=bool)
    for step, i in enumerate(np.argsort(p)):
        if p[i] > 0.05 / (12 - step):
            break
        rejected[i] = True
    np.testing.assert_array_equal(holm(p) <= 0.05, rejected)
    assert rejected.any()
    assert not rejected.all()


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"p_values is 1.5 in row 1"):
        holm([0.1, 1.5])
    with pytest.raises(ValueError, match=r"expected \[m\]"):
        benjamini_hochberg([[0.1]])
