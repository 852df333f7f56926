"""The command that joins folders trained apart: `harness merge`."""

import dataclasses
from pathlib import Path
from typing import Annotated, cast

import typer

from harness.console import Json, answer, usage

MERGE_EPILOG = "Example: harness merge part-1 part-2 part-3 --out runs/t4"


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders that runs were trained in."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for all runs: new, one of DIR, or merged before."),
    ],
    keep: Annotated[
        str,
        typer.Option(
            help="What of a run with two different outcomes: equal (refuse, and tell "
            "where they part) or first (of OUT, then of DIR in order)."
        ),
    ] = "equal",
    allow_version: Annotated[
        bool,
        typer.Option("--allow-version", help="Join runs of other versions of runcast."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Join folders whose runs were trained apart, and build the tables of all."""
    from harness import merge as merging
    from harness.generate import finish

    with usage():
        done = merging.merge(
            folders, out, keep=cast(merging.Keep, keep), allow_version=allow_version
        )
    rows = finish(out)["rows"]
    counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    text = f"{merging.merged_text(done)}\ncorpus: {counts} (rows)"
    answer(dataclasses.asdict(done) | {"rows": rows}, text, as_json)
