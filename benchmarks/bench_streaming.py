"""What an early window of 100,000 runs costs over the wire, in bytes and seconds.

Writes synthetic runs (training loss at every step, validation loss at 8) as a corpus,
puts it on the Hub of the tests (on loopback, files on disk), and reads it in fresh
processes with empty caches:

    python benchmarks/bench_streaming.py --runs 100000

Bytes are those of file bodies that the Hub sent, footers and what was asked for twice
included. Their floor is the files of the window; that of the seconds is pyarrow reading
these files from disk. pyarrow fetches 64 KB of every file for its footer, and then, for
`datasets`, the whole file: files of less than a megabyte are dear.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.corpus import Corpus
from harness.manifest import MANIFEST
from harness.publish import write_corpus
from harness.record import Curve, RunRecord
from harness.release.card import card_text
from harness.release.facts import gather_facts
from harness.seeds import stream
from harness.spec import Part, RunConfig
from tests.compat.placing import place
from tests.hub.server import Hub

REPO, TAG, WINDOW, SIGNAL = "lab/many", "v1.0.0", "curves-w20", "val_loss"
SEGMENTS = (0, 1, 2)
"""Those of the window, the first 20 % of a run."""


def streamed(name: str) -> int:
    """Stream a configuration with `datasets`; return the number of values."""
    import datasets

    rows = datasets.load_dataset(
        REPO, name, revision=TAG, split="train", streaming=True
    )
    batches = rows.with_format("arrow").iter(batch_size=1000)
    return sum(num_values(batch) for batch in batches)


def one_signal() -> int:
    """Read the window of one signal: of each file its footer and some row groups."""
    from huggingface_hub import HfFileSystem

    files = HfFileSystem()
    total = 0
    for segment in SEGMENTS:
        at = f"datasets/{REPO}@{TAG}/curves/segment-{segment}-*.parquet"
        for path in sorted(files.glob(at)):
            # without its cache, a handle fetches what is read and nothing more
            with files.open(path, cache_type="none") as handle:
                parquet = pq.ParquetFile(handle, pre_buffer=False)
                groups = groups_of(parquet, SIGNAL)
                # threads that call a handle of Python may outlive the interpreter
                found = parquet.read_row_groups(groups, use_threads=False)
                total += num_values(found)
    return total


def groups_of(parquet: pq.ParquetFile, signal: str) -> list[int]:
    """Return the row groups that may hold a signal, by their statistics."""
    column = parquet.schema_arrow.get_field_index("signal")
    found = []
    for i in range(parquet.metadata.num_row_groups):
        known = parquet.metadata.row_group(i).column(column).statistics
        if known.min <= signal <= known.max:
            found.append(i)
    return found


def num_values(table: pa.Table) -> int:
    """Return how many values the lists of a table hold."""
    chunks = table["values"].chunks if len(table) else []
    return sum(len(chunk.flatten()) for chunk in chunks)


READERS: dict[str, Callable[[], int]] = {
    f"datasets, {WINDOW}": lambda: streamed(WINDOW),
    "datasets, curves": lambda: streamed("curves"),
    f"HfFileSystem, {SIGNAL} of {WINDOW}": one_signal,
}


def records(num_runs: int, num_steps: int) -> Iterator[RunRecord]:
    """Yield runs whose loss is a power law with noise."""
    steps = np.arange(1, num_steps + 1, dtype=np.int32)
    at = np.linspace(num_steps // 8, num_steps, 8).astype(np.int32)
    for seed in range(num_runs):
        noise = stream(0, "bench", seed).standard_normal(num_steps)
        loss = (2.3 * steps**-0.3 * np.exp(0.1 * noise)).astype(np.float32)
        config = RunConfig(
            dataset=Part("digits", resolved=True),
            model=Part("mlp", resolved=True),
            optimizer=Part("sgd", {"lr": 0.1}, resolved=True),
            schedule=Part("cosine", resolved=True),
            objective=Part("cross_entropy", resolved=True),
            batch_size=64,
            epochs=10,
            seed=seed,
        )
        yield RunRecord(
            config=config,
            status="completed",
            num_steps=num_steps,
            steps_per_epoch=num_steps // 10,
            curves={
                "train_loss": Curve(steps, loss),
                "val_loss": Curve(at, loss[at - 1]),
            },
            final={"test_correct": 900, "test_n": 1000},
        )


def prepared(folder: Path, num_runs: int, num_steps: int) -> Path:
    """Write the corpus with its card, unless it is there; return its folder."""
    if not (folder / MANIFEST).exists():
        every = records(num_runs, num_steps)
        write_corpus(folder, every, name="many", grids={}, shards={})
        card = card_text(gather_facts(Corpus.open(folder)))
        (folder / "README.md").write_text(card)
    return folder


def measured(hub: Hub, reader: str, home: Path) -> dict[str, float]:
    """Read in a process of its own; return bytes sent, values and seconds."""
    hub.reset_log()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, __file__, "--child", reader],
        env=kept | hub.environment(home) | {"USE_TORCH": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    values, seconds = json.loads(done.stdout)
    found = {"bytes": hub.bytes_served, "values": values, "seconds": seconds}
    return found | {"requests": len(hub.requests)}


def child(reader: str) -> None:
    """Time one reader in this process, imports not counted, and end it."""
    import datasets  # noqa: F401

    start = time.perf_counter()
    values = READERS[reader]()
    print(json.dumps([values, time.perf_counter() - start]), flush=True)
    # threads of pyarrow abort an interpreter that is shut down: apache/arrow#45214
    os._exit(0)


def floor(folder: Path) -> dict[str, float]:
    """Return bytes, values and seconds of the window's files, read from disk."""
    paths = [
        path
        for segment in SEGMENTS
        for path in sorted(folder.glob(f"curves/segment-{segment}-*.parquet"))
    ]
    start = time.perf_counter()
    values = sum(num_values(pq.read_table(path)) for path in paths)
    seconds = time.perf_counter() - start
    size = sum(path.stat().st_size for path in paths)
    return {"bytes": size, "values": values, "seconds": seconds}


def report(folder: Path, scratch: Path, readers: list[str]) -> dict[str, Any]:
    """Return what was measured, by reader, beside the sizes of tables in bytes."""
    found: dict[str, Any] = {
        "tables": sum(p.stat().st_size for p in folder.glob("*/*.parquet")),
        "curves": sum(p.stat().st_size for p in folder.glob("curves/*.parquet")),
        "floor": floor(folder),
    }
    with Hub(scratch / "hub", xet=False) as hub:
        place(hub, REPO, folder, TAG)
        for number, reader in enumerate(readers):
            found[reader] = measured(hub, reader, scratch / f"home-{number}")
    return found


def main() -> None:
    """Write the corpus, measure every reader and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=200, help="updates a run")
    parser.add_argument("--folder", type=Path, help="keep the corpus here, reuse it")
    parser.add_argument("--json", action="store_true", help="print numbers only")
    parser.add_argument("--child", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name) / "corpus"
        prepared(folder, options.runs, options.steps)
        found = report(folder, Path(name), list(READERS))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.runs:,} runs of {options.steps:,} steps")
    table(found)


def table(found: dict[str, Any]) -> None:
    """Print a row a reader, bytes relative to those of all curves."""
    whole, curves = found["tables"], found["curves"]
    print(f"tables {whole / 1e6:.1f} MB, of which curves {curves / 1e6:.1f} MB")
    header = ("reader", "values", "MB sent", "of curves", "requests", "seconds")
    print("{:36}{:>12}{:>9}{:>11}{:>10}{:>9}".format(*header))
    for reader in ("floor", *READERS):
        row = found[reader]
        share = f"{100 * row['bytes'] / curves:.1f} %"
        print(
            f"{reader:36}{row['values']:12,}{row['bytes'] / 1e6:9.1f}{share:>11}"
            f"{row.get('requests', ''):>10}{row['seconds']:9.2f}"
        )


if __name__ == "__main__":
    main()
