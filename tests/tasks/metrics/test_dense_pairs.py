import numpy as np
import pytest
from scipy import stats

from tasks.metrics.dense_pairs import EqualRows, beaten, untied
from tasks.metrics.pairs import PairTree, pair_sums
from tests.tasks.metrics.resampled import counts

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("decimals", [8, 1])
def test_the_table_of_pairs_equals_the_tree_to_the_bit(decimals):
    truth = RNG.normal(size=150).round(decimals)
    predictions = RNG.normal(size=(2, 150)).round(decimals)
    weights = counts(50, 40)[np.repeat(np.arange(50), 3)]
    early = RNG.random(150) < 0.7
    order = np.argsort(truth, kind="stable")
    prefix = np.searchsorted(truth[order], truth - 0.2)
    table = pair_sums(order, prefix, predictions, weights, counts=early)
    for won, row in zip(table.won, predictions, strict=True):
        tree = PairTree(order, prefix, row).sums(weights, weights * early[:, None])
        np.testing.assert_array_equal(won, tree.won)
        np.testing.assert_array_equal(table.total, tree.total)


@pytest.mark.parametrize("families", [1, 20, 60])
def test_equal_rows_are_summed_as_if_each_stood_alone(families):
    weights = counts(families, 7)[np.arange(60) % families]
    table = RNG.integers(0, 5, size=(60, 60)).astype(float)
    equal = EqualRows(weights)
    placed = table[equal.order][:, equal.order]
    expected = np.einsum("ib,ij,jb->b", weights, table, weights)
    np.testing.assert_array_equal(equal.sums(placed), expected)


@pytest.mark.parametrize("decimals", [8, 1])
def test_untied_pairs_are_those_of_scipys_tau(decimals):
    values, weights = RNG.normal(size=40).round(decimals), np.ones((40, 1))
    tied = np.sum([n * (n - 1) / 2 for n in np.unique(values, return_counts=True)[1]])
    assert untied(values, EqualRows(weights))[0] == 40 * 39 / 2 - tied


def test_what_is_beaten_counts_equals_half():
    table = beaten(np.array([1.0, 3.0, 1.0]))
    np.testing.assert_array_equal(table, [[0.5, 0, 0.5], [1, 0.5, 1], [0.5, 0, 0.5]])
    x, y = RNG.normal(size=(2, 30))
    signs = (2 * beaten(x) - 1) * (2 * beaten(y) - 1)
    tau = stats.kendalltau(x, y).statistic
    assert signs.sum() / (30 * 29) == pytest.approx(tau)
