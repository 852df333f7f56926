"""Two records of one run, number by number: which differ, from which step, how far."""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.record import Curve, RunRecord, same_outcome

AT_END: Final = ("final.", "ood.")
"""Beginnings of the names of what is scored when a run has ended."""
MEASURED: Final = frozenset({"matmul_flops_per_s"})
"""What an environment tells that is a measured speed: never twice the same."""

Number = int | float | None
_NOTHING = Curve(np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReport:
    """How the values of one signal compare."""

    signal: str
    """A curve; "events"; "outcome": status and counts of steps; "final.NAME" or
    "ood.SET.NAME": scores at the end."""
    values: int
    """Values that at least one of the two has."""
    same: int
    """Values that both have, with the same bits: NaN equals NaN of one payload only."""
    first_step: int | None
    """First step whose value differs or is missing on one side; None: none."""
    first: tuple[str, str] | None
    """Both values there, as text."""
    max_abs: float | None
    """Largest absolute difference where both are finite; None: no such pair."""
    max_rel: float | None
    """Largest difference over the recorded absolute value, which is not 0."""

    @property
    def agrees(self) -> bool:
        """Tell whether every value has the same bits."""
        return self.same == self.values


def compare(recorded: RunRecord, replayed: RunRecord) -> tuple[SignalReport, ...]:
    """Return one report a signal: curves, events, outcome, final scores, OOD cells.

    What is null (not measured) on both sides is no value. Costs and environment are
    another machine's own; see `environment_changes`.

    Example:
        Losses (1.0, 0.5) recorded and (1.0, 0.75) replayed at the steps 1 and 2: two
        values, one the same, first step 2, differences 0.25 and 0.5.
    """
    end = recorded.diverged_step or recorded.num_steps
    reports = [
        _curve(name, recorded.curves.get(name), replayed.curves.get(name))
        for name in sorted({*recorded.curves, *replayed.curves})
    ]
    reports += [_events(recorded, replayed), _outcome(recorded, replayed, end)]
    finals = {*recorded.final, *replayed.final}
    for name in sorted(finals):
        a, b = ({"": r.final.get(name)} for r in (recorded, replayed))
        reports.append(_cells(f"final.{name}", end, a, b))
    left, right = _ood(recorded), _ood(replayed)
    for name in sorted({*left, *right}):
        reports.append(_cells(name, end, left.get(name, {}), right.get(name, {})))
    return tuple(report for report in reports if report.values)


def first_difference(one: RunRecord, other: RunRecord) -> str | None:
    """Return where two records of a run first differ, as text; None if they agree.

    The earliest step at which a signal differs in any bit is where two trainings
    parted. Costs and environment do not count.

    Example:
        "train_loss at step 7: 1.25 and 1.5"
    """
    if same_outcome(one, other):
        return None
    wrong = [(r.first_step, r) for r in compare(one, other) if not r.agrees]
    if not wrong:
        return "what they say of their signals or errors"
    step, report = min(wrong, key=lambda pair: pair[0] or 0)
    a, b = report.first or ("", "")
    return f"{report.signal} at step {step}: {a} and {b}"


def environment_changes(
    recorded: Mapping[str, Any], replayed: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return what two environments tell differently; None where one is silent."""
    names = dict.fromkeys([*recorded, *replayed])
    pairs = {name: (recorded.get(name), replayed.get(name)) for name in names}
    return {k: v for k, v in pairs.items() if v[0] != v[1] and k not in MEASURED}


def _curve(name: str, recorded: Curve | None, replayed: Curve | None) -> SignalReport:
    a, b = recorded or _NOTHING, replayed or _NOTHING
    steps = np.union1d(a.steps, b.steps)
    sides, there = np.zeros((2, len(steps)), np.float32), np.zeros((2, len(steps)), "?")
    for i, curve in enumerate((a, b)):
        where = np.searchsorted(steps, curve.steps)
        sides[i, where], there[i, where] = curve.values, True
    labels = [""] * len(steps)
    return _numbers(name, steps, labels, sides, there, sides.view(np.uint32))


def _cells(
    name: str, end: int, a: Mapping[str, Number], b: Mapping[str, Number]
) -> SignalReport:
    """Compare scores at the end of a run, by name of a cell."""
    pairs = {key: (a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b])}
    known = {key: pair for key, pair in pairs.items() if pair != (None, None)}
    columns = [[pair[i] for pair in known.values()] for i in (0, 1)]
    there = np.array([[x is not None for x in column] for column in columns])
    sides = np.array([[0.0 if x is None else x for x in c] for c in columns], float)
    steps = np.full(len(known), end)
    return _numbers(name, steps, list(known), sides, there, sides.view(np.uint64))


def _numbers(
    name: str,
    steps: npt.NDArray[Any],
    labels: list[str],
    sides: npt.NDArray[Any],
    there: npt.NDArray[np.bool_],
    bits: npt.NDArray[Any],
) -> SignalReport:
    """Compare two rows of values `[2, n]`, recorded and replayed."""
    same = there.all(0) & (bits[0] == bits[1])
    wide = sides.astype(np.float64)
    pairs = there.all(0) & np.isfinite(wide).all(0) & ~same
    far = np.abs(np.subtract(*wide[:, pairs]))
    scale = np.abs(wide[0, pairs])
    relative = far[scale > 0] / scale[scale > 0]
    first = None if same.all() else int(np.argmin(same))
    text = None
    if first is not None:
        a, b = (
            str(side[first]) if has[first] else "no value"
            for side, has in zip(sides, there, strict=True)
        )
        text = (f"{labels[first]} {a}".strip(), b)
    return SignalReport(
        signal=name,
        values=len(steps),
        same=int(same.sum()),
        first_step=None if first is None else int(steps[first]),
        first=text,
        max_abs=float(far.max()) if len(far) else None,
        max_rel=float(relative.max()) if len(relative) else None,
    )


def _ood(record: RunRecord) -> dict[str, dict[str, Number]]:
    """Return the scores of the cells by set and score."""
    found: dict[str, dict[str, Number]] = {}
    for cell in record.ood:
        for score in ("correct", "n", "loss"):
            of_set = found.setdefault(f"ood.{cell.set}.{score}", {})
            of_set[f"{cell.corruption} {cell.severity}"] = getattr(cell, score)
    return found


def _events(recorded: RunRecord, replayed: RunRecord) -> SignalReport:
    a, b = (
        [(e.step, f"{e.kind} {json.dumps(e.detail, sort_keys=True)}") for e in r.events]
        for r in (recorded, replayed)
    )
    pairs = []
    for one, other in itertools.zip_longest(a, b):
        step = min(event[0] for event in (one, other) if event)
        pairs.append((step, _told(one), _told(other)))
    return _texts("events", pairs)


def _told(event: tuple[int, str] | None) -> str:
    return "no event" if event is None else f"at {event[0]}: {event[1]}"


def _outcome(recorded: RunRecord, replayed: RunRecord, end: int) -> SignalReport:
    names = ("status", "diverged_step", "num_steps", "steps_per_epoch")
    sides = ([f"{n} {getattr(r, n)}" for n in names] for r in (recorded, replayed))
    return _texts("outcome", [(end, a, b) for a, b in zip(*sides, strict=True)])


def _texts(name: str, pairs: Iterable[tuple[int, str, str]]) -> SignalReport:
    """Compare texts: step, recorded, replayed."""
    rows = list(pairs)
    bad = [(step, a, b) for step, a, b in rows if a != b]
    first = bad[0][1:] if bad else None
    return SignalReport(
        signal=name,
        values=len(rows),
        same=len(rows) - len(bad),
        first_step=bad[0][0] if bad else None,
        first=first,
        max_abs=None,
        max_rel=None,
    )
