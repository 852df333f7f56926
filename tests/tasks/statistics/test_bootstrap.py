import numpy as np
import pytest
from scipy import stats

from tasks.metrics.pairs import kendall
from tasks.metrics.point import mae
from tasks.metrics.rank import spearman
from tasks.statistics import bootstrap
from tasks.statistics.bootstrap import (
    cluster_bootstrap,
    combine,
    family_draws,
    family_index,
)

RNG = np.random.default_rng(0)
SIZES = np.array([3, 1, 3, 2, 5, 3, 3, 4, 1, 2])
FAMILIES = np.array([f"family {i:02d}" for i in np.repeat(np.arange(10), SIZES)])
TRUTH = RNG.normal(size=10).repeat(SIZES) + 0.3 * RNG.normal(size=SIZES.sum())
PREDICTIONS = TRUTH + RNG.normal(size=(2, len(TRUTH)))


def naive_samples(function, resamples, seed=0):
    """Copy the rows of the drawn families and call the library, `[B]`."""
    members = [np.flatnonzero(label == FAMILIES) for label in np.unique(FAMILIES)]
    return np.array(
        [
            function(np.concatenate([members[f] for f in drawn]))
            for drawn in family_draws(len(members), resamples, seed)
        ]
    )


@pytest.mark.parametrize(
    ("metric", "library"),
    [
        (mae, lambda y, p: np.abs(y - p).mean()),
        (spearman, lambda y, p: stats.spearmanr(y, p).statistic),
        (kendall, lambda y, p: stats.kendalltau(y, p).statistic),
    ],
)
def test_samples_equal_the_naive_loop_over_families(metric, library):
    result = cluster_bootstrap(
        lambda w: metric(TRUTH, PREDICTIONS, weights=w), FAMILIES, resamples=80
    )
    for p, value, samples in zip(
        PREDICTIONS, result.value, result.samples, strict=True
    ):
        assert value == pytest.approx(library(TRUTH, p), abs=1e-12)
        loop = naive_samples(lambda i, p=p: library(TRUTH[i], p[i]), 80)
        np.testing.assert_allclose(samples, loop, atol=1e-12)
    np.testing.assert_allclose(
        [result.low, result.high], np.quantile(result.samples, [0.025, 0.975], axis=1)
    )


def test_samples_do_not_depend_on_the_size_of_blocks(monkeypatch):
    def once():
        statistic = lambda w: mae(TRUTH, PREDICTIONS, weights=w)  # noqa: E731
        return cluster_bootstrap(statistic, FAMILIES, resamples=50, bca=True)

    whole = once()
    monkeypatch.setattr(bootstrap, "BLOCK", 7 * len(TRUTH))
    monkeypatch.setattr(bootstrap, "NARROW", 1)
    parts = once()
    np.testing.assert_allclose(parts.samples, whole.samples, rtol=1e-14)
    np.testing.assert_allclose(parts.low, whole.low, rtol=1e-14)


def test_bca_equals_scipy_where_families_are_rows():
    rows = RNG.exponential(size=40) ** 2
    ours = cluster_bootstrap(
        lambda w: rows @ w / w.sum(0), np.arange(40), resamples=20_000, bca=True
    )
    theirs = stats.bootstrap(
        (rows,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    plain = cluster_bootstrap(
        lambda w: rows @ w / w.sum(0), np.arange(40), resamples=20_000
    )
    assert ours.low == pytest.approx(theirs.low, rel=0.02)
    assert ours.high == pytest.approx(theirs.high, rel=0.02)
    assert abs(plain.high - theirs.high) > 2 * abs(ours.high - theirs.high)


def test_undefined_resamples_are_counted_and_left_out():
    families = ["a", "b", "c"]
    result = cluster_bootstrap(
        lambda w: spearman([1.0, 2.0, 3.0], [[1.0, 3.0, 2.0], [1.0] * 3], weights=w),
        families,
        resamples=300,
    )
    draws = family_draws(3, 300)
    assert result.undefined[0] == sum(len(set(d)) == 1 for d in draws)
    assert result.undefined[0] > 0
    assert np.isfinite(result.low[0])
    assert result.undefined[1] == 300
    assert np.isnan(result.low[1])


def test_a_difference_is_paired():
    parts = [
        cluster_bootstrap(
            lambda w, p=p: mae(TRUTH, p, weights=w), FAMILIES, resamples=200
        )
        for p in PREDICTIONS
    ]
    gap = combine(np.subtract, *parts)
    assert gap.value == parts[0].value - parts[1].value
    np.testing.assert_array_equal(gap.samples, parts[0].samples - parts[1].samples)
    same = combine(np.subtract, parts[0], parts[0])
    assert same.low == same.high == 0.0
    other = cluster_bootstrap(
        lambda w: mae(TRUTH, TRUTH, weights=w), FAMILIES, resamples=200, seed=1
    )
    with pytest.raises(ValueError, match=r"not paired: .*\(10, 200, 0\), \(10, 200, 1"):
        combine(np.subtract, parts[0], other)


def test_drawing_among_the_own_families_changes_no_bit():
    def once(**more):
        statistic = lambda w: mae(TRUTH, PREDICTIONS, weights=w)  # noqa: E731
        return cluster_bootstrap(statistic, FAMILIES, resamples=60, seed=2, **more)

    plain, among = once(), once(among=sorted(set(FAMILIES.tolist()), reverse=True))
    np.testing.assert_array_equal(plain.samples, among.samples)
    np.testing.assert_array_equal(plain.low, among.low)
    assert plain.draws == among.draws


def test_rows_of_some_families_take_their_weights_from_the_draws_of_all():
    rows = np.flatnonzero(np.isin(FAMILIES, ["family 01", "family 04"]))
    truth, said, own = TRUTH[rows], PREDICTIONS[0][rows], FAMILIES[rows]
    result = cluster_bootstrap(
        lambda w: mae(truth, said, weights=w), own, resamples=200, among=FAMILIES
    )
    missed = np.abs(truth - said)
    expected = []
    for drawn in family_draws(10, 200):
        picked = [np.flatnonzero(own == f"family {f:02d}") for f in drawn]
        errors = missed[np.concatenate(picked)]
        expected.append(errors.mean() if len(errors) else np.nan)
    np.testing.assert_allclose(result.samples, expected)
    assert result.undefined == np.isnan(expected).sum() > 0
    one = cluster_bootstrap(
        lambda w: mae(truth, said, weights=w), ["a"] * len(rows), among=["a", "b"]
    )
    assert one.value == pytest.approx(missed.mean())


def test_families_that_are_not_among_those_drawn_from_are_refused():
    with pytest.raises(ValueError, match=r"1 families of the rows, such as 'c', are"):
        cluster_bootstrap(lambda w: w.sum(0), ["a", "c"], among=["a", "b"])
    with pytest.raises(ValueError, match=r"at least two families"):
        cluster_bootstrap(lambda w: w.sum(0), ["a", "a"], among=["a"])
    with pytest.raises(ValueError, match=r"bca corrects for the families of the rows"):
        cluster_bootstrap(lambda w: w.sum(0), ["a", "b"], among=["a", "b"], bca=True)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least two families"):
        family_index(["a", "a"])
    with pytest.raises(ValueError, match="resamples is 0"):
        cluster_bootstrap(lambda w: w.sum(0), [0, 1], resamples=0)
    with pytest.raises(ValueError, match="level is 95"):
        cluster_bootstrap(lambda w: w.sum(0), [0, 1], level=95)


@pytest.mark.slow
def test_families_cover_the_truth_where_runs_pretend_to():
    """24 families of 5 at intra-class correlation .9: 65 % against 90-93 %."""
    families, trials, covered = np.repeat(np.arange(24), 5), 400, np.zeros(2)
    rho = 6 / np.pi * np.arcsin(0.4 / 2)  # Spearman's for a normal correlation of .4
    mix = np.array([[1.0, 0.0], [0.4, np.sqrt(1 - 0.4**2)]])
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        between, within = (
            mix @ rng.normal(size=(2, 24)),
            mix @ rng.normal(size=(2, 120)),
        )
        x, y = np.sqrt(0.9) * between[:, families] + np.sqrt(0.1) * within
        for kind, labels in enumerate((np.arange(120), families)):
            result = cluster_bootstrap(
                lambda w, x=x, y=y: spearman(y, x, weights=w),
                labels,
                resamples=500,
                seed=trial,
            )
            covered[kind] += result.low <= rho <= result.high
    naive, clustered = covered / trials
    assert naive == pytest.approx(0.65, abs=0.06)
    assert clustered == pytest.approx(0.92, abs=0.04)
