import numpy as np
import pytest
from scipy import stats

from harness.errors import DataError
from tasks.metrics.table import METRICS as TABLE
from tasks.metrics.table import metric
from tasks.statistics.attainable import METRICS, attainable, mean_difference
from tasks.statistics.ceiling import replication

RNG = np.random.default_rng(0)
FAMILIES, REPLICATES = 4000, 3
FAMILY = np.repeat(np.arange(FAMILIES), REPLICATES)


def simulated(spread):
    """Return family means and runs around them; `spread` a number or one a family."""
    mean = RNG.normal(size=FAMILIES)
    noise = np.broadcast_to(spread, FAMILIES)[FAMILY] * RNG.normal(size=len(FAMILY))
    return mean[FAMILY], mean[FAMILY] + noise


@pytest.mark.parametrize("spread", [0.2, 0.6, 1.2])
@pytest.mark.parametrize("name", ["mae", "rmse", "r2", "spearman", "kendall"])
def test_the_ceiling_is_what_knowing_the_family_scores(name, spread):
    mean, truth = simulated(spread)
    scored = float(metric(name).function(truth, mean))
    assert attainable(name, truth, FAMILY) == pytest.approx(scored, rel=0.03, abs=0.01)


def test_families_may_differ_in_spread():
    mean, truth = simulated(0.3 * np.exp(RNG.normal(size=FAMILIES)))
    scored = np.abs(truth - mean).mean()
    assert attainable("mae", truth, FAMILY) == pytest.approx(scored, rel=0.04)
    # One spread for all families would promise less than can be had.
    assert replication(truth, FAMILY).mae_ceiling > 1.2 * scored


def test_logarithms_have_the_ceiling_of_their_own_differences():
    _, truth = simulated(0.5)
    assert attainable("log_mae", np.exp(truth), FAMILY) == pytest.approx(
        attainable("mae", truth, FAMILY)
    )
    assert attainable("log_mae", truth, FAMILY) is None  # some are negative


def test_brier_leaves_the_variance_of_a_coin():
    p = RNG.beta(0.5, 0.5, size=FAMILIES)[FAMILY]
    event = (RNG.random(len(FAMILY)) < p).astype(float)
    expected = np.mean(p * (1 - p))
    assert attainable("brier", event, FAMILY) == pytest.approx(expected, rel=0.04)


def test_rank_correlation_is_bound_by_the_families_share_of_the_ranks():
    _, truth = simulated(0.6)
    ranks = stats.rankdata(truth)
    of_family = (np.bincount(FAMILY, ranks) / REPLICATES)[FAMILY]
    between = np.var(of_family) - np.var(ranks - of_family) / (REPLICATES - 1)
    expected = np.sqrt(between / np.var(ranks))
    assert attainable("spearman", truth, FAMILY) == pytest.approx(expected, rel=1e-3)


def test_differences_equal_the_loop_over_pairs():
    values, families = RNG.normal(size=9), [0, 0, 0, 1, 1, 2, 3, 3, 3]
    sizes = {0: 3, 1: 2, 3: 3}  # family 2 has no replicate
    for power in (1, 2):
        loop = 0.0
        for family, size in sizes.items():
            own = values[np.array(families) == family]
            pairs = [abs(a - b) ** power for i, a in enumerate(own) for b in own[:i]]
            loop += size * np.mean(pairs) / 8
        found = mean_difference(values, families, power=power)
        assert found == pytest.approx(loop / np.sqrt(2))


def test_what_has_no_ceiling_is_none():
    values, families = [1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1]
    others = set(TABLE) - set(METRICS)
    assert all(attainable(name, values, families) is None for name in others)
    for name in METRICS:
        assert attainable(name, [1.0, 0.5], [0, 1]) is None  # no replicates
    assert attainable("r2", [2.0, 2.0, 2.0, 2.0], families) is None
    assert attainable("mae", [2.0, 2.0, 2.0, 2.0], families) == 0.0
    with pytest.raises(DataError, match="no family has two runs"):
        mean_difference([1.0, 0.5], [0, 1])
