"""Progress of a grid: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from harness.executors.events import Event
from harness.generate import Progress as GridProgress
from harness.spans import duration

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S: Final = 15.0


class Display:
    """Shows events on standard error; a context manager.

    Args:
        num_runs: Runs to train.
        live: Show a bar, which needs rich; None: on a terminal.
    """

    def __init__(self, num_runs: int, *, live: bool | None = None) -> None:
        self._num_runs = num_runs
        self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty() if live is None else live:
            self._bar = _bar()
            self._task = self._bar.add_task("starting", total=1.0, left="")

    def __enter__(self) -> Self:
        """Start the live display."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        if self._bar:
            self._bar.stop()

    def show(self, event: Event, progress: GridProgress) -> None:
        """Show the state after an event."""
        done = sum(progress.counts.values())
        text = f"{done}/{self._num_runs} runs"
        left = duration(progress.seconds_left)
        for status in ("diverged", "failed"):
            if progress.counts.get(status):
                text += f", {progress.counts[status]} {status}"
        if event.kind in ("retried", "failed", "no-space"):
            reason = f" ({event.reason})" if event.reason else ""
            what = f"{event.kind}{reason}: cohort {event.cohort}"
            self.say(f"{what}: {_last_line(event.error)}")
        if self._bar:
            self._bar.update(
                self._task,
                completed=progress.share,
                description=text,
                left=f"{left} left",
            )
        elif time.monotonic() - self._last_line > LINE_EVERY_S or progress.share == 1:
            self._last_line = time.monotonic()
            self.say(f"{text}, {progress.share:.0%}, {left} left")

    def say(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[left]}"),
        console=Console(stderr=True),
    )


def _last_line(error: str) -> str:
    lines = error.strip().splitlines()
    return lines[-1] if lines else "no message"
