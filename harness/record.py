"""What is known about a run after it ended, and how one run is kept on disk."""

import dataclasses
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.errors import CorpusError
from harness.foreign import ForeignConfig, read_config
from harness.schema import SHARD, Signal
from harness.sealed import read_sealed, write_sealed
from harness.spec import ID_BYTES, RunConfig, canonical_json
from harness.storage import creating, remove, replacing

Status = Literal["completed", "diverged", "failed"]

SHARD_NAME: Final = re.compile(rf"(r-[0-9a-f]{{{2 * ID_BYTES}}})(\.failed)?\.parquet")
"""Names of records; other files in the folder of shards are never read."""


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

    config: RunConfig | ForeignConfig
    status: Status
    num_steps: int
    """Planned updates."""
    steps_per_epoch: int
    curves: dict[str, Curve] = field(default_factory=dict)
    signals: tuple[Signal, ...] = ()
    """What the run's probes measured; the other signals are in `schema.SIGNALS`."""
    events: tuple[Event, ...] = ()
    final: dict[str, float | int | None] = field(default_factory=dict)
    """Correct counts, n, losses and calibration at the end of the run; of a foreign run
    shares where counts are not known, "ood.NAME_accuracy" among them."""
    ood: tuple[OodResult, ...] = ()
    costs: dict[str, float] = field(default_factory=dict)
    """Seconds by purpose (train, eval, log, each probe), a run's share of its cohort;
    and images passed through training and each probe."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, device, threads, data fingerprint, code commit."""
    diverged_step: int | None = None
    """First update whose loss or gradient was not finite or stayed too high."""
    error: str | None = None
    """Traceback of a failed run."""

    def save(self, folder: Path) -> Path:
        """Commit the record to `folder` and return its path.

        The first commit of a run wins, also over one with another outcome, which a GPU
        may give; a failed run may be replaced.
        """
        path = shard_path(folder, self.config.run_id, failed=self.status == "failed")
        commit = replacing if self.status == "failed" else creating
        with commit(path) as temporary:
            write_sealed(temporary, self._to_table())
        if self.status != "failed":
            remove(shard_path(folder, self.config.run_id, failed=True))
        return path

    @classmethod
    def load(cls, path: Path) -> "RunRecord":
        """Read a record, checking every page.

        Raises:
            CorpusError: The file is damaged or is not the run its name says.
        """
        try:
            return cls._from_table(read_sealed(path), path.name.split(".")[0])
        except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise CorpusError(f"{path} is damaged: {error}") from error

    @classmethod
    def _from_table(cls, table: pa.Table, run_id: str) -> "RunRecord":
        if len(table) != 1 or table.schema.names != SHARD.names:
            raise ValueError(f"{len(table)} rows of columns {table.schema.names}")
        row = table.drop_columns(["curves"]).to_pylist()[0]
        config = read_config(json.loads(row["config_json"]))
        if not config.run_id == row["run_id"] == run_id:
            raise ValueError(
                f"its name says {run_id}, its row {row['run_id']} and its "
                f"configuration {config.run_id}"
            )
        return cls(
            config=config,
            status=row["status"],
            num_steps=row["num_steps"],
            steps_per_epoch=row["steps_per_epoch"],
            curves=_curves(table["curves"].chunk(0).flatten()),
            events=tuple(
                Event(e["step"], e["kind"], json.loads(e["detail_json"]))
                for e in row["events"]
            ),
            signals=tuple(Signal(**entry) for entry in json.loads(row["signals_json"])),
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
            "signals_json": json.dumps([dataclasses.asdict(s) for s in self.signals]),
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
    return _ids(folder, failed=False)


def failed_ids(folder: Path) -> set[str]:
    """Return the ids of the runs that failed and were not finished since."""
    return _ids(folder, failed=True) - finished_ids(folder)


def shard_names(folder: Path, ids: Collection[str]) -> set[str]:
    """Return the names of the records of some runs: one a run that ended."""
    names = {shard_path(folder, i).name for i in finished_ids(folder) & set(ids)}
    failed = failed_ids(folder) & set(ids)
    return names | {shard_path(folder, i, failed=True).name for i in failed}


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


def _ids(folder: Path, *, failed: bool) -> set[str]:
    return {
        match[1]
        for path in folder.glob("r-*.parquet")
        if (match := SHARD_NAME.fullmatch(path.name))
        and bool(match[2]) == failed
        and path.is_file()
        and not path.is_symlink()
    }


def _curves(rows: pa.StructArray) -> dict[str, Curve]:
    names, steps, values = (rows.field(i) for i in range(3))
    return {
        name.as_py(): Curve(
            steps[i].values.to_numpy(zero_copy_only=False),
            values[i].values.to_numpy(zero_copy_only=False),
        )
        for i, name in enumerate(names)
    }
