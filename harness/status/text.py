"""The state of a corpus folder as lines of at most 80 columns."""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from harness.columns import aligned, percent
from harness.costs import costs_text
from harness.spans import duration
from harness.status import STATES, Failure, Status
from harness.status.crews import Loss, Retried, Worker

WIDTH: Final = 80
SHOWN: Final = 10
"""Entries of a kind that are listed; the others are counted."""
LABEL: Final = 24
"""Columns of the name of a grid."""
HEADER: Final = ("worker", "device", "cohort", "doing", "share", "at work", "heard")
_HOW: Final = {
    "died": "died",
    "killed": "was killed",
    "timeout": "fell silent",
    "oom": "ran out of memory",
    "device": "lost its device",
    "data": "lacked its data",
    "error": "failed",
    "no-space": "could not write its files",
}
"""What a loss was, by kind."""


def status_text(status: Status) -> str:
    """Return the status as text."""
    lines = [str(status.folder), "", *grid_lines(status), "", *pace_lines(status)]
    if status.workers:
        lines += ["", *worker_lines(status.workers)]
    if trouble := trouble_lines(status):
        lines += ["", *trouble]
    if spent := costs_text(status.costs):
        lines += ["", *spent]
    commands = ("  python ", "  harness ")  # to be typed: whole, however long
    told = (line if line.startswith(commands) else line[:WIDTH] for line in lines[1:])
    return "\n".join([lines[0], *told])


def grid_lines(status: Status) -> list[str]:
    """Return the runs by grid and state."""
    grids = {**status.grids, "total": status.counts}
    if len(status.grids) == 1:
        grids = status.grids
    rows: list[tuple[str, ...]] = [("", "planned", *STATES)]
    for name, counts in grids.items():
        cells = (f"{counts[state] or '-'}" for state in STATES)
        label = name if len(name) <= LABEL else ""
        rows.append((label, f"{sum(counts.values())}", *cells))
    lines = aligned(rows, right=range(1, 7))
    for place, name in reversed([*enumerate(grids, start=1)]):
        if len(name) > LABEL:  # above its numbers
            lines.insert(place, name)
    if status.orphans:
        lines.append(
            f"orphans: {_count(status.orphans, 'run')} of grids that have changed; "
            "kept, not published"
        )
    return lines


def pace_lines(status: Status) -> list[str]:
    """Return whether it runs, how fast, how long yet and at what cost."""
    pace, lines = status.rate, [f"tables: {status.tables}{_making(status)}"]
    if status.is_running:
        what = f"{len(status.workers)} at work"
        if pace.recent_runs_per_min is not None:
            what += f", {_speed(pace.recent_runs_per_min)} runs/min in the last "
            what += duration(pace.window_s)
        if pace.overall_runs_per_min is not None:
            what += f", {_speed(pace.overall_runs_per_min)} over all"
        lines.append(f"workers: {what}")
        left = f"{percent(pace.share)} of the work is done"
        if pace.seconds_left is not None:
            left += f", {duration(pace.seconds_left)} left: ready {_ready(status)}"
        lines.append(f"time: {left}")
    elif not status.is_done:
        lines += _resting(status)
    paid = status.spending
    if paid.spent_device_s:
        cost = f"{_hours(paid.spent_device_s)} device-hours"
        if paid.lost_device_s:
            cost += f", of these {_hours(paid.lost_device_s)} lost to failures"
        if paid.expected_device_s is not None and not status.is_done:
            cost += f"; about {_hours(paid.expected_device_s)} in all"
        lines.append(f"cost: {cost}")
    return lines


def worker_lines(workers: Sequence[Worker]) -> list[str]:
    """Return a header and a line a worker, the silent ones first."""
    workers = sorted(workers, key=lambda worker: not worker.is_silent)
    lines: list[str] = []
    for columns in (24, 18, 14, 10, 6):  # as much of the host's name as there is room
        rows = [HEADER, *(_cells(worker, columns) for worker in workers)]
        lines = aligned(rows, right=(4, 5))
        if max(map(len, lines)) <= WIDTH:
            break
    return [line[:WIDTH] for line in lines]


def trouble_lines(status: Status) -> list[str]:
    """Return who is gone, what failed, and what was tried again."""
    lines = [
        f"gone: {g.host or 'unreadable'}:{g.pid}, which held {_short(g.cohort)}, last "
        f"heard of {duration(g.heard_s)} ago"
        for g in status.gone[:SHOWN]
    ]
    lines += _more(len(status.gone))
    if status.gone:
        lines.append("      the next start takes over what they held")
    alike = defaultdict(list)
    for failure in status.failures:
        alike[failure.kind, failure.host, failure.device, failure.error].append(failure)
    for group in list(alike.values())[:SHOWN]:
        lines += _failed_lines(group)
    lines += _more(len(alike))
    lines += [_retried_line(one) for one in status.retried[:SHOWN]]
    return lines + _more(len(status.retried))


def plain_line(status: Status) -> str:
    """Return one line that tells how far it is, for a log."""
    counts = ", ".join(
        f"{status.counts[state]} {state}"
        for state in ("diverged", "failed", "running")
        if status.counts[state]
    )
    line = f"{status.finished}/{status.planned} runs"
    line += f" ({counts})" if counts else ""
    line += f", {percent(status.rate.share)}"
    if status.workers:
        line += f", {_count(len(status.workers), 'worker')}"
        line += f", {duration(status.rate.seconds_left)} left"
    elif status.writing:
        line += f", writing the {' and the '.join(status.writing)}"
    else:
        line += ", nobody at work"
    return line


def reading_line(done: int, total: int) -> str:
    """Return how far the reading of records is."""
    return f"reading records: {done:,} of {total:,}"


def _resting(status: Status) -> list[str]:
    """Return that nobody works, since when, and what to type."""
    since = "" if status.idle_s is None else f" (last change {_ago(status.idle_s)})"
    lines = [f"not running{since}, {percent(status.rate.share)} of the work is done"]
    folder = shlex.quote(str(status.folder))
    if status.grids and (status.counts["pending"] or status.counts["failed"]):
        lines.append("the same `harness generate` command goes on, and so does")
        lines.append(f"  python -m harness.work {folder}")
    elif status.tables != "current":
        lines += ["the tables are built by", f"  harness tables {folder}"]
    return lines


def _making(status: Status) -> str:
    return f" (the {' and the '.join(w)} are written)" if (w := status.writing) else ""


def _cells(worker: Worker, columns: int) -> tuple[str, ...]:
    doing = worker.phase or "beginning"
    if worker.phase == "training":
        doing = f"{worker.step}/{worker.num_steps}"
    heard = duration(worker.heard_s)
    if worker.is_silent:
        heard = f"SILENT {duration(worker.noted_s)}"
    return (
        f"{worker.host[:columns]}:{worker.pid}",
        (worker.device or "-")[:8],
        _short(worker.cohort),
        doing[:15],
        "-" if worker.share is None else f"{100 * worker.share:.0f} %",
        "-" if worker.seconds is None else duration(worker.seconds),
        heard,
    )


def _retried_line(one: Retried) -> str:
    losses = ", ".join(map(_loss, one.losses))
    return f"retried: {_short(one.cohort)} {losses}; {duration(one.lost_s)} lost"


def _loss(loss: Loss) -> str:
    """Return a loss as words.

    Example:
        >>> _loss(Loss(kind="died", host="node3", device="cuda:1", times=2))
        'died twice on node3 cuda:1'
    """
    times = {1: "", 2: " twice"}.get(loss.times, f" {loss.times} times")
    return f"{_HOW.get(loss.kind, loss.kind)}{times} on {loss.host} {loss.device}"


def _failed_lines(alike: Sequence[Failure]) -> list[str]:
    """Return two lines on runs that failed in one way."""
    first = alike[0]
    line = f"failed: {first.run_id}"
    if len(alike) > 1:
        line += f" and {len(alike) - 1} more"
    if first.kind:
        line += f", {first.kind}"
    if first.attempts:
        line += f" after {_count(first.attempts, 'attempt')}"
    if first.host:
        line += f" on {first.host} {first.device}"
    return [line, f"        {first.error}"]


def _more(count: int) -> list[str]:
    return [f"        and {count - SHOWN} more like these"] if count > SHOWN else []


def _ready(status: Status) -> str:
    """Return when it will be ready, with the day if it is another one."""
    at = datetime.fromisoformat(status.rate.ready_at or "")
    today = datetime.now().astimezone().date()
    return f"about {at:%H:%M}" if at.date() == today else f"{at:%a %d %b about %H:%M}"


def _ago(seconds: float) -> str:
    return f"{duration(seconds)} ago"


def _speed(runs_per_min: float) -> str:
    return f"{runs_per_min:,.3g}" if runs_per_min < 1000 else f"{runs_per_min:,.0f}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.3g}" if seconds < 3.6e6 else f"{seconds / 3600:,.0f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _short(cohort: str) -> str:
    return cohort[:10]
