"""Family bootstrap of Spearman's correlation against the loop a user would write.

The loop copies the rows of the drawn families and calls scipy for every resample; both
see the same draws and agree to 1e-12. Below: what 1,000 resamples cost as the corpus
grows. Processor time of one thread. Floor: the passes over the weights that any such
bootstrap makes, here one gather of rows, timed on the same arrays.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from harness.executors.local import cpu_environment
from tasks.metrics.pairs import kendall
from tasks.metrics.point import mae
from tasks.metrics.rank import spearman
from tasks.statistics.bootstrap import (
    Bootstrap,
    Statistic,
    cluster_bootstrap,
    family_draws,
)

ROUNDS = 5
RESAMPLES = 1000
LOOPED = 200
"""Resamples of the loop; its cost a resample does not depend on their number."""
REPLICATES = 3
PREDICTORS = 12


def seconds(action: Callable[[], object]) -> float:
    """Return the processor seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def synthetic(num_runs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth `[N]`, predictions `[P, N]` and families `[N]`."""
    random = np.random.default_rng(0)
    truth = random.normal(size=num_runs)
    predictions = truth + random.normal(size=(PREDICTORS, num_runs))
    return truth, predictions, np.arange(num_runs) // REPLICATES


def loop(function: Callable[..., Any], truth: np.ndarray, p: np.ndarray) -> list[float]:
    """Return the statistic of every resample, by copying rows."""
    rows = np.arange(len(truth)).reshape(-1, REPLICATES)
    draws = family_draws(len(rows), RESAMPLES)[:LOOPED]
    return [
        function(truth[i], p[i]).statistic for i in (rows[d].ravel() for d in draws)
    ]


def compare(
    name: str, ours: Callable[..., Any], theirs: Callable[..., Any], count: int
) -> None:
    """Print the ratio of the loop to ours on 432 runs for `count` predictors."""
    truth, predictions, families = synthetic(432)
    predictions = predictions[:count]

    def quick() -> Bootstrap:
        statistic = lambda w: ours(truth, predictions, weights=w)  # noqa: E731
        return cluster_bootstrap(statistic, families, resamples=RESAMPLES)

    slow = np.array(loop(theirs, truth, predictions[0]))
    error = np.abs(quick().samples[0, :LOOPED] - slow).max()
    assert error < 1e-12, f"{name} differs from scipy by {error}"
    ratios, mine = [], []
    for _ in range(ROUNDS):
        a = seconds(quick) / RESAMPLES / count
        b = seconds(lambda: loop(theirs, truth, predictions[0])) / LOOPED
        ratios.append(b / a)
        mine.append(a)
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{name:9s} {count:3d} predictors {1e6 * statistics.median(mine):8.1f} us"
        f"  {middle:6.1f} [{low:.1f}, {high:.1f}]  largest difference {error:.0e}"
    )


def grow(name: str, statistic_of: Callable[..., Statistic], num_runs: int) -> None:
    """Print the seconds of 1,000 resamples of one predictor of `num_runs` runs."""
    truth, predictions, families = synthetic(num_runs)
    statistic = statistic_of(truth, predictions[:1])
    weights, order = np.ones((num_runs, 32)), np.argsort(truth)

    def resample() -> Bootstrap:
        return cluster_bootstrap(statistic, families, resamples=RESAMPLES)

    def gather() -> object:
        return weights[order]

    costs, floors = [], []
    for _ in range(3):
        costs.append(seconds(resample))
        floors.append(seconds(gather) * RESAMPLES / 32)
    cost, floor = statistics.median(costs), statistics.median(floors)
    print(
        f"{name:9s} N {num_runs:7d}  {cost:8.3f} s  {1e6 * cost / num_runs:6.1f} us"
        f" a run  {cost / floor:5.1f} gathers"
    )


def main() -> None:
    """Print the tables."""
    print(f"432 runs, a resample and predictor; load {os.getloadavg()[0]:.1f}")
    print("ratio of the scipy loop: median [quartiles]")
    compare("spearman", spearman, stats.spearmanr, 1)
    compare("spearman", spearman, stats.spearmanr, PREDICTORS)
    compare("kendall", kendall, stats.kendalltau, 1)
    print("1,000 resamples of one predictor, with the drawing")
    for name, metric, sizes in (
        ("mae", mae, [432, 10_000, 100_000]),
        ("spearman", spearman, [432, 10_000, 100_000]),
        ("kendall", kendall, [432, 10_000]),
    ):
        for num_runs in sizes:
            grow(name, lambda y, p, m=metric: lambda w: m(y, p, weights=w), num_runs)


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | cpu_environment(1)
        )
    main()
