"""How far a corpus folder is and what it cost so far, without loading torch."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from harness import lease
from harness.corpus import Corpus
from harness.costs import Costs, cost_columns, costs, costs_text
from harness.errors import CorpusError
from harness.manifest import MANIFEST, read_manifest
from harness.plan import Plan
from harness.record import failed_ids, finished_ids, shard_path
from harness.storage import open_parquet, read_parquet

STATES: Final = ("completed", "diverged", "failed", "running", "pending")
"""A run is in one of these: finished twice over, failed, on a worker, or to do."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed and was not finished since."""

    run_id: str
    error: str
    """Last line of the traceback, which names the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a corpus folder is."""

    folder: Path
    planned: int
    """Distinct runs of the plan, or of the tables of a downloaded corpus."""
    counts: dict[str, int]
    """Runs by state, see `STATES`; the states add up to `planned`."""
    grids: dict[str, dict[str, int]]
    """The same by grid; a run that two grids share counts in both."""
    workers: int
    """Cohorts that living workers hold."""
    tables: str
    """"current", "outdated" (shards that they lack), "damaged" or "missing"."""
    failures: tuple[Failure, ...]
    """Failed runs, sorted by id."""
    costs: Costs
    """What the finished runs spent."""

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left to do."""
        finished = self.counts["completed"] + self.counts["diverged"]
        return finished == self.planned and self.tables == "current"


def status(folder: Path) -> Status:
    """Return how far `folder` is.

    Raises:
        CorpusError: It is no folder of runs, or its plan is damaged.
    """
    plan = Plan.load(folder)
    tables, known = _tables(folder)
    if not plan.runs and tables == "missing":
        raise CorpusError(
            f"{folder} holds neither a plan nor a corpus: name the folder that was "
            "given to `harness generate --out`"
        )
    shards = folder / "shards"
    ended = _ended(shards, known) if shards.is_dir() else known
    states = dict.fromkeys(failed_ids(shards), "failed")
    states |= dict(ended.select("run_id", "status").iter_rows())
    grids = {run.run_id: run.grids for run in plan.runs} or {i: () for i in states}
    held = _held(folder)
    for run in plan.runs:
        if run.run_id not in states or states[run.run_id] == "failed":
            if run.cohort_id in held:
                states[run.run_id] = "running"
            else:
                states.setdefault(run.run_id, "pending")
    labels = sorted({label for names in grids.values() for label in names})
    return Status(
        folder=folder,
        planned=len(grids),
        counts=_count([states[i] for i in grids]),
        grids={g: _count([states[i] for i in grids if g in grids[i]]) for g in labels},
        workers=len(held),
        tables=tables,
        failures=tuple(
            Failure(i, _error(shard_path(shards, i, failed=True)))
            for i in sorted(grids)
            if states[i] == "failed" and shards.is_dir()
        ),
        costs=costs(ended.filter(pl.col("run_id").is_in(list(grids)))),
    )


def status_text(status: Status) -> str:
    """Return the status as text of at most 80 columns."""
    width = max([5, *(len(grid) for grid in status.grids)])
    header = f"{'':{width}} {'planned':>9}" + "".join(f"{s:>11}" for s in STATES)
    lines = [str(status.folder), "", header]
    rows = {**status.grids, "total": status.counts}
    if len(status.grids) == 1:
        rows = status.grids
    for name, counts in rows.items():
        cells = "".join(f"{counts[s] or '-':>11}" for s in STATES)
        lines.append(f"{name:{width}} {sum(counts.values()):>9}{cells}")
    lines += ["", f"tables: {status.tables}{_advice(status)}"]
    if status.workers:
        lines.append(f"workers: {status.workers} at work")
    for failure in status.failures[:SHOWN]:
        lines.append(f"failed: {failure.run_id}  {failure.error}"[:79])
    if len(status.failures) > SHOWN:
        lines.append(f"        and {len(status.failures) - SHOWN} more")
    if spent := costs_text(status.costs):
        lines += ["", *spent]
    return "\n".join(lines)


SHOWN: Final = 10
"""Failed runs listed by `status_text`; the others are counted."""


def _advice(status: Status) -> str:
    if status.is_done or status.workers:
        return ""
    return " (the same `harness generate` command goes on)"


def _tables(folder: Path) -> tuple[str, pl.DataFrame]:
    """Return the state of the tables, and status and costs of every run in them."""
    unknown = pl.DataFrame(schema={"run_id": pl.String, "status": pl.String})
    if not (folder / MANIFEST).exists():
        return "missing", unknown
    try:
        known = _run_table(Corpus.open(folder))
    except CorpusError:
        return "damaged", unknown
    shards = folder / "shards"
    if shards.is_dir():
        names = {f"{i}.parquet" for i in finished_ids(shards)}
        names |= {f"{i}.failed.parquet" for i in failed_ids(shards)}
        if names != set(read_manifest(folder).get("shards", {})):
            return "outdated", known
    return "current", known


def _run_table(corpus: Corpus) -> pl.DataFrame:
    files = [f for f in corpus.manifest["files"] if f.startswith("runs/")]
    with open_parquet(corpus.path(min(files))) as file:
        names = file.schema_arrow.names
    return corpus.runs(["run_id", "status", *cost_columns(names)])


def _ended(shards: Path, known: pl.DataFrame) -> pl.DataFrame:
    """Return status and costs of every finished run, from the tables where they know.

    The others are not in the tables, or failed before and finished since.
    """
    finished = finished_ids(shards)
    told = known.filter(
        pl.col("status") != "failed", pl.col("run_id").is_in(list(finished))
    )
    rows = [_row(shards, i) for i in sorted(finished.difference(told["run_id"]))]
    fresh = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return pl.concat([told, fresh], how="diagonal_relaxed")


def _row(shards: Path, run_id: str) -> dict[str, Any]:
    """Return what the table `runs` would hold of status and costs of a finished run."""
    parts = ("config", "costs", "environment")
    table = read_parquet(
        shard_path(shards, run_id), ["status", *(f"{part}_json" for part in parts)]
    )
    config, spent, environment = (
        json.loads(table[f"{part}_json"][0].as_py()) for part in parts
    )
    row = {
        "model.name": config.get("model", {}).get("name"),
        "batch_size": config.get("batch_size"),
        **{f"cost.{k}": v for k, v in spent.items()},
        **{f"environment.{k}": v for k, v in environment.items()},
    }
    status = table["status"][0].as_py()
    return {
        "run_id": run_id,
        "status": status,
        **{name: row[name] for name in cost_columns(row)},
    }


def _held(folder: Path) -> set[str]:
    """Return the cohorts that living workers hold."""
    claims = (folder / "leases").glob("c-*.lease")
    return {path.stem for path in claims if not lease.is_stale(path)}


def _error(path: Path) -> str:
    error = read_parquet(path, ["error"])["error"][0].as_py() or ""
    lines = error.strip().splitlines()
    return lines[-1] if lines else "no message"


def _count(states: list[str]) -> dict[str, int]:
    counts = Counter(states)
    return {state: counts[state] for state in STATES}
