"""What is known about a run after it ended, and how one run is kept on disk."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.errors import CorpusError
from harness.schema import SHARD
from harness.spec import RunConfig, canonical_json
from harness.storage import creating, read_parquet, replacing, write_parquet

Status = Literal["completed", "diverged", "failed"]


class Curve(NamedTuple):
    """Values of one signal along a run."""

    steps: npt.NDArray[np.int32]
    """Updates completed, ascending; 0 is before the first update."""
    values: npt.NDArray[np.float32]
    """NaN and infinities are measured and not finite; absent steps not measured."""


class Event(NamedTuple):
    """Something that happened at a step, such as divergence."""

    step: int
    kind: str
    detail: dict[str, Any]


class OodResult(NamedTuple):
    """Score on one cell of an out-of-distribution set."""

    set: str
    corruption: str
    severity: int
    correct: int
    n: int
    loss: float | None
    """Mean cross-entropy in nats; None for a diverged run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One finished run. None means not measured; NaN means measured, not finite."""

    config: RunConfig
    status: Status
    num_steps: int
    """Planned updates."""
    steps_per_epoch: int
    curves: dict[str, Curve] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    final: dict[str, float | int | None] = field(default_factory=dict)
    """Correct counts, n, losses and calibration at the end of the run."""
    ood: tuple[OodResult, ...] = ()
    costs: dict[str, float] = field(default_factory=dict)
    """Seconds: train, eval, probe, log; a run's share of its cohort."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, device, threads, data fingerprint, code commit."""
    diverged_step: int | None = None
    """First update whose loss or gradient was not finite or stayed too high."""
    error: str | None = None
    """Traceback of a failed run."""

    def save(self, folder: Path) -> Path:
        """Commit the record to `folder` and return its path.

        The first commit of a run wins; a failed run may be replaced.
        """
        path = shard_path(folder, self.config.run_id, failed=self.status == "failed")
        commit = replacing if self.status == "failed" else creating
        with commit(path) as temporary:
            write_parquet(temporary, self._to_table())
        if self.status != "failed":
            shard_path(folder, self.config.run_id, failed=True).unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: Path) -> "RunRecord":
        """Read a record, checking every page.

        Raises:
            CorpusError: The file is damaged or is not the run its name says.
        """
        rows = read_parquet(path).to_pylist()
        if len(rows) != 1 or rows[0]["run_id"] != path.name.split(".")[0]:
            raise CorpusError(f"{path} does not hold the one run its name says")
        row = rows[0]
        config = RunConfig.from_json(json.loads(row["config_json"]))
        if config.run_id != row["run_id"]:
            raise CorpusError(f"{path}: configuration and run id disagree")
        return cls(
            config=config,
            status=row["status"],
            num_steps=row["num_steps"],
            steps_per_epoch=row["steps_per_epoch"],
            curves={c["signal"]: _curve(c) for c in row["curves"]},
            events=tuple(
                Event(e["step"], e["kind"], json.loads(e["detail_json"]))
                for e in row["events"]
            ),
            final=json.loads(row["final_json"]),
            ood=tuple(OodResult(**cell) for cell in row["ood"]),
            costs=json.loads(row["costs_json"]),
            environment=json.loads(row["environment_json"]),
            diverged_step=row["diverged_step"],
            error=row["error"],
        )

    def _to_table(self) -> pa.Table:
        row = {
            "run_id": self.config.run_id,
            "config_json": canonical_json(self.config.to_json()),
            "status": self.status,
            "num_steps": self.num_steps,
            "steps_per_epoch": self.steps_per_epoch,
            "diverged_step": self.diverged_step,
            "error": self.error,
            "final_json": json.dumps(self.final),
            "costs_json": json.dumps(self.costs),
            "environment_json": json.dumps(self.environment),
            "curves": [
                {"signal": k, "steps": c.steps, "values": c.values}
                for k, c in sorted(self.curves.items())
            ],
            "events": [
                {"step": e.step, "kind": e.kind, "detail_json": json.dumps(e.detail)}
                for e in self.events
            ],
            "ood": [cell._asdict() for cell in self.ood],
        }
        return pa.Table.from_pylist([row], schema=SHARD)


def shard_path(folder: Path, run_id: str, *, failed: bool = False) -> Path:
    """Return where a run's record lies in the folder of shards."""
    return folder / f"{run_id}{'.failed' if failed else ''}.parquet"


def finished_ids(folder: Path) -> set[str]:
    """Return the ids of the runs that completed or diverged."""
    return {p.name.split(".")[0] for p in folder.glob("r-*.parquet") if _is_run(p)}


def failed_ids(folder: Path) -> set[str]:
    """Return the ids of the runs that failed and were not finished since."""
    failed = {p.name.split(".")[0] for p in folder.glob("r-*.failed.parquet")}
    return failed - finished_ids(folder)


def same_outcome(one: RunRecord, other: RunRecord) -> bool:
    """Tell whether two records agree in everything but costs and environment."""
    left, right = (
        dataclasses.replace(r, costs={}, environment={})._to_table()
        for r in (one, other)
    )
    return bool(_bits(left) == _bits(right))


def _bits(table: pa.Table) -> bytes:
    """Return the table's Arrow stream, in which NaN equals NaN."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _is_run(path: Path) -> bool:
    return not path.name.endswith(".failed.parquet")


def _curve(data: dict[str, Any]) -> Curve:
    return Curve(
        np.asarray(data["steps"], dtype=np.int32),
        np.asarray(data["values"], dtype=np.float32),
    )
