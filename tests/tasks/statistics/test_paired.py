import numpy as np
import pytest
from scipy import stats

from tasks.statistics.paired import paired_test


def test_the_tests_equal_scipy():
    first, second = np.random.default_rng(0).normal(size=(2, 15))
    ours = paired_test(first, second)
    theirs = stats.ttest_rel(first, second)
    assert ours.t == pytest.approx(theirs.statistic)
    assert ours.p_t == pytest.approx(theirs.pvalue)
    assert ours.p_wilcoxon == pytest.approx(stats.wilcoxon(first - second).pvalue)
    assert ours.d_z == pytest.approx(ours.t / np.sqrt(15))
    assert ours.difference == pytest.approx((first - second).mean())


def test_the_interval_holds_what_the_noncentral_t_says():
    first = np.random.default_rng(1).normal(1.0, 1.0, size=12)
    for sign in (1, -1):
        ours = paired_test(sign * first, np.zeros(12))
        tails = [
            stats.nct.cdf(abs(ours.t), 11, abs(d) * np.sqrt(12))
            for d in (ours.d_z_low, ours.d_z_high)
        ]
        assert sorted(tails) == pytest.approx([0.025, 0.975], abs=1e-6)
        assert ours.d_z_low < ours.d_z < ours.d_z_high


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        ours = paired_test(rng.normal(0.8, 1.0, size=8), np.zeros(8))
        hits += ours.d_z_low <= 0.8 <= ours.d_z_high
    assert hits / 100 == pytest.approx(0.95, abs=0.045)


def test_differences_without_variance_have_no_t():
    same = paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert same.difference == 0.0
    assert np.isnan([same.t, same.p_t, same.p_wilcoxon, same.d_z]).all()
    shifted = paired_test([1.1, 2.1, 3.1], [1.0, 2.0, 3.0])
    assert np.isnan(shifted.t)
    assert shifted.p_wilcoxon == pytest.approx(0.25)


def test_pairs_are_needed():
    with pytest.raises(ValueError, match="at least 2"):
        paired_test([1.0], [2.0])
    with pytest.raises(ValueError, match="truth is nan in row 0"):
        paired_test([np.nan, 1.0], [2.0, 3.0])
