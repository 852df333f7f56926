"""From a grid and a profile to the list of runs: resolved, deduplicated, in cohorts."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig, canonical_json
from harness.storage import read_parquet, replacing, write_parquet

PLAN: Final = "plan.parquet"

PACK: Final = 24
"""Runs of a natively stacked model that train together; more gain nothing on a CPU."""

_SCHEMA: Final = pa.schema(
    [
        ("run_id", pa.string()),
        ("cohort_id", pa.string()),
        ("grids", pa.list_(pa.string())),
        ("config_json", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run of the plan."""

    config: RunConfig
    """Resolved configuration."""
    run_id: str
    """Its id."""
    cohort_id: str
    """The runs with one cohort id train together."""
    grids: tuple[str, ...]
    """Names of the grids that reference the run, as "grid/profile"."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs in grid order."""

    runs: tuple[PlannedRun, ...]

    def cohorts(self) -> dict[str, list[PlannedRun]]:
        """Return the runs by cohort, in plan order."""
        cohorts: defaultdict[str, list[PlannedRun]] = defaultdict(list)
        for run in self.runs:
            cohorts[run.cohort_id].append(run)
        return dict(cohorts)

    def merged_with(self, other: "Plan") -> "Plan":
        """Return the union; a run keeps the cohort that it was first planned in."""
        known = {run.run_id: run for run in self.runs}
        for run in other.runs:
            before = known.get(run.run_id, run)
            grids = tuple(sorted({*before.grids, *run.grids}))
            known[run.run_id] = PlannedRun(
                before.config, before.run_id, before.cohort_id, grids
            )
        return Plan(tuple(known.values()))

    def save(self, folder: Path) -> None:
        """Write the plan to `folder`."""
        rows = [
            {
                "run_id": run.run_id,
                "cohort_id": run.cohort_id,
                "grids": list(run.grids),
                "config_json": canonical_json(run.config.to_json()),
            }
            for run in self.runs
        ]
        with replacing(folder / PLAN) as temporary:
            write_parquet(temporary, pa.Table.from_pylist(rows, schema=_SCHEMA))

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read the plan of `folder`; empty if there is none yet."""
        path = folder / PLAN
        if not path.exists():
            return cls(())
        return cls(
            tuple(
                PlannedRun(
                    RunConfig.from_json(json.loads(row["config_json"])),
                    row["run_id"],
                    row["cohort_id"],
                    tuple(row["grids"]),
                )
                for row in read_parquet(path).to_pylist()
            )
        )


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
    from harness.cohort import is_stacked
    from harness.train import cohort_key

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
