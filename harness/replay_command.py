"""The command that trains a recorded run again: `harness replay`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.console import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Folder,
    Json,
    answer,
    fail,
    usage,
)

REPLAY_EPILOG = (
    "Example: harness replay runs/t4 r-1f. Exit code 0: bitwise or within-tolerance "
    "(final test accuracies closer than the standard deviation of seeds); 1: differs."
)


def replay(
    folder: Folder,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run id or its beginning.")],
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda or cuda:1 (default: as the run was trained)."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads on a processor (default: as recorded)."),
    ] = None,
    execution: Annotated[
        str | None,
        typer.Option(
            help="eager, graph, compiled or auto (default: as recorded; on another "
            "kind of device auto)."
        ),
    ] = None,
    deterministic: Annotated[
        bool | None,
        typer.Option(
            "--deterministic/--no-deterministic",
            help="The same bits every time on one type of GPU (default: as recorded).",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="RUNCAST_DATA_DIR", help="Local mirror of data sets."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a recorded run again, alone, and compare every number with the record."""
    from harness import replay as replaying
    from harness.generate import interruptible
    from harness.progress import Display

    with usage():
        recorded = replaying.find(folder, run)
        options = replaying.Options(
            device=device,
            threads=threads,
            execution=execution,
            deterministic=deterministic,
            data_dir=data_dir,
        )
        prepared = replaying.prepare(recorded, options)
    with Display(1) as display, interruptible() as asked:
        display.say(
            f"replaying {recorded.config.run_id}: {recorded.record.num_steps} updates "
            f"on {prepared.setting.device}"
        )
        replayed = replaying.retrain(prepared, on_event=display.show, interrupted=asked)
    if replayed is None:
        fail("stopped; the same command starts the replay again", EXIT_INTERRUPTED)
        return
    found = replaying.judge(recorded, replayed)
    answer(replaying.document(found), replaying.report_text(found), as_json)
    if found.verdict == "differs":
        raise typer.Exit(EXIT_FAILED)
