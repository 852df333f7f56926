"""How fast an early window is read from a corpus of 100,000 runs, and in what memory.

Writes synthetic runs (training loss at 200 steps, validation loss at 8) once as a
corpus and, for the first thousand, as one JSON-lines file a run. Then reads the first
20 % of every training loss in fresh processes, files in the page cache:

    python benchmarks/bench_corpus_scan.py --runs 100000 --repeats 5

The naive reader's time is that of a thousand runs scaled to all of them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from harness import __version__
from harness.corpus import Corpus
from harness.manifest import MANIFEST, manifest_text
from harness.publish import BLOCK_RUNS, ENCODINGS, curve_segments
from harness.record import Curve, RunRecord
from harness.run_table import run_row, run_table
from harness.schema import SCHEMA_VERSION
from harness.seeds import stream
from harness.spec import Part, RunConfig
from harness.storage import sha256_of, write_parquet

NUM_STEPS, UNTIL, NAIVE_RUNS = 200, 0.2, 1000


def read_corpus(folder: Path) -> int:
    """Read the window as a user does; every byte read is verified."""
    frame = Corpus.open(folder).curves(["train_loss"], until=UNTIL)
    return int(frame["steps"].list.len().sum())


def read_everything(folder: Path) -> int:
    """Read all curves with polars and throw most away."""
    frame = pl.read_parquet(folder / "curves" / "*.parquet")
    early = (pl.col("signal") == "train_loss") & (pl.col("segment") <= 2)
    return int(frame.filter(early)["steps"].list.len().sum())


def read_json_lines(folder: Path) -> int:
    """Read one JSON-lines file a run, as most loggers write them."""
    total = 0
    for path in sorted((folder / "json").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        early = [r for r in rows if r["step"] <= UNTIL * NUM_STEPS]
        losses = np.array([r["train_loss"] for r in early if "train_loss" in r])
        total += len(losses)
    return total


READERS: dict[str, Callable[[Path], int]] = {
    "corpus, first 20 % of one signal": read_corpus,
    "polars, everything": read_everything,
    "JSON lines, a file a run": read_json_lines,
}


def records(first: int, count: int) -> Iterator[RunRecord]:
    """Yield runs whose loss is a power law with noise."""
    steps = np.arange(1, NUM_STEPS + 1, dtype=np.int32)
    at = np.linspace(NUM_STEPS // 8, NUM_STEPS, 8).astype(np.int32)
    noise = stream(0, "bench", first).standard_normal((count, NUM_STEPS))
    losses = (2.3 * steps**-0.3 * np.exp(0.1 * noise)).astype(np.float32)
    for i in range(count):
        config = RunConfig(
            dataset=Part("digits", resolved=True),
            model=Part("mlp", resolved=True),
            optimizer=Part("sgd", {"lr": 0.1}, resolved=True),
            schedule=Part("cosine", resolved=True),
            objective=Part("cross_entropy", resolved=True),
            batch_size=64,
            epochs=10,
            seed=first + i,
        )
        yield RunRecord(
            config=config,
            status="completed",
            num_steps=NUM_STEPS,
            steps_per_epoch=20,
            curves={
                "train_loss": Curve(steps, losses[i]),
                "val_loss": Curve(at, losses[i, at - 1]),
            },
            final={"test_correct": 900, "test_n": 1000},
        )


def write_corpus(folder: Path, num_runs: int) -> None:
    """Write tables and manifest as `harness.publish.build` does, without shards."""
    for table in ("runs", "curves", "json"):
        (folder / table).mkdir(parents=True)
    rows = []
    for block, first in enumerate(range(0, num_runs, BLOCK_RUNS)):
        runs = list(records(first, min(BLOCK_RUNS, num_runs - first)))
        if block == 0:
            for record in runs[:NAIVE_RUNS]:
                write_json_lines(folder / "json", record)
        rows += [run_row(record) for record in runs]
        for segment, groups in curve_segments(runs).items():
            path = folder / "curves" / f"segment-{segment}-{block:05d}.parquet"
            write_parquet(path, groups[0], groups, ENCODINGS)
    write_parquet(folder / "runs" / "part-00000.parquet", run_table(rows))
    files = {
        path.relative_to(folder).as_posix(): {
            "sha256": sha256_of(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(folder.glob("*/*.parquet"))
    }
    manifest = {"name": "bench", "version": "1", "schema_version": SCHEMA_VERSION}
    manifest |= {"runcast_version": __version__, "grids": [], "rows": {}}
    manifest |= {"shards": {}, "files": files}
    (folder / MANIFEST).write_text(manifest_text(manifest))


def write_json_lines(folder: Path, record: RunRecord) -> None:
    """Write a run's curves as one JSON object a step."""
    rows: dict[int, dict[str, float]] = {}
    for signal, curve in record.curves.items():
        for step, value in zip(
            curve.steps.tolist(), curve.values.tolist(), strict=True
        ):
            rows.setdefault(step, {"step": step})[signal] = value
    text = "\n".join(json.dumps(row) for row in rows.values())
    (folder / f"{record.config.run_id}.jsonl").write_text(text + "\n")


def child(reader: str, folder: Path) -> None:
    """Time one reader in this process; print seconds, values and bytes."""
    before = peak_bytes()
    start = time.perf_counter()
    values = READERS[reader](folder)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, values, peak_bytes() - before]))


def peak_bytes() -> int:
    """Return the peak resident memory of this program (Linux).

    Not `getrusage`, whose peak survives from the parent process.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure(reader: str, folder: Path, repeats: int) -> tuple[float, int, float]:
    """Return the median seconds, the values read and the median growth in bytes."""
    command = [sys.executable, __file__, "--child", reader, "--folder", str(folder)]
    found = []
    for _ in range(repeats):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    seconds, values, grown = zip(*found, strict=True)
    return statistics.median(seconds), values[0], statistics.median(grown)


def main() -> None:
    """Write the corpus, measure every reader and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the corpus here, reuse it")
    parser.add_argument("--child", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "corpus"
        if not (folder / MANIFEST).exists():
            start = time.perf_counter()
            write_corpus(folder, options.runs)
            print(f"written in {time.perf_counter() - start:.0f} s")
        report(folder, options.runs, options.repeats)


def report(folder: Path, num_runs: int, repeats: int) -> None:
    """Print size, and time and memory of every reader relative to the first."""
    size = sum(path.stat().st_size for path in (folder / "curves").iterdir())
    print(f"{num_runs:,} runs, curves {size / 1e6:.0f} MB, median of {repeats}")
    print(f"{'reader':34}{'seconds':>9}{'ratio':>8}{'memory MB':>11}{'ratio':>8}")
    base: tuple[float, float] | None = None
    for reader in READERS:
        seconds, values, grown = measure(reader, folder, repeats)
        naive = reader.startswith("JSON")
        if naive:
            seconds *= num_runs / min(NAIVE_RUNS, num_runs)
        expected = int(UNTIL * NUM_STEPS) * (
            min(NAIVE_RUNS, num_runs) if naive else num_runs
        )
        assert values == expected, (reader, values, expected)
        base = base or (seconds, grown)
        memory = "" if naive else f"{grown / 1e6:11.0f}{grown / base[1]:8.1f}"
        print(f"{reader:34}{seconds:9.2f}{seconds / base[0]:8.1f}{memory}")


if __name__ == "__main__":
    main()
