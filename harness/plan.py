"""The list of runs that a folder is to hold, in cohorts; torch-free."""

import dataclasses
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from harness import __version__
from harness.errors import CorpusError
from harness.sealed import read_sealed, write_sealed
from harness.spec import RunConfig, canonical_json
from harness.storage import replacing

PLAN: Final = "plan.parquet"
PLAN_AGAIN: Final = (
    "delete it, and the same command (`harness generate`, or `harness.work` with "
    "--grid) plans again; finished runs are kept"
)
"""How a damaged plan is mended."""

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
    """Names of the grids that reference the run, as "grid/profile"; none for an orphan,
    which was planned by a grid that has changed since: kept, and not published."""


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

    @property
    def grids(self) -> dict[str, tuple[str, ...]]:
        """Return the grids of every run that some grid references, by id."""
        return {run.run_id: run.grids for run in self.runs if run.grids}

    @property
    def orphans(self) -> list[PlannedRun]:
        """Return the runs that no grid references any more."""
        return [run for run in self.runs if not run.grids]

    def merged_with(self, other: "Plan", *, replacing: bool = False) -> "Plan":
        """Return the union; a run keeps the cohort that it was first planned in.

        Args:
            other: Runs to add.
            replacing: Whether `other` is all that its grids hold: runs that they do not
                hold any more are theirs no longer.
        """
        known = {run.run_id: run for run in self.runs}
        if replacing:
            theirs = {label for run in other.runs for label in run.grids}
            for run in self.runs:
                left = tuple(label for label in run.grids if label not in theirs)
                known[run.run_id] = dataclasses.replace(run, grids=left)
        for run in other.runs:
            before = known.get(run.run_id, run)
            grids = tuple(sorted({*before.grids, *run.grids}))
            known[run.run_id] = dataclasses.replace(before, grids=grids)
        return Plan(tuple(known.values()))

    @classmethod
    def joined(cls, plans: Iterable["Plan"]) -> "Plan":
        """Return the union of plans made apart, none of which is known to be the newer.

        A run keeps the cohort of the first plan that has it. A plan that keeps a run as
        an orphan has seen it leave its grids: the run is in none of these, whatever the
        other plans say, and in the grids of theirs that this plan does not know.
        """
        union = cls(())
        left: defaultdict[str, set[str]] = defaultdict(set)
        for plan in plans:
            union = union.merged_with(plan)
            labels = {label for run in plan.runs for label in run.grids}
            for run in plan.orphans:
                left[run.run_id] |= labels
        return cls(
            tuple(
                dataclasses.replace(
                    run, grids=tuple(g for g in run.grids if g not in left[run.run_id])
                )
                for run in union.runs
            )
        )

    def save(self, folder: Path) -> None:
        """Write the plan to `folder`.

        Raises:
            StorageError: It could not be written.
        """
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
            write_sealed(temporary, pa.Table.from_pylist(rows, schema=schema))

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read the plan of `folder`; empty if there is none yet.

        Raises:
            CorpusError: It is damaged.
        """
        table = _table(folder)
        if table is None:
            return cls(())
        try:
            return cls(
                tuple(
                    PlannedRun(
                        RunConfig.from_json(json.loads(row["config_json"])),
                        row["run_id"],
                        row["cohort_id"],
                        tuple(row["grids"]),
                    )
                    for row in table.to_pylist()
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(
                f"{folder / PLAN} is damaged ({error!r}): {PLAN_AGAIN}"
            ) from error


def planned_with(folder: Path) -> str | None:
    """Return the version of runcast that wrote the plan; None if there is none.

    Raises:
        CorpusError: The plan is damaged.
    """
    table = _table(folder)
    if table is None:
        return None
    metadata = table.schema.metadata or {}
    return str(metadata.get(_VERSION_KEY, b"unknown").decode())


def _table(folder: Path) -> pa.Table | None:
    """Return the plan as it lies in `folder`; None if there is none."""
    path = folder / PLAN
    if not os.path.lexists(path):
        return None
    try:
        return read_sealed(path)
    except CorpusError as error:
        raise CorpusError(f"{error}: {PLAN_AGAIN}") from error
