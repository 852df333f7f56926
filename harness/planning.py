"""From a grid and a profile to a plan: runs resolved, deduplicated and in cohorts."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from harness.cohort import is_stacked
from harness.plan import Plan, PlannedRun
from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig
from harness.train import cohort_key

PACK: Final = 24
"""Runs of a natively stacked model that train together; more gain nothing on a CPU."""


def plan_grid(grid: str, profile: Profile, *, limit: int | None = None) -> Plan:
    """Resolve a grid on a profile, drop doubles and form cohorts.

    Args:
        grid: Registered name or `module:attribute`.
        profile: What the grid is run on.
        limit: Keep only the first runs.

    Raises:
        ValueError: `limit` is not positive.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected a positive number of runs")
    configs = [config.resolve() for config in GRIDS.get(grid)(profile)]
    distinct = list({config.run_id: config for config in configs}.values())
    if profile.max_runs is not None:
        distinct = _spread(distinct, profile.max_runs)
    label = f"{grid}/{profile.name}"
    distinct = distinct[:limit]
    cohort_of = {
        config.run_id: _cohort_id(cohort)
        for cohort in _cohorts(distinct)
        for config in cohort
    }
    return Plan(
        tuple(
            PlannedRun(config, config.run_id, cohort_of[config.run_id], (label,))
            for config in distinct
        )
    )


def _cohorts(configs: Sequence[RunConfig]) -> list[list[RunConfig]]:
    """Group runs that may train together, evenly and at most `PACK` at a time."""
    groups: defaultdict[object, list[RunConfig]] = defaultdict(list)
    for config in configs:
        groups[cohort_key(config)].append(config)
    cohorts = []
    for group in groups.values():
        largest = PACK if is_stacked(group[0].model) else 1
        count = -(-len(group) // largest)
        cohorts += [group[i::count] for i in range(count)]
    return cohorts


def _cohort_id(cohort: Sequence[RunConfig]) -> str:
    text = ",".join(config.run_id for config in cohort)
    return f"c-{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}"


def _spread(configs: Sequence[RunConfig], count: int) -> list[RunConfig]:
    """Return `count` runs of the first seed, evenly spaced over the grid."""
    first = [config for config in configs if config.seed == configs[0].seed]
    count = min(count, len(first))
    last = max(count - 1, 1)
    return [first[i * (len(first) - 1) // last] for i in range(count)]
