"""Train a folder's runs in this process: `python -m harness.work FOLDER`.

For machines with torch, torchvision, numpy, scipy, scikit-learn and pyarrow alone.
Several such processes may work on one folder, on one machine or on several that share
it. The tables are left to `harness tables`, which needs the whole installation.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import torch

from harness import command
from harness.datasets.source import find_source
from harness.device import Setting, device_names, settle
from harness.errors import RuncastError
from harness.execution import NAMES, execution_for
from harness.executors.crew import Crew
from harness.executors.events import Outcome
from harness.executors.here import HereExecutor
from harness.generate import Job, check_version, interruptible, mended, prepare, run_job
from harness.plan import Plan
from harness.progress import Display
from harness.record import failed_ids, finished_ids

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 75
"""As of `harness generate`."""

EPILOG: Final = """\
Ctrl-C, SIGTERM and SIGUSR1 keep the state after the next update. Exit codes: 0
done, 1 failed, 2 bad usage, 75 interrupted: the same command goes on.
Example: python -m harness.work runs/t4 --grid t4 --profile cifar10 --shard 1/2"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Train what the options ask for and leave with an exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    again = shlex.join(["python", "-m", "harness.work", *given])
    try:
        sys.exit(_work(options, again))
    except RuncastError as error:
        _fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:  # while planning, or the second signal
        _fail(f"stopped at once; this goes on: {again}", EXIT_INTERRUPTED)


def _work(options: argparse.Namespace, again: str) -> int:
    """Plan, train and say how it ended; return the exit code."""
    try:
        job, crew = _prepared(options)
    except KeyError as error:
        _fail(str(error.args[0]), EXIT_USAGE)
    except (ValueError, TypeError) as error:
        _fail(str(error), EXIT_USAGE)
    job, said = mended(job)
    for line in said:
        sys.stderr.write(f"{line}\n")
    outcome = _train(job, crew)
    return _close(job, outcome, again)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.work",
        description="Train the runs that a corpus folder plans, in this process.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="Corpus folder.")
    add("--grid", help="Plan this grid first: pilot, t1, t4, t8, t10, edge, yours.")
    add("--profile", help="What the grid is run on (default: cifar10, with CUDA).")
    add("--limit", type=int, metavar="N", help="Plan only the first runs.")
    add("--probes", help="Probes of the grid's runs, see `harness generate --help`.")
    add("--device", help="cpu, cuda or cuda:1 (default: best).")
    add("--threads", type=int, default=1, help="Threads on a processor (default: 1).")
    add("--shard", default="1/1", metavar="I/N", help="Train the I-th of N parts.")
    add("--data-dir", type=Path, help="Local mirror (default: RUNCAST_DATA_DIR).")
    add("--execution", choices=NAMES, default="auto", help="How steps are run.")
    add("--pack", type=int, metavar="N", help="Runs that train together on a GPU.")
    add("--deterministic", action="store_true", help="The same bits on one GPU type.")
    add("--allow-version", action="store_true", help="Go on with another version.")
    return parser


def _prepared(options: argparse.Namespace) -> tuple[Job, Crew]:
    """Check the options and plan; trains nothing.

    Raises:
        KeyError: A name is unknown.
        ValueError: A value is out of range or does not fit the others.
        RuncastError: Data are missing, or the folder is another version's.
    """
    if options.threads < 1:
        raise ValueError(f"--threads is {options.threads}, expected at least 1")
    device = _device(options.device)
    execution_for(options.execution, torch.device(device))  # refuses what cannot be
    setting = Setting(
        device=device,
        threads=options.threads,
        execution=options.execution,
        packing=options.pack,
        deterministic=options.deterministic,
    )
    job = _planned(options, device)
    crew = Crew(
        folder=options.folder,
        source=find_source(options.data_dir),
        devices=(device,),
        jobs=1,
        setting=setting,
    )
    return job, crew


def _planned(options: argparse.Namespace, device: str) -> Job:
    """Return the runs of the grid asked for, or all that the folder plans."""
    if options.grid is not None:
        request = command.Request(
            grid=options.grid,
            folder=options.folder,
            profile=options.profile,
            threads=options.threads,
            device=device,
            limit=options.limit,
            packing=options.pack,
            execution=options.execution,
            deterministic=options.deterministic,
            data_dir=options.data_dir,
            probes=_names(options.probes),
            allow_version=options.allow_version,
            shard=options.shard,
        )
        return command.prepare(request).job
    for name in ("profile", "limit", "probes"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} says how a grid is planned: name it, --grid")
    if not options.allow_version:
        check_version(options.folder)
    plan = Plan.load(options.folder)
    if not plan.runs:
        raise ValueError(
            f"{options.folder} holds no plan: name a grid to be planned, such as "
            "--grid t4 --profile digits, or a folder in which one is planned"
        )
    wanted = Plan(tuple(run for run in plan.runs if run.grids))
    return prepare(options.folder, wanted, shard=options.shard)


def _device(text: str | None) -> str:
    """Return the device to train on, checked to exist."""
    if text is not None and "," in text:
        raise ValueError(
            f"--device is {text!r}, expected one device, such as cpu or cuda:0: start "
            "a process for each, with --shard"
        )
    return device_names(text)[0]


def _train(job: Job, crew: Crew) -> Outcome:
    pending = job.pending
    with Display(len(pending), live=False) as display, interruptible() as interrupted:
        display.say(
            f"{len(job.plan.runs)} runs, {len(job.plan.runs) - len(pending)} finished "
            f"before; in this process on {crew.devices[0]}"
        )
        settle()
        return run_job(
            job, HereExecutor(crew), on_event=display.show, interrupted=interrupted
        )


def _close(job: Job, outcome: Outcome, again: str) -> int:
    """Say how it ended and what comes next; return the exit code."""
    ids = {run.run_id for run in job.plan.runs}
    planned = set(job.merged.grids)
    finished = finished_ids(job.folder / "shards")
    failed = ids & failed_ids(job.folder / "shards")
    say = sys.stdout.write
    say(f"{len(ids & finished)} of {len(ids)} runs finished in {job.folder}\n")
    if outcome is Outcome.INTERRUPTED:
        say(f"interrupted: this goes on: {again}\n")
        return EXIT_INTERRUPTED
    if outcome is Outcome.NO_SPACE:
        say(f"a file could not be written: make room, then this goes on: {again}\n")
        return EXIT_FAILED
    if failed:
        say(f"{len(failed)} failed (`harness status {job.folder}` tells why): this ")
        say(f"tries them again: {again}\n")
    if left := len(planned - finished - failed):
        say(f"{left} of the folder's {len(planned)} runs are left to others\n")
    say(f"tables: built by `{shlex.join(['harness', 'tables', str(job.folder)])}`\n")
    return EXIT_FAILED if failed else 0


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"harness.work: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
