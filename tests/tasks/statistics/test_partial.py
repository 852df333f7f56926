import numpy as np
import pytest
from scipy import stats

from tasks.statistics.bootstrap import cluster_bootstrap
from tasks.statistics.partial import partial_spearman
from tests.tasks.metrics.resampled import counts, each_resample

RNG = np.random.default_rng(0)
N = 60
RATE = RNG.normal(size=N)
KIND = RNG.choice(["adamw", "lion", "sgd"], size=N)
SIGNAL = RATE + RNG.normal(size=N) + (KIND == "sgd")
TRUTH = RATE + 0.5 * SIGNAL + RNG.normal(size=N)


def naive(truth, signal, numeric, kind):
    """Residuals of ranks on an intercept, ranks and dummies, then Pearson's r."""
    design = [np.ones(len(truth)), *(stats.rankdata(z) for z in numeric)]
    design += [kind == k for k in np.unique(kind)[1:]]
    a = np.array(design, dtype=float).T
    residuals = [
        v - a @ np.linalg.lstsq(a, v, rcond=None)[0]
        for v in (stats.rankdata(truth), stats.rankdata(signal))
    ]
    return stats.pearsonr(*residuals).statistic


def test_one_control_has_the_known_value():
    # Correlations .6, .5, .7 give (.6 - .35) / sqrt(.75 x .51).
    assert (0.6 - 0.5 * 0.7) / np.sqrt(0.75 * 0.51) == pytest.approx(0.404226, abs=5e-7)
    r = {
        (a, b): stats.spearmanr(u, v).statistic
        for a, u in enumerate((TRUTH, SIGNAL, RATE))
        for b, v in enumerate((TRUTH, SIGNAL, RATE))
    }
    formula = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt(
        (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)
    )
    ours = partial_spearman(TRUTH, SIGNAL, numeric=[RATE])
    assert ours == pytest.approx(formula, abs=1e-12)


def test_rank_correlations_of_6_5_7_give_404226():
    # Spearman's of a normal is 6/pi arcsin(r/2): the r that give .6, .5 and .7.
    xy, xz, yz = 2 * np.sin(np.pi / 6 * np.array([0.6, 0.5, 0.7]))
    mix = np.linalg.cholesky([[1, xy, xz], [xy, 1, yz], [xz, yz, 1]])
    x, y, z = mix @ np.random.default_rng(3).normal(size=(3, 100_000))
    assert partial_spearman(x, y, numeric=[z]) == pytest.approx(0.404226, abs=0.008)


def test_several_controls_equal_residuals_of_ranks():
    other = RNG.integers(4, size=N).astype(float)
    ours = partial_spearman(
        TRUTH, [SIGNAL, other + RATE], numeric=[RATE, other], categories=[KIND]
    )
    assert ours[0] == pytest.approx(
        naive(TRUTH, SIGNAL, [RATE, other], KIND), abs=1e-10
    )
    expected = naive(TRUTH, other + RATE, [RATE, other], KIND)
    assert ours[1] == pytest.approx(expected, abs=1e-10)


def test_resamples_equal_the_loop_over_copies():
    weights = counts(N, 12, families=np.arange(N) // 3)
    ours = partial_spearman(
        TRUTH, SIGNAL, numeric=[RATE], categories=[KIND], weights=weights
    )
    loop = each_resample(
        weights, lambda i: naive(TRUTH[i], SIGNAL[i], [RATE[i]], KIND[i])
    )
    np.testing.assert_allclose(ours, loop, atol=1e-10)


def test_without_controls_it_is_spearman():
    expected = stats.spearmanr(TRUTH, SIGNAL).statistic
    assert partial_spearman(TRUTH, SIGNAL) == pytest.approx(expected, abs=1e-12)


def test_a_signal_that_the_controls_explain_is_undefined():
    assert np.isnan(partial_spearman(TRUTH, RATE**3, numeric=[RATE]))
    single = (KIND == "sgd").astype(float)
    assert np.isnan(partial_spearman(TRUTH, single, categories=[KIND]))


def test_a_category_that_a_resample_lacks_does_no_harm():
    weights = np.ones((N, 1)) * (KIND != "lion")[:, None]
    kept = KIND != "lion"
    ours = partial_spearman(
        TRUTH, SIGNAL, numeric=[RATE], categories=[KIND], weights=weights
    )
    expected = naive(TRUTH[kept], SIGNAL[kept], [RATE[kept]], KIND[kept])
    assert ours[0] == pytest.approx(expected, abs=1e-10)


def test_it_goes_into_the_bootstrap():
    result = cluster_bootstrap(
        lambda w: partial_spearman(TRUTH, SIGNAL, numeric=[RATE], weights=w),
        np.arange(N) // 3,
        resamples=200,
    )
    assert result.low < result.value < result.high
    with pytest.raises(ValueError, match="a label for each of the 60 rows"):
        partial_spearman(TRUTH, SIGNAL, categories=[["a", "b"]])
