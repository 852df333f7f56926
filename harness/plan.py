"""The list of runs that a folder is to hold, in cohorts; torch-free."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from harness import __version__
from harness.spec import RunConfig, canonical_json
from harness.storage import open_parquet, read_parquet, replacing, write_parquet

PLAN: Final = "plan.parquet"

_SCHEMA: Final = pa.schema(
    [
        ("run_id", pa.string()),
        ("cohort_id", pa.string()),
        ("grids", pa.list_(pa.string())),
        ("config_json", pa.string()),
    ]
)


_VERSION_KEY: Final = b"runcast"


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
        schema = _SCHEMA.with_metadata({_VERSION_KEY: __version__})
        with replacing(folder / PLAN) as temporary:
            write_parquet(temporary, pa.Table.from_pylist(rows, schema=schema))

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


def planned_with(folder: Path) -> str | None:
    """Return the version of runcast that wrote the plan; None if there is none."""
    path = folder / PLAN
    if not path.exists():
        return None
    with open_parquet(path) as file:
        metadata = file.schema_arrow.metadata or {}
    return str(metadata.get(_VERSION_KEY, b"unknown").decode())
