"""The command `harness status`."""

import dataclasses
from typing import Annotated, Final

import typer

from harness.console import EXIT_FAILED, Folder, Json, answer, say

STATUS_EPILOG: Final = "Example: harness status runs/t4 --watch"


def status(
    folder: Folder,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Look again and again until all is done or nobody works."
        ),
    ] = False,
    every: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Between two looks of --watch."),
    ] = 5.0,
    as_json: Json = False,
) -> None:
    """Tell how far a folder is, who works on it, what failed, and what it costs."""
    from harness.status import Reader
    from harness.status import watch as watching
    from harness.status.text import status_text

    if watch:
        code = watching.watch(folder, every_s=every, as_json=as_json)
        raise typer.Exit(code)
    found = Reader(folder, watching.telling(say)).look()
    answer(dataclasses.asdict(found), status_text(found), as_json)
    if found.counts["failed"]:
        raise typer.Exit(EXIT_FAILED)
