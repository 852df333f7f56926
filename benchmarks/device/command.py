"""The command: tables in order of importance, while the time lasts."""

import argparse
import dataclasses
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from benchmarks.device import epochs, signals, steps
from benchmarks.device.bench import SIZES, Bench, Row, Size, mirrored, synthetic
from benchmarks.device.figure import draw
from benchmarks.device.report import Report, markdown_table
from harness.executors.local import cpu_environment


class Table(NamedTuple):
    """One of the tables."""

    name: str
    meaning: str
    measure: Callable[[Bench], Iterator[Row]]
    least_s: float
    """Seconds of the budget without which it is not begun."""


TABLES: Final = (
    Table(
        "ceilings",
        "What no kernel exceeds, and what an image needs.",
        steps.ceilings,
        0,
    ),
    Table(
        "agreement",
        "Losses of ours and of the plain recipe, float32, equal weights "
        "and batches: they compute the same.",
        steps.agreement,
        5,
    ),
    Table(
        "steps",
        "An update. Ours makes its own batches, augmented, and records; the "
        "plain recipe is given ready ones on the device.",
        steps.steps,
        20,
    ),
    Table(
        "recording",
        "An update with and without recording it, in turn.",
        steps.recording,
        10,
    ),
    Table(
        "compiled",
        "The compiled update beside what it has to beat.",
        steps.compiled_steps,
        60,
    ),
    Table(
        "synchronisations",
        "How often the host waits for the device.",
        epochs.synchronisations,
        10,
    ),
    Table(
        "whole run",
        "One and two epochs by train(), four evaluations an epoch, by "
        "account; extrapolated; the floor is the operations' at the matrix rate.",
        epochs.whole_run,
        20,
    ),
    Table("curvature", "A product with the Hessian.", signals.curvature, 15),
    Table("probes", "The default probes, of a run of 50 epochs.", signals.probes, 15),
    Table("kernels", "What a profiler sees of some updates.", signals.kernels, 15),
    Table(
        "evaluation",
        "Scoring test images that lie on the device.",
        signals.evaluation,
        15,
    ),
    Table(
        "grid",
        "What T-4 comes to, of the tables above: a mean over the batch sizes measured.",
        epochs.grid,
        0,
    ),
    Table(
        "epoch",
        "An epoch with its data path: torchvision's loader and transforms, "
        "a loss asked for every batch; and ours.",
        epochs.epoch,
        15,
    ),
    Table("data path", "Batches alone, augmented.", epochs.data_path, 15),
    Table("packed", "Runs side by side on one device.", epochs.packed, 15),
    Table(
        "stacked",
        "Runs in one stacked network: patchnet, 256 images of 8 x 8.",
        epochs.stacked,
        10,
    ),
)


def main() -> None:
    """Measure everything that was asked for and print what was written."""
    options = _options()
    wanted = os.environ | cpu_environment(1)  # as the harness starts its workers
    if options.device == "cpu" and wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    device = torch.device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    elif device.index is None:
        device = torch.device(device.type, torch.cuda.current_device())
    size = _size(options)
    data = mirrored(options.data_dir, size.images) if options.data_dir else None
    dataset = data or synthetic(size.images)
    bench = Bench(device, size, options.model, dataset)
    report = Report(options.out, _machine(bench, options.size))
    failed = [
        table.name
        for table in TABLES
        if not options.only or table.name in options.only
        if not measure(table, bench, report)
    ]
    _figure(report, options)
    print(f"written to {options.out}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; see {options.out / 'table.md'}")


def measure(table: Table, bench: Bench, report: Report) -> bool:
    """Measure one table if there is time; tell whether it did not fail.

    A failure is kept in the report, so that other tables are measured all the same.
    """
    report.open(table.name, table.meaning)
    start, status, good = time.monotonic(), "measured", True
    if bench.left_s < min(table.least_s, bench.size.budget_s / 10):
        status = f"left out: {max(0.0, bench.left_s):.0f} s of the budget left"
    else:
        try:
            for row in table.measure(bench):
                report.add(table.name, row)
                if bench.left_s < 0:
                    status = "cut short: the budget is spent"
                    break
        except Exception:
            status, good = f"failed\n\n```\n{traceback.format_exc()}```", False
    report.close(table.name, status, time.monotonic() - start)
    if not good:
        bench.clear()
    rows = report.tables[table.name]["rows"]
    print(f"\n## {table.name} ({time.monotonic() - start:.0f} s): {status}")
    print(markdown_table(rows) if rows else "", flush=True)
    return good


def _figure(report: Report, options: argparse.Namespace) -> None:
    title = f"{options.model}, size {options.size}, {_name_of(options.device)}"
    try:
        draw(report.tables, title, options.out / "figure.png")
    except ModuleNotFoundError as error:
        print(f"no figure: {error}; table and JSON are complete")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=best, help=f"cuda or cpu; here {best}")
    parser.add_argument("--size", choices=SIZES, help="full on a GPU, else small")
    parser.add_argument("--model", default="resnet18", help="a model with a width")
    parser.add_argument("--width", type=float, help="multiplies its channels")
    parser.add_argument("--batches", help="batch sizes, such as 128,512,1024")
    parser.add_argument("--seconds-each", type=float, help="to time each thing")
    parser.add_argument("--budget", type=float, help="seconds for everything")
    parser.add_argument("--only", help="tables, such as steps,probes (default: all)")
    parser.add_argument("--out", type=Path, default=Path("device-results"))
    parser.add_argument("--data-dir", type=Path, help="mirror with cifar10-jpeg")
    options = parser.parse_args()
    options.size = options.size or ("full" if options.device != "cpu" else "small")
    if options.only:
        names = options.only.split(",")
        known = [table.name for table in TABLES]
        if wrong := sorted({*names} - {*known}):
            parser.error(f"no table {', '.join(wrong)}; there are {', '.join(known)}")
        # every other table needs the ceilings
        options.only = {"ceilings", *names} | (
            {"steps"} if "probes" in names else set()
        )
    return options


def _size(options: argparse.Namespace) -> Size:
    size: Size = SIZES[options.size]
    changes: dict[str, Any] = {
        "width": options.width,
        "seconds_each": options.seconds_each,
        "budget_s": options.budget,
    }
    if options.batches:
        changes["batches"] = tuple(int(text) for text in options.batches.split(","))
    kept = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(size, **kept)


def _name_of(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo")
    text = lines.read_text() if lines.is_file() else ""
    names = [line.split(":")[1] for line in text.splitlines() if "model name" in line]
    return f"{(names or [platform.processor()])[0].strip()}, one thread"


def _machine(bench: Bench, size: str) -> dict[str, Any]:
    return {
        "device": _name_of(str(bench.device)),
        "cores": os.cpu_count(),
        "load at the start": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda if bench.cuda else "not used",
        "TF32 in convolutions": torch.backends.cudnn.allow_tf32,
        "TF32 in products": torch.backends.cuda.matmul.allow_tf32,
        "size": f"{size}: {dataclasses.asdict(bench.size)}",
        "model": f"{bench.model.name} {bench.model.params}",
        "ours, unless said otherwise": f"{bench.precision}, {bench.execution}",
        "images": f"{bench.dataset.name}, {len(bench.data.train)} to train on",
    }
