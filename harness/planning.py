"""From a grid and a profile to a plan: runs resolved, deduplicated and in cohorts."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from harness.cohort import is_stacked
from harness.plan import Plan, PlannedRun
from harness.profiles import Profile
from harness.registry import GRIDS
from harness.secret_grid import MARK, secret_twin
from harness.spec import RunConfig
from harness.train import cohort_key

PACK: Final = 24
"""Runs of a natively stacked model that train together; more gain nothing on a CPU."""


def usual_packing(config: RunConfig) -> int:
    """Return how many runs like `config` train together where nothing was tried."""
    return PACK if is_stacked(config.model) else 1


def plan_grid(
    grid: str,
    profile: Profile,
    *,
    limit: int | None = None,
    key: bytes | None = None,
    packing: Callable[[RunConfig], int] = usual_packing,
    workers: int = 1,
) -> Plan:
    """Resolve a grid on a profile, drop doubles and form cohorts.

    Args:
        grid: Registered name or `module:attribute`.
        profile: What the grid is run on.
        limit: Keep only the first runs.
        key: Plan the grid's secret twin, drawn by this key, in the order of the ids:
            the grid's own order would tell the public seeds.
        packing: Returns how many runs like this one train together at most.
        workers: Cohorts of ordinary models are small enough to occupy as many.

    Raises:
        ValueError: `limit` is not positive.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected a positive number of runs")
    configs = [config.resolve() for config in GRIDS.get(grid)(profile)]
    runs = {config.run_id: config for config in configs}
    if profile.max_runs is not None:
        runs = _spread(runs, profile.max_runs)
    runs = dict(islice(runs.items(), limit))
    if key is not None:
        twins = [secret_twin(config, key) for config in runs.values()]
        runs = dict(sorted((twin.run_id, twin) for twin in twins))
    label = f"{grid}{'' if key is None else MARK}/{profile.name}"
    cohort_of = _cohorts(runs, packing, workers)
    return Plan(
        tuple(
            PlannedRun(config, run_id, cohort_of[run_id], (label,))
            for run_id, config in runs.items()
        )
    )


def _cohorts(
    runs: Mapping[str, RunConfig], packing: Callable[[RunConfig], int], workers: int
) -> dict[str, str]:
    """Return the cohort of every run: alike, even in size and not too large."""
    groups: defaultdict[object, list[str]] = defaultdict(list)
    for run_id, config in runs.items():
        groups[cohort_key(config)].append(run_id)
    cohort_of: dict[str, str] = {}
    for group in groups.values():
        first = runs[group[0]]
        count = -(-len(group) // packing(first))
        if not is_stacked(first.model):
            count = max(count, min(workers, len(group)))
        for i in range(count):
            cohort_of |= dict.fromkeys(group[i::count], _cohort_id(group[i::count]))
    return cohort_of


def _cohort_id(run_ids: Sequence[str]) -> str:
    text = ",".join(run_ids)
    return f"c-{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}"


def _spread(runs: Mapping[str, RunConfig], count: int) -> dict[str, RunConfig]:
    """Return `count` runs of the first seed, evenly spaced over the grid."""
    seed = next(iter(runs.values())).seed
    first = [(run_id, config) for run_id, config in runs.items() if config.seed == seed]
    count = min(count, len(first))
    last = max(count - 1, 1)
    return dict(first[i * (len(first) - 1) // last] for i in range(count))
