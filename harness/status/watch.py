"""`harness status --watch`: looks again and again until all is done or nobody works."""

import contextlib
import dataclasses
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import typer
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from harness.errors import CorpusError
from harness.lease import STALE_S
from harness.manifest import MANIFEST
from harness.plan import PLAN
from harness.spans import duration
from harness.status import Reader, Status
from harness.status.text import (
    WIDTH,
    grid_lines,
    pace_lines,
    plain_line,
    reading_line,
    status_text,
    trouble_lines,
    worker_lines,
)

EVERY_S: Final = 5.0
"""Seconds between two looks."""
PATIENCE_S: Final = STALE_S
"""Seconds without a worker and without a change after which nobody works any more:
between two cohorts a worker may have to load torch."""
PLAIN_S: Final = 60.0
"""Seconds between two plain lines that tell nothing new but the time left."""
READING_S: Final = 2.0
"""Seconds between two lines on how far the first reading is."""
_SLICE_S: Final = 0.25
"""Seconds after which a change of the terminal's size shows."""
_LOUD: Final = {"failed": "red", "gone": "yellow", "retried": "yellow"}


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """A folder's state on one screen, whatever its size; a renderable of rich."""

    folder: Path
    status: Status | None
    """None while there is nothing to be seen yet."""
    note: str
    """What the watcher has to say."""

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Yield what fits the screen: workers and troubles share what room is left."""
        width = min(options.max_width, WIDTH)
        room = (options.height or console.height) - 2
        yield Text(f"{self.folder}", style="bold", no_wrap=True, overflow="ellipsis")
        if self.status is not None and room > 0:
            yield ProgressBar(total=1.0, completed=self.status.rate.share, width=width)
            yield Segment.line()
            yield _texts(_screen(self.status, room - 1), width)
        yield Text(self.note, style="dim", no_wrap=True, overflow="ellipsis", end="")


def _screen(status: Status, room: int) -> list[str]:
    """Return the lines of a status that fit: workers and troubles share the rest."""
    lines = [*grid_lines(status), *pace_lines(status)]
    workers = worker_lines(status.workers) if status.workers else []
    trouble = trouble_lines(status)
    gaps = bool(workers) + bool(trouble)
    room -= len(lines) + gaps
    troubles = min(len(trouble), max(room // 3, room - len(workers)))
    for part, rows in ((workers, room - troubles), (trouble, troubles)):
        if part:
            lines += ["", *_cut(part, rows)]
    return _cut(lines, room + len(lines)) if room < 0 else lines


class _Screen:
    """Shows a folder on a terminal, one screen at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._live = Live(screen=True, auto_refresh=False)
        self._picture = Picture(folder, None, "looking")

    def __enter__(self) -> Self:
        self._live.start()
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, status: Status, left_s: float) -> None:
        """Show a status; the watch ends after `left_s` if nobody works."""
        note = f"{datetime.now():%H:%M:%S}; Ctrl-C ends the watching, not the work"
        if not status.is_running:
            note = f"nobody at work: the watching ends in {duration(left_s)}"
        self._picture = Picture(self._folder, status, note)
        self._draw()

    def say(self, text: str) -> None:
        """Say why there is nothing new to be seen."""
        self._picture = dataclasses.replace(self._picture, note=text)
        self._draw()

    def pause(self, seconds: float) -> None:
        """Wait; the picture follows the size of the terminal."""
        end, size = time.monotonic() + seconds, self._live.console.size
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
            if self._live.console.size != size:
                size = self._live.console.size
                self._draw()

    def _draw(self) -> None:
        self._live.update(self._picture, refresh=True)


class _Lines:
    """Tells how far a folder is in lines, where something changed or a minute went by.

    Args:
        as_json: Tell every look as a line of JSON.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._counts: dict[str, int] | None = None
        self._told = -math.inf
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()

    def show(self, status: Status, left_s: float) -> None:
        """Tell a status."""
        if self._as_json:
            typer.echo(json.dumps(dataclasses.asdict(status), default=str))
        elif status.counts != self._counts or time.monotonic() - self._told > PLAIN_S:
            self._counts, self._told = status.counts, time.monotonic()
            typer.echo(plain_line(status))

    def say(self, text: str) -> None:
        """Say why there is nothing new to be seen, once."""
        if text != self._said:
            self._said = text
            typer.echo(text, err=True)

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def watch(
    folder: Path,
    *,
    every_s: float = EVERY_S,
    patience_s: float = PATIENCE_S,
    as_json: bool = False,
) -> int:
    """Show how far `folder` is until it is done; return the exit code.

    A screen on a terminal, lines elsewhere: JSON, one document a look, if asked. A
    folder that is not there yet is waited for.

    Args:
        folder: The corpus folder.
        every_s: Seconds between two looks.
        patience_s: Seconds without a worker or a change before it ends.
        as_json: Print every status as a line of JSON.

    Returns:
        0: all finished, or Ctrl-C; 1: runs failed, or nobody works any more.

    Raises:
        CorpusError: The plan stayed unreadable for `patience_s`.
    """
    on_terminal = sys.stdout.isatty() and not as_json
    try:
        with (
            _stoppable(),
            _Screen(folder) if on_terminal else _Lines(as_json=as_json) as show,
        ):
            last, end, code = _watched(folder, show, every_s, patience_s)
    except KeyboardInterrupt:
        return 0
    if not as_json:
        typer.echo(f"{status_text(last)}\n\n{end}")
    return code


def telling(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return what tells how far a long reading is, every `READING_S`."""
    last = math.inf

    def tell(done: int, total: int) -> None:
        nonlocal last
        if done == 1:
            last = time.monotonic()
        elif time.monotonic() - last > READING_S:
            last = time.monotonic()
            say(reading_line(done, total))

    return tell


def _watched(
    folder: Path, show: _Screen | _Lines, every_s: float, patience_s: float
) -> tuple[Status, str, int]:
    """Look until there is nothing more to be seen; return the last look, why, code."""
    reader = Reader(folder, telling(show.say))
    alive, newest = time.monotonic(), None
    while True:
        left_s = patience_s - (time.monotonic() - alive)
        try:
            found = reader.look()
        except (CorpusError, OSError) as error:
            if not any((folder / name).exists() for name in (PLAN, MANIFEST)):
                alive, left_s = time.monotonic(), patience_s
                show.say(f"waiting for {folder}: there is no plan yet")
            elif left_s < 0:
                raise
            else:
                show.say(str(error))
        else:
            if found.is_running or reader.newest != newest:
                alive, left_s = time.monotonic(), patience_s
            newest = reader.newest
            show.show(found, left_s)
            if end := _end(found, left_s):
                return found, *end
        show.pause(every_s)


def _end(status: Status, left_s: float) -> tuple[str, int] | None:
    """Return why the watch ends and its exit code; None while it goes on."""
    failed = status.counts["failed"]  # of a downloaded corpus all that is known
    if status.is_running:
        return None
    if not status.counts["pending"] and (status.tables == "current" or left_s < 0):
        if failed:
            return f"ended: {failed} of {status.planned} runs failed", 1
        return f"done: all {status.planned} runs finished", 0
    return ("ended: nobody works any more", 1) if left_s < 0 else None


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Make SIGINT and SIGTERM end the watching, so that the terminal is mended.

    A shell may have started this with SIGINT ignored.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, signal.default_int_handler) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cut(lines: list[str], room: int) -> list[str]:
    """Return as many lines as there is room for, the last one counting the rest."""
    if len(lines) <= room:
        return lines
    left = len(lines) - room + 1
    return [*lines[: room - 1], f"... and {left} more lines"] if room > 0 else []


def _texts(lines: list[str], width: int) -> Group:
    """Return lines, those about troubles in colour."""
    return Group(
        *(
            Text(line[:width], style=_style(line), no_wrap=True, overflow="crop")
            for line in lines
        )
    )


def _style(line: str) -> str:
    if " SILENT " in line:
        return "yellow"
    return _LOUD.get(line.partition(":")[0], "")
