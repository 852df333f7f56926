import numpy as np
import pytest
from scipy import stats

from harness.errors import DataError
from tasks.metrics.point import mae, r2
from tasks.statistics.ceiling import replication, typical_sigma


def simulated(num_families, replicates, sigma_between, sigma_within, seed=0):
    rng = np.random.default_rng(seed)
    families = np.repeat(np.arange(num_families), replicates)
    means = sigma_between * rng.normal(size=num_families)
    return means[families] + sigma_within * rng.normal(size=len(families)), families


def test_a_table_by_hand():
    values, families = [1.0, 3.0, 5.0, 7.0, 9.0], ["a", "a", "b", "b", "c"]
    # Means 2, 6, 9 of 25 / 5: SSB = 2*9 + 2*1 + 16 = 36, MSB 18; MSW = 4 / 2.
    result = replication(values, families)
    n0 = (5 - (4 + 4 + 1) / 5) / 2
    assert result.replicates == pytest.approx(n0)
    assert result.icc == pytest.approx((18 - 2) / (18 + (n0 - 1) * 2))
    assert result.sigma_within == pytest.approx(np.sqrt(2))
    assert result.sigma_between == pytest.approx(np.sqrt(16 / n0))
    assert result.r2_ceiling == result.icc
    assert result.leave_one_out_factor == pytest.approx(np.sqrt(2))


def test_the_f_ratio_is_that_of_scipy():
    values, families = simulated(8, 4, 1.0, 0.7)
    f = stats.f_oneway(*(values[families == k] for k in range(8))).statistic
    assert replication(values, families).icc == pytest.approx((f - 1) / (f + 3))


def test_sigma_w_of_15_points_has_the_known_ceilings():
    values, families = simulated(4000, 3, 0.45, 0.15)
    result = replication(values, families)
    assert result.icc == pytest.approx(0.9, abs=0.01)
    assert result.mae_ceiling == pytest.approx(0.120, abs=0.002)
    assert result.mae_leave_one_out == pytest.approx(0.147, abs=0.002)
    assert result.leave_one_out_factor == pytest.approx(np.sqrt(1.5))
    # What predictors that know families really score on these runs.
    means = values.reshape(4000, 3)
    others = ((means.sum(axis=1)[:, None] - means) / 2).reshape(-1)
    assert mae(values, others) == pytest.approx(result.mae_leave_one_out, rel=0.02)


def test_the_best_r2_of_a_predictor_of_families_is_the_icc():
    rng = np.random.default_rng(1)
    families = np.repeat(np.arange(3000), 3)
    means = 0.3 * rng.normal(size=3000)[families]
    values = means + 0.2 * rng.normal(size=9000)
    result = replication(values, families)
    assert r2(values, means) == pytest.approx(result.r2_ceiling, abs=0.02)
    assert mae(values, means) == pytest.approx(result.mae_ceiling, rel=0.02)


def test_the_interval_covers_the_truth():
    hits, icc = 0, 0.6
    for seed in range(300):
        values, families = simulated(15, 3, np.sqrt(icc), np.sqrt(1 - icc), seed)
        result = replication(values, families)
        hits += result.icc_low <= icc <= result.icc_high
        assert result.icc_low < result.icc < result.icc_high
    assert hits / 300 == pytest.approx(0.95, abs=0.03)


def test_noise_alone_leaves_nothing_to_explain():
    values, families = simulated(500, 3, 0.0, 1.0)
    result = replication(values, families)
    assert abs(result.icc) < 0.1
    assert result.r2_ceiling >= 0.0
    assert np.isnan(replication([1.0] * 4, [0, 0, 1, 1]).r2_ceiling)


def test_a_target_without_replicates_has_no_ceiling():
    with pytest.raises(DataError, match="none of the 3 families has two runs"):
        replication([1.0, 2.0, 3.0], ["a", "b", "c"])
    with pytest.raises(ValueError, match="values is nan in row 1"):
        replication([1.0, np.nan], ["a", "a"])


def test_the_typical_deviation_is_that_of_equal_families_and_not_of_a_bad_one():
    random = np.random.default_rng(0)
    families = np.repeat(np.arange(400), 3)
    values = random.normal(0, 0.5, 1200) + families
    assert typical_sigma(values, families) == pytest.approx(0.5, rel=0.06)
    values[:3] += [0, 500, -500]
    assert typical_sigma(values, families) == pytest.approx(0.5, rel=0.06)
    assert replication(values, families).sigma_within > 10
    with pytest.raises(DataError, match="no family has two runs"):
        typical_sigma([1.0, 2.0], ["a", "b"])
