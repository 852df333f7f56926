"""Millions of damaged, hostile and odd submissions against the readers of strangers.

Every input is made from a seed: bytes at random, or a table, card or folder that is in
order with bytes flipped, cut, repeated, swapped or replaced by what is known to hurt.
Whatever ends otherwise than in a value or `Rejected` is told with its seed, and makes
this end with 1. With --large: tables of 50 MB, each in a fresh process under limits.

    benchmarks/fuzz_submissions.py --inputs 1000000 --jobs 2 --seed 0 [--out FILE]
    benchmarks/fuzz_submissions.py --only csv/123      # one input again
    benchmarks/fuzz_submissions.py --large
"""

import argparse
import collections
import functools
import io
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import tomli_w

from harness.seeds import stream
from leaderboard.boards import Asked, Board
from leaderboard.intake.card import parse_card
from leaderboard.intake.csv_table import read_csv
from leaderboard.intake.files import read_folder
from leaderboard.intake.parquet_table import read_parquet
from leaderboard.intake.rows import Read, check_rows
from leaderboard.intake.validate import validate
from leaderboard.problems import CODES, Problem, Rejected
from tasks.answering import quantile_name
from tasks.base import TASKS
from tasks.checked import digest

RUNS = 6
SHARES = (("card", 0.3), ("csv", 0.35), ("parquet", 0.34), ("folder", 0.01))
"""Share of the inputs that each reader gets."""
CHUNK = 2_000
LIMIT_MB, LIMIT_S = 512, 10.0
HURT = (
    b"", b"\0", b"\n", b"\r\n", b",", b";", b"\t", b'"', b"'", b"\\", b"=", b"[", b"]",
    b"{", b"}", b"nan", b"-inf", b"1e999", b"1_0", b"0x10", b"-0", b"9" * 400, b"true",
    b"\xff", b"\xef\xbb\xbf", "\u202e".encode(), "\uff11".encode(), b"id", b"../", b"#",
    b"PAR1", b"\x80\x04", b"<script>", b"2026-11-22", b"a.b.c", b"[[x]]", b"'''",
    b'"""', b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"run-0",
)  # fmt: skip
Random = np.random.Generator


def board() -> Board:
    """Return three tasks asked of six runs."""
    tasks = {}
    for name in ("curve/w20", "diverge/w04", "final-acc/w20"):
        task = TASKS.get(name)()
        ends = (3, 5) if task.kind == "curve" else (0, 0)
        rows = [(f"run-{i:02d}", *ends) for i in range(RUNS)]
        schema = {"id": pl.String, "first": pl.Int64, "last": pl.Int64}
        examples = pl.DataFrame(rows, schema=schema, orient="row")
        tasks[name] = Asked(task=task, examples=examples)
    return Board(
        name="toy",
        corpus="toy",
        version="1",
        sha256="0" * 64,
        hidden=False,
        tasks=tasks,
    )


BOARD = board()


def answers(asked: Asked, random: Random, *, quantiles: bool) -> pl.DataFrame:
    """Return a table that answers a task."""
    examples = asked.examples.with_columns(
        epoch=pl.int_ranges("first", pl.col("last") + 1)
    ).explode("epoch", empty_as_null=True)
    mean = random.uniform(0.2, 0.8, len(examples))
    columns: dict[str, Any] = {"id": examples["id"]}
    if asked.task.kind == "curve":
        columns["epoch"] = examples["epoch"].cast(pl.Int32)
    columns["prediction"] = mean.astype(np.float32)
    if quantiles and asked.task.kind != "curve":
        for level in asked.task.levels:
            columns[quantile_name(level)] = (mean + 0.1 * level).astype(np.float32)
    if not quantiles:
        columns["reason"] = pl.Series([None] * len(examples), dtype=pl.String)
    return pl.DataFrame(columns)


def card(random: Random) -> bytes:
    """Return a card that is in order."""
    said = {"name": "Forest", "authors": ["A. Nother"]} | {
        "contact": "a@example.org",
        "code": "https://example.org/x",
        "licence": "MIT",
        "predictor": {
            "name": "forest",
            "arguments": {"a": int(random.integers(9)), "b": [0.5, {"c": "d"}]},
            "reads_settings": True,
            "reads_curves": False,
        },
        "compute": {"fit_s": 1.5, "predict_s": 0.25},
        "corpus": {"name": "toy", "version": "1", "sha256": "0" * 64},
        "tasks": {name: {"version": "1"} for name in BOARD.tasks},
    }
    return tomli_w.dumps(said).encode()


@functools.cache
def seeds_of(kind: str) -> tuple[tuple[str, bytes], ...]:
    """Return inputs that are in order, with the task that each answers."""
    random = stream(0, f"seeds/{kind}")
    if kind == "card":
        return tuple(("", card(random)) for _ in range(4))
    found = []
    for name, asked in BOARD.tasks.items():
        for quantiles in (False, True):
            table = answers(asked, random, quantiles=quantiles)
            if kind == "csv":
                found.append((name, table.write_csv().encode()))
                continue
            for compression in ("uncompressed", "zstd", "snappy"):
                buffer = io.BytesIO()
                table.write_parquet(buffer, compression=compression)
                found.append((name, buffer.getvalue()))
                buffer = io.BytesIO()
                pq.write_table(
                    table.cast({pl.Float32: pl.Float64}).to_arrow(),
                    buffer,
                    compression=compression.replace("uncompressed", "none"),
                    use_dictionary=bool(quantiles),
                    data_page_version="2.0" if quantiles else "1.0",
                )
                found.append((name, buffer.getvalue()))
    return tuple(found)


def mutated(data: bytes, random: Random) -> bytes:
    """Return bytes changed in one to four places; the ends more often."""
    found = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        size = len(found)
        at = int(random.integers(size + 1))
        if random.random() < 0.4:  # headers and footers are at the ends
            at = min(int(random.integers(64)), size)
            at = size - at if random.random() < 0.7 else at
        length = int(random.integers(1, 1 + min(32, max(size - at, 1))))
        kind = int(random.integers(7))
        if kind == 0 and at < size:
            found[at] ^= 1 << int(random.integers(8))
        elif kind == 1 and at < size:
            found[at] = int(random.integers(256))
        elif kind == 2:
            del found[at : at + length]
        elif kind == 3:
            found[at:at] = found[at : at + length] * int(random.integers(1, 4))
        elif kind == 4:
            hurt = HURT[int(random.integers(len(HURT)))]
            found[at : at + int(random.integers(3)) * len(hurt)] = hurt
        elif kind == 5:
            found = found[:at] if random.random() < 0.3 else found
        elif kind == 6 and at < size:
            other = int(random.integers(size))
            found[at : at + length] = found[other : other + length]
    return bytes(found)


def shuffled_cells(data: bytes, random: Random) -> bytes:
    """Return a CSV with cells, rows or columns replaced: structure stays."""
    rows = [line.split(b",") for line in data.splitlines()]
    for _ in range(int(random.integers(1, 4))):
        row = rows[int(random.integers(len(rows)))]
        at = int(random.integers(len(row)))
        kind = int(random.integers(5))
        if kind == 0:
            row[at] = HURT[int(random.integers(len(HURT)))]
        elif kind == 1:
            row[at] = mutated(row[at] or b"0", random)
        elif kind == 2:
            rows.append(list(row))
        elif kind == 3:
            rows.remove(row) if len(rows) > 1 else None
        else:
            row[at] = str(random.normal()).encode()
    return b"\n".join(b",".join(row) for row in rows) + b"\n"


def table_again(name: str, random: Random) -> bytes:
    """Return Parquet with other types, rows and numbers, written in order."""
    table = answers(BOARD.tasks[name], random, quantiles=bool(random.integers(2)))
    column = table.columns[int(random.integers(table.width))]
    odd = [
        pl.lit(None),
        pl.lit(float("nan"), pl.Float64),
        pl.lit(float("inf"), pl.Float32),
        pl.lit("x" * int(random.integers(2000))),
        pl.lit(int(random.integers(-5, 2**40))),
        pl.lit([1.0]),
        pl.lit(True),
        pl.lit(b"\xff", pl.Binary),
        pl.struct("id"),
        pl.col(column).shuffle(seed=int(random.integers(99))),
        pl.col(column).cast(pl.String).cast(pl.Categorical),
        pl.lit(1e39),
    ]
    table = table.with_columns(odd[int(random.integers(len(odd)))].alias(column))
    table = table.sample(
        int(random.integers(1, 2 * len(table))), with_replacement=True, seed=1
    )
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="uncompressed")
    return buffer.getvalue()


def made(kind: str, number: int, seed: int) -> tuple[str, bytes]:
    """Return an input by its number: the task that it is read for, and bytes."""
    random = stream(seed, f"fuzz/{kind}", number)
    some = seeds_of(kind)
    name, data = some[int(random.integers(len(some)))]
    draw = random.random()
    if draw < 0.04:
        return name, random.bytes(int(random.integers(300)))
    if draw < 0.06:
        return name, data
    if kind == "csv" and draw < 0.5:
        return name, shuffled_cells(data, random)
    if kind == "parquet" and draw < 0.1:
        return name, table_again(name, random)
    return name, mutated(data, random)


def one(kind: str, number: int, seed: int) -> str:
    """Read an input and return its outcome, "taken" or codes."""
    try:
        if kind == "folder":
            return folder(number, seed)
        name, data = made(kind, number, seed)
        if kind == "card":
            parse_card(data)
            return "taken"
        asked = BOARD.tasks[name]
        reader: Callable[[bytes, Asked, str], Read]
        reader = read_csv if kind == "csv" else read_parquet
        found = reader(data, asked, "predictions/x")
        problems = check_rows(asked, found.frame, "predictions/x", found.quoted)
        if not problems:
            digest(found.frame)
        return told(problems)
    except Rejected as rejected:
        return told(rejected.problems)


def told(problems: Any) -> str:
    """Return the first code, which must be known."""
    found: list[Problem] = list(problems)
    assert all(p.code in CODES and p.count >= 1 for p in found)
    assert all(str(p).isprintable() for p in found)
    return found[0].code if found else "taken"


def folder(number: int, seed: int) -> str:
    """Lay out a folder, with links, pipes and odd names, and validate it."""
    random = stream(seed, "fuzz/folder", number)
    files = {"submission.toml": made("card", number, seed)[1]}
    for at, task in enumerate(BOARD.tasks):
        kind = ("csv", "parquet")[int(random.integers(2))]
        found = [data for name, data in seeds_of(kind) if name == task]
        data = found[int(random.integers(len(found)))]
        if random.random() < 0.3:
            data = made(kind, number * 3 + at, seed)[1]
        files[f"predictions/{task}.{kind}"] = data
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for where, data in files.items():
            (root / where).parent.mkdir(parents=True, exist_ok=True)
            (root / where).write_bytes(data)
        odd = root / ("predictions/" * int(random.integers(2))) / "odd.csv"
        draw = int(random.integers(8))
        if draw == 0:
            odd.symlink_to("/etc/passwd")
        elif draw == 1:
            os.mkfifo(odd)
        elif draw == 2:
            (odd.parent / os.fsdecode(random.bytes(8).hex().encode() + b"\xff")).touch()
        validate(read_folder(root), BOARD)
    return "taken"


def kind_of(number: int, seed: int) -> str:
    """Return the reader that gets an input."""
    draw = stream(seed, "fuzz/kind", number).random()
    for kind, share in SHARES:
        draw -= share
        if draw < 0:
            return kind
    return "csv"


def work(span: tuple[int, int, int]) -> dict[str, Any]:
    """Read a range of inputs and return counts, the longest and what went wrong."""
    start, end, seed = span
    counts: collections.Counter[str] = collections.Counter()
    longest, name, wrong = 0.0, "", list[tuple[str, str]]()
    for number in range(start, end):
        kind = kind_of(number, seed)
        began = time.perf_counter()
        try:
            outcome = one(kind, number, seed)
        except Exception:
            outcome = "WRONG"
            wrong.append((f"{kind}/{number}", traceback.format_exc()))
        took = time.perf_counter() - began
        counts[f"{kind} {outcome}"] += 1
        if took > longest:
            longest, name = took, f"{kind}/{number}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"counts": counts, "wrong": wrong, "peak_mb": peak}
    return found | {"longest_s": longest, "longest": name}


def fuzz(inputs: int, jobs: int, seed: int) -> dict[str, Any]:
    """Read many inputs in several processes; a process that dies is an error, too."""
    spans = [(i, min(i + CHUNK, inputs), seed) for i in range(0, inputs, CHUNK)]
    counts: collections.Counter[str] = collections.Counter()
    found: dict[str, Any] = {"longest_s": 0.0, "peak_mb": 0.0, "wrong": []}
    began = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for part in pool.map(work, spans):
            counts.update(part["counts"])
            found["wrong"] += part["wrong"]
            found["peak_mb"] = max(found["peak_mb"], part["peak_mb"])
            if part["longest_s"] > found["longest_s"]:
                found |= {key: part[key] for key in ("longest_s", "longest")}
    found |= {"inputs": inputs, "seed": seed, "jobs": jobs}
    found["seconds"] = time.perf_counter() - began
    return found | {"counts": dict(sorted(counts.items()))}


def show(found: dict[str, Any]) -> None:
    """Print what came of it."""
    for name, count in found["counts"].items():
        print(f"{name:28s} {count:>9,}")
    for name, text in found["wrong"][:10]:
        print(f"\nWRONG {name}\n{text}")
    print(
        f"{found['inputs']:,} inputs in {found['seconds']:.0f} s "
        f"({found['inputs'] / found['seconds']:,.0f} a second, {found['jobs']} jobs); "
        f"longest {found['longest_s']:.3f} s ({found['longest']}); "
        f"greatest resident memory {found['peak_mb']:.0f} MB; "
        f"{len(found['wrong'])} untyped exceptions"
    )


def main() -> int:
    """Fuzz, or measure large files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="kind/number of one input")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON")
    given = parser.parse_args()
    if given.only:
        kind, number = given.only.split("/")
        print(one(kind, int(number), given.seed))
        return 0
    if given.large:
        from large_submissions import measured

        found: dict[str, Any] = {"large": measured(), "wrong": []}
    else:
        found = fuzz(given.inputs, given.jobs, given.seed)
        show(found)
        if found["peak_mb"] > LIMIT_MB or found["longest_s"] > LIMIT_S:
            found["wrong"].append(("limits", f"{LIMIT_MB} MB, {LIMIT_S} s"))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return int(bool(found["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
