"""Tables of 50 MB, in order and not, each checked in a fresh process under limits.

benchmarks/fuzz_submissions.py --large
"""

import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import tomli_w

from harness.seeds import stream
from leaderboard.boards import Asked, Board
from leaderboard.intake.isolated import validate_isolated
from leaderboard.intake.limits import FILE_BYTES
from leaderboard.problems import Rejected
from tasks.answering import quantile_name
from tasks.base import TASKS

TASK = "final-acc/w20"
ROWS = {"csv": 500_000, "parquet": 750_000}
"""Rows of eight random numbers that fill a file."""
CASES = ("small valid", "csv valid", "csv invalid", "parquet valid", "parquet invalid")


def table(rows: int) -> pl.DataFrame:
    """Return predictions with quantiles for as many runs."""
    random = stream(0, "large")
    columns: dict[str, object] = {"id": [f"run-{i:07d}" for i in range(rows)]}
    values = np.sort(random.uniform(0, 1, (rows, 8)), axis=1)
    columns["prediction"] = values[:, 7]
    for at, level in enumerate(TASKS.get(TASK)().levels):
        columns[quantile_name(level)] = values[:, at]
    return pl.DataFrame(columns)  # float64, as most libraries write


def laid_out(folder: Path, case: str) -> tuple[Board, int]:
    """Write a submission; return the board that it answers and the table's bytes."""
    kind, state = case.split()
    suffix = "csv" if kind == "csv" else "parquet"
    made = table(ROWS.get(kind, 432))
    examples = made.select("id", first=pl.lit(0, pl.Int64), last=pl.lit(0, pl.Int64))
    asked = Asked(task=TASKS.get(TASK)(), examples=examples)
    board = Board(
        name="toy",
        corpus="toy",
        version="1",
        sha256="0" * 64,
        hidden=False,
        tasks={TASK: asked},
    )
    if state == "invalid":
        wild = pl.col("prediction") * 100
        made = made.with_columns(wild, pl.col("q0.05") + 0.5).reverse()
    said = {
        "name": "Large",
        "authors": ["A"],
        "contact": "a@example.org",
        "code": "https://example.org",
        "licence": "MIT",
        "predictor": {"name": "x", "reads_settings": True, "reads_curves": True},
        "corpus": {"name": "toy", "version": "1", "sha256": "0" * 64},
        "tasks": {TASK: {"version": "1"}},
    }
    (folder / "submission.toml").write_text(tomli_w.dumps(said), encoding="utf-8")
    path = folder / f"predictions/{TASK}.{suffix}"
    path.parent.mkdir(parents=True)
    made = made if suffix == "parquet" else made.cast({pl.Float64: pl.Float32})
    made.write_csv(path) if suffix == "csv" else made.write_parquet(path)
    size = path.stat().st_size
    if size > FILE_BYTES:
        raise ValueError(f"{case} has {size:,} bytes: lower ROWS")
    return board, size


def measure(case: str) -> dict[str, object]:
    """Return seconds and peak memory of the process that checks a case."""
    with tempfile.TemporaryDirectory() as name:
        board, size = laid_out(Path(name), case)
        began = time.perf_counter()
        try:
            validate_isolated(Path(name), board)
            outcome = "taken"
        except Rejected as rejected:
            outcome = ", ".join(sorted({one.code for one in rejected.problems}))
        seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "case": case,
        "megabytes": size / 1e6,
        "rows": len(next(iter(board.tasks.values())).examples),
        "outcome": outcome,
        "seconds": seconds,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
    }


def measured() -> list[dict[str, object]]:
    """Measure every case, one after the other; print a line each."""
    found = []
    context = multiprocessing.get_context("spawn")
    for case in CASES:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            one = pool.submit(measure, case).result()
        found.append(one)
        print(
            f"{case:16s} {one['megabytes']:5.1f} MB {one['rows']:>9,} rows  "
            f"{one['seconds']:5.1f} s ({one['cpu_s']:.1f} s cpu, imports included) "
            f"{one['peak_mb']:4.0f} MB  {one['outcome']}"
        )
    return found
