"""How commands speak: text or JSON on stdout, messages and exit codes for mistakes."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 75

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Corpus folder.")]


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """Turn wrong names and values into a message and exit code 2."""
    try:
        yield
    except KeyError as error:
        fail(str(error.args[0]), EXIT_USAGE)
    except (ValueError, TypeError) as error:
        fail(str(error), EXIT_USAGE)


def answer(data: Any, text: str, as_json: bool) -> None:
    """Print the text, or the data as one JSON document."""
    typer.echo(json.dumps(data, indent=1, default=str) if as_json else text)


def say(line: str) -> None:
    """Print a line about what is going on, to stderr."""
    typer.echo(line, err=True)


def fail(message: str, code: int) -> None:
    """Print a message to stderr and leave with an exit code."""
    typer.echo(f"harness: {message}", err=True)
    sys.exit(code)
