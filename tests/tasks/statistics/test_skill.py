import numpy as np
import pytest

from tasks.metrics.point import mae
from tasks.statistics.bootstrap import cluster_bootstrap
from tasks.statistics.skill import share_of_attainable, skill, skill_interval


def test_the_reference_has_no_skill_and_the_oracle_all():
    assert skill(0.4, 0.4) == 0.0
    assert skill(0.0, 0.4) == 1.0
    assert skill(1.0, 0.2, optimum=1.0) == 1.0
    assert skill(0.8, 0.4) == -1.0
    assert np.isnan(skill(0.1, 0.0))
    np.testing.assert_allclose(skill([1.0, 2.0], [4.0, 4.0]), [0.75, 0.5])


def test_a_score_at_the_ceiling_has_attained_everything():
    assert share_of_attainable(0.12, 0.5, ceiling=0.12) == 1.0
    assert share_of_attainable(0.31, 0.5, ceiling=0.12) == pytest.approx(0.5)
    assert np.isnan(share_of_attainable(0.1, 0.12, ceiling=0.12))


def test_the_interval_is_paired_on_the_families():
    rng = np.random.default_rng(0)
    families = np.repeat(np.arange(30), 3)
    hard = rng.exponential(size=30)[families]  # makes it hard for both alike
    truth = np.zeros(90)
    scores = [
        cluster_bootstrap(
            lambda w, p=factor * hard: mae(truth, p, weights=w), families, resamples=300
        )
        for factor in (0.5, 1.0)
    ]
    result = skill_interval(*scores)
    assert result.value == pytest.approx(0.5)
    # Unpaired, the ratio would vary by a third; paired, both errors move together.
    np.testing.assert_allclose(result.samples, 0.5)
    assert result.low == pytest.approx(result.high)
