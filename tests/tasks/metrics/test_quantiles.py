import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_pinball_loss

from tasks.metrics.quantiles import DECILES, coverage, crps, level_weights, pinball

RNG = np.random.default_rng(5)


def test_pinball_equals_scikit_learn():
    truth, prediction = RNG.normal(size=(2, 30))
    for level in (0.05, 0.5, 0.9):
        expected = mean_pinball_loss(truth, prediction, alpha=level)
        assert pinball(truth, prediction, level=level) == pytest.approx(expected)


def test_deciles_of_a_normal_have_the_known_score():
    deciles = stats.norm.ppf(DECILES)
    assert crps([0.0], deciles[None]) == pytest.approx(0.24673, abs=5e-6)


@pytest.mark.parametrize(
    ("distribution", "truth", "known"),
    [(stats.norm, 0.0, 0.2336950), (stats.uniform, 0.5, 1 / 12)],
)
def test_many_levels_approach_the_integral(distribution, truth, known):
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = distribution.ppf(levels)[None]
    assert crps([truth], quantiles, levels=levels) == pytest.approx(known, abs=1e-5)


def test_unequal_levels_stand_for_their_part_of_the_integral():
    dense = np.concatenate(
        [np.linspace(0.001, 0.5, 1000), np.linspace(0.51, 0.999, 50)]
    )
    quantiles = stats.norm.ppf(dense)[None]
    assert crps([0.0], quantiles, levels=dense) == pytest.approx(0.233695, abs=1e-3)
    np.testing.assert_allclose(level_weights(DECILES), 1 / 9)
    # Cells: .1 (mirrored), (.1 + .3) / 2, .3 (mirrored); sum .6.
    np.testing.assert_allclose(level_weights([0.2, 0.3, 0.6]), [1 / 6, 2 / 6, 3 / 6])


def test_crps_is_the_weighted_interval_score():
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    equal = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    truth = RNG.normal(size=8)
    quantiles = np.sort(RNG.normal(size=(8, 5)), axis=1)
    low, high = quantiles[:, :2], quantiles[:, :2:-1]
    alpha = 2 * equal[:2]
    outside = np.maximum(low - truth[:, None], 0) + np.maximum(truth[:, None] - high, 0)
    interval = high - low + 2 / alpha * outside
    middle = np.abs(truth - quantiles[:, 2])
    wis = (middle / 2 + (alpha / 2 * interval).sum(axis=1)) / 2.5
    assert crps(truth, quantiles, levels=equal) == pytest.approx(wis.mean())
    assert crps(truth, quantiles, levels=levels) != pytest.approx(wis.mean())


def test_quantiles_that_agree_score_the_absolute_error():
    truth, point = RNG.normal(size=(2, 6))
    quantiles = np.repeat(point[:, None], 9, axis=1)
    # The pinball losses of a symmetric set of levels average to half of it.
    assert crps(truth, quantiles) == pytest.approx(np.abs(truth - point).mean())


def test_coverage_counts_the_rows_inside():
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    quantiles = np.array([[0.0, 1.0, 2.0]] * 4)
    assert coverage(truth, quantiles) == 0.75
    weights = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    np.testing.assert_allclose(
        coverage(truth, quantiles, weights=weights), [0.25, 0.75]
    )
    normal = stats.norm.ppf(DECILES)
    draws = np.random.default_rng(0).normal(size=4000)
    assert coverage(draws, np.tile(normal, (4000, 1))) == pytest.approx(0.8, abs=0.02)


def test_wrong_levels_and_shapes_are_refused():
    with pytest.raises(ValueError, match="expected ascending numbers between 0 and 1"):
        crps([0.0], [[0.0, 1.0]], levels=[0.9, 0.1])
    with pytest.raises(ValueError, match=r"levels are \[0.5, 1.0\]"):
        crps([0.0], [[0.0, 1.0]], levels=[0.5, 1.0])
    with pytest.raises(ValueError, match=r"prediction \[2, 3\]; expected \[N\] and"):
        crps([0.0, 1.0], np.zeros((2, 3)))
    with pytest.raises(ValueError, match="prediction is nan in row 1"):
        crps([0.0, 1.0], np.array([[0.0] * 9, [np.nan] * 9]))
