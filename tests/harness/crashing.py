"""Stop a worker dead between any two of its operations on files, then let it go on.

Run as `python -m tests.harness.crashing FOLDER OPTIMIZER FIRST EVERY`: trains a cohort
with a run of every schedule, counts its operations on files, then for the FIRST of them
and every EVERY-th after it trains the cohort once more in a folder of its own, in a
process that ends there by `os._exit`, and lets another process go on. Writes one JSON
line a point.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.attempts import load
from harness.checkpoint import CheckpointFile
from harness.datasets.source import find_source
from harness.device import Setting
from harness.digested import read_digested
from harness.errors import CorpusError
from harness.executors.work import CohortWorker
from harness.plan import Plan, PlannedRun
from harness.record import RunRecord, same_outcome
from harness.registry import SCHEDULES
from harness.sealed import check_seal
from harness.spec import Part
from tests.harness.tiny import profile

COHORT = "c-one"
CRASHED = 137
OPERATIONS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.utime"}


def main() -> None:
    base, optimizer, first, every = sys.argv[1:]
    whole = Path(base) / "whole"
    total = in_child(lambda: trained(whole, optimizer, stop_at=None))
    expected = records(whole)
    for point in range(int(first), total + 1, int(every)):
        folder = Path(base) / f"crash-{point}"
        code = in_child(lambda f=folder, p=point: trained(f, optimizer, stop_at=p))
        damaged = damaged_files(folder)
        in_child(lambda f=folder: trained(f, optimizer, stop_at=None))
        found_records = records(folder)
        attempts = load(folder, COHORT)
        found = {
            "point": point,
            "points": total,
            "code": code,
            "damaged": damaged,
            "runs": len(found_records),
            "same": sum(
                same_outcome(expected[name], found_records[name]) for name in expected
            ),
            "resumed_from": attempts[-1].resumed_from if attempts else None,
        }
        sys.stdout.write(json.dumps(found) + "\n")


def records(folder: Path) -> dict[str, RunRecord]:
    return {p.name: RunRecord.load(p) for p in folder.glob("shards/r-*")}


def in_child(body: Callable[[], int]) -> int:
    """Run in a process of its own; return what it returned, or its exit status."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps(body()).encode())
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, CRASHED), f"a worker failed ({code}); its messages are above"
    return int(json.loads(said)) if code == 0 else code


def trained(folder: Path, optimizer: str, stop_at: int | None) -> int:
    """Train the cohort, saving its state after every update; return operations seen."""
    plan(folder, optimizer)
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        changes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not (changes or event in OPERATIONS):
            return
        if not str(arguments[0]).startswith(str(folder)):
            return
        seen += 1
        if seen == stop_at:
            os._exit(CRASHED)

    worker = CohortWorker(
        folder, find_source(), Setting(device="cpu"), checkpoint_s=0.0
    )
    sys.addaudithook(watch)
    report = worker.work(COHORT)
    assert report.ending == "done", report.error
    return seen


def plan(folder: Path, optimizer: str) -> None:
    """Plan a run of every schedule, with a probe that watches single updates."""
    if (folder / "plan.parquet").exists():
        return
    probe = Part("update_direction", {"cadence": "epochs:3", "window": 2})
    base = dataclasses.replace(
        profile().run(batch_size=128),
        optimizer=Part(optimizer, {"lr": 0.002}),
        probes=(probe,),
    )
    schedules = (Part(name) for name in SCHEDULES.names())
    runs = [dataclasses.replace(base, schedule=each).resolve() for each in schedules]
    Plan(tuple(PlannedRun(r, r.run_id, COHORT, ("grid",)) for r in runs)).save(folder)


def damaged_files(folder: Path) -> list[str]:
    """Return the visible files that are not whole."""
    bad = []
    for path in [*folder.glob("shards/r-*"), *folder.glob("checkpoints/c-*")]:
        try:
            (read_digested if path.suffix == ".pt" else check_seal)(path)
        except CorpusError:
            bad.append(path.name)
    history = folder / "attempts" / f"{COHORT}.json"
    if history.exists() and not load(folder, COHORT):
        bad.append(history.name)
    return bad


if __name__ == "__main__":
    assert CheckpointFile  # torch is loaded before the first fork
    main()
