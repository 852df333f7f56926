"""A replay as text and as one JSON document."""

import dataclasses
from typing import Any, Final

from harness.columns import aligned
from harness.replay.verdict import Replay

MOST_LINES: Final = 20
"""Signals that the text lists; the document holds all."""


def document(found: Replay) -> dict[str, Any]:
    """Return a replay as plain data."""
    recorded, replayed = found.accuracy
    return {
        "run_id": found.run_id,
        "corpus": found.corpus,
        "verdict": found.verdict,
        "reason": found.reason,
        "first_step": found.first_step,
        "first_signals": list(found.first_signals),
        "test_accuracy": {"recorded": recorded, "replayed": replayed},
        "tolerance": found.noise._asdict(),
        "environment": {
            name: {"recorded": was, "here": here}
            for name, (was, here) in found.environment.items()
        },
        "signals": [dataclasses.asdict(signal) for signal in found.signals],
    }


def report_text(found: Replay) -> str:
    """Return a replay as text."""
    lines = [f"{found.run_id} of {found.corpus}: {found.verdict}", found.reason]
    if found.first_step is not None:
        lines.append(
            f"first difference: step {found.first_step}, "
            f"{', '.join(found.first_signals)}"
        )
    accuracy = " recorded, ".join(
        "-" if a is None else f"{a:.6f}" for a in found.accuracy
    )
    sd = "unknown" if found.noise.sd is None else f"{found.noise.sd:.6f}"
    lines += [
        f"final test accuracy: {accuracy} replayed",
        f"standard deviation of seeds: {sd} ({found.noise.source})",
        *_environment(found),
        *_signals(found),
    ]
    return "\n".join(lines)


def _environment(found: Replay) -> list[str]:
    if not found.environment:
        return ["environment: as recorded"]
    rows = [
        (f"  {name}", _told(was), "->", _told(here))
        for name, (was, here) in found.environment.items()
    ]
    return ["environment, recorded -> here:", *aligned(rows)]


def _told(value: Any) -> str:
    return "not recorded" if value is None else str(value)


def _signals(found: Replay) -> list[str]:
    """Return a line for each signal that differs, and one for the others."""
    values = sum(signal.values for signal in found.signals)
    same = sum(signal.same for signal in found.signals)
    differ = [signal for signal in found.signals if not signal.agrees]
    lines = [
        f"{same:,} of {values:,} values in {len(found.signals)} signals have the same "
        "bits"
    ]
    if not differ:
        return lines
    head = ("  signal", "values", "same", "first", "max |diff|", "max rel.", "")
    rows = [
        (
            f"  {s.signal}",
            f"{s.values:,}",
            f"{s.same:,}",
            s.first_step,
            *("-" if x is None else f"{x:.2g}" for x in (s.max_abs, s.max_rel)),
            "{} recorded, {} replayed".format(*s.first) if s.first else "",
        )
        for s in sorted(differ, key=lambda s: s.first_step or 0)[:MOST_LINES]
    ]
    lines += aligned([head, *rows], right=(1, 2, 3, 4, 5))
    if len(differ) > MOST_LINES:
        lines.append(f"  and {len(differ) - MOST_LINES} more (--json lists all)")
    return lines
