"""What a folder recorded of one run, and of the runs whose spread it is held against.

Finished corpora are read from their tables, which a downloaded one has alone; a folder
without tables from its shards.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.errors import CorpusError
from harness.foreign import ForeignConfig, read_config
from harness.hub.address import is_address
from harness.manifest import MANIFEST
from harness.record import (
    Curve,
    Event,
    OodResult,
    RunRecord,
    failed_ids,
    finished_ids,
    shard_path,
)
from harness.run_table import run_row, run_table
from harness.seed_noise import ACCURACY
from harness.show.glance import find_run
from harness.spec import RunConfig

RUN_COLUMNS = ("run_id", "trajectory_id", "family_id", "status", ACCURACY)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that can be trained again, and its company."""

    record: RunRecord
    """The run; costs and descriptions of signals are left out of what tables give."""
    config: RunConfig
    """Its configuration."""
    runs: pl.DataFrame
    """Ids, status and final test accuracy of every run of the folder."""
    corpus: str
    """Name of the corpus, or of the folder."""


def find(where: str | Path, run: str) -> Recorded:
    """Return the record of a run.

    Args:
        where: A corpus folder, with tables or with shards only; or a version on the
            Hub, as of `Corpus.open`.
        run: Run id or its beginning.

    Raises:
        KeyError: No run or more than one starts so.
        ValueError: The run failed, or another program trained it.
        CorpusError: There is neither a finished corpus nor a shard, or a file of it is
            damaged.
    """
    folder = Path(where)
    ids = finished_ids(folder / "shards") | failed_ids(folder / "shards")
    if is_address(where) or (folder / MANIFEST).exists() or not ids:
        corpus = Corpus.open(where)
        run_id = find_run(corpus, run)
        row = corpus.runs().row(by_predicate=pl.col("run_id") == run_id, named=True)
        config = _trainable(row)
        record = _from_tables(corpus, row, config)
        return Recorded(record, config, corpus.runs(RUN_COLUMNS), corpus.name)
    row = run_row(_shard(folder, _only(sorted(ids), run, folder)))
    config = _trainable(row)
    record = _shard(folder, config.run_id)
    # the others give their row of the table and are let go of
    rows = [run_row(_shard(folder, other)) for other in sorted(ids)]
    runs = run_table([{k: one[k] for k in RUN_COLUMNS} for one in rows])
    frame = pl.from_arrow(runs.select(RUN_COLUMNS))
    assert isinstance(frame, pl.DataFrame)
    return Recorded(record, config, frame, folder.resolve().name)


def _shard(folder: Path, run_id: str) -> RunRecord:
    path = shard_path(folder / "shards", run_id)
    failed = shard_path(folder / "shards", run_id, failed=True)
    return RunRecord.load(path if path.exists() else failed)


def _only(ids: list[str], prefix: str, folder: Path) -> str:
    """Return the one id that starts with `prefix`; its "r-" may be left out."""
    wanted = prefix if prefix.startswith("r-") else f"r-{prefix}"
    found = [i for i in ids if i.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    some = ", ".join((found or ids)[:5])
    raise KeyError(
        f"{len(found) or 'none'} of the {len(ids)} runs of {folder} start with "
        f"{wanted}: {'such as ' if not found else ''}{some}"
    )


def _trainable(row: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a run that ended, or say why there is none."""
    config = read_config(json.loads(row["config_json"]))
    run_id = row["run_id"]
    if isinstance(config, ForeignConfig):
        raise ValueError(
            f"{run_id} is an imported run ({config.run!r} of {config.collection!r}): "
            "another program trained it, so the harness cannot train it again"
        )
    if config.run_id != run_id:
        raise CorpusError(
            f"the configuration recorded of {run_id} is that of {config.run_id}: "
            "`harness verify` tells what has changed"
        )
    if row["status"] == "failed":
        raise ValueError(
            f"{run_id} failed, so it has no numbers to compare: `harness status` tells "
            "why, and the same `harness generate` command tries it again"
        )
    return config


def _from_tables(
    corpus: Corpus, row: Mapping[str, Any], config: RunConfig
) -> RunRecord:
    """Return a run as its tables hold it; shares are counted again, so left out."""
    final = {k: v for k, v in _below(row, "final.").items() if "_accuracy" not in k}
    mine = pl.col("run_id") == config.run_id
    events = corpus.events().filter(mine)["step", "kind", "detail_json"]
    cells = corpus.ood().filter(mine).drop("run_id")
    return RunRecord(
        config=config,
        status=row["status"],
        num_steps=row["num_steps"],
        steps_per_epoch=row["steps_per_epoch"],
        curves=_curves(corpus, config.run_id),
        events=tuple(Event(s, k, json.loads(d)) for s, k, d in events.iter_rows()),
        final=final,
        ood=tuple(OodResult(**cell) for cell in cells.iter_rows(named=True)),
        environment=_below(row, "environment."),
        diverged_step=row["diverged_step"],
    )


def _below(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return what a row tells below a prefix."""
    return {
        name.removeprefix(prefix): value
        for name, value in row.items()
        if name.startswith(prefix) and value is not None
    }


def _curves(corpus: Corpus, run_id: str) -> dict[str, Curve]:
    """Return a run's curves, their segments joined, every bit as it is."""
    rows = corpus.curves(run_ids=[run_id]).sort("signal", "segment")
    return {
        str(signal): Curve(
            part["steps"].explode().to_numpy().astype(np.int32),
            part["values"].explode().to_numpy(),
        )
        for (signal,), part in rows.group_by("signal", maintain_order=True)
    }
