"""Where two records of one run part: the question of a merge and of a replay."""

from collections.abc import Iterator

import numpy as np

from harness.record import RunRecord, same_outcome


def first_difference(one: RunRecord, other: RunRecord) -> str | None:
    """Return where two records of a run first differ, as text; None if they agree.

    Curves are compared first, by step: the earliest step at which a signal differs in
    any bit is where two trainings parted. Costs and environment do not count.

    Example:
        "train_loss at step 7: 1.25 and 1.5", "final.test_correct: 180 and 181"
    """
    if same_outcome(one, other):
        return None
    return next(_curve_differences(one, other), None) or next(
        _field_differences(one, other)
    )


def _curve_differences(one: RunRecord, other: RunRecord) -> Iterator[str]:
    """Yield the earliest difference of the curves, if there is one."""
    found: list[tuple[int, str, str]] = []
    for name in sorted({*one.curves, *other.curves}):
        if name not in one.curves or name not in other.curves:
            where = "first" if name in one.curves else "second"
            found.append((0, name, f"{name}: only the {where} has it"))
            continue
        a, b = one.curves[name], other.curves[name]
        n = min(len(a.steps), len(b.steps))
        differs = a.steps[:n] != b.steps[:n]
        differs |= a.values[:n].view(np.uint32) != b.values[:n].view(np.uint32)
        if differs.any():
            i = int(differs.argmax())
            step = int(min(a.steps[i], b.steps[i]))
            values = f"{a.values[i]!s} and {b.values[i]!s}"
            found.append((step, name, f"{name} at step {step}: {values}"))
        elif len(a.steps) != len(b.steps):
            step = int(max(a.steps, b.steps, key=len)[n])
            counts = f"{len(a.steps)} values and {len(b.steps)} values"
            found.append((step, name, f"{name} at step {step}: {counts}"))
    if found:
        yield min(found)[2]


def _field_differences(one: RunRecord, other: RunRecord) -> Iterator[str]:
    """Yield the differences of everything but the curves."""
    for name in ("status", "num_steps", "steps_per_epoch", "diverged_step", "error"):
        a, b = getattr(one, name), getattr(other, name)
        if a != b:
            yield f"{name}: {a} and {b}"
    for name in sorted({*one.final, *other.final}):
        a, b = one.final.get(name), other.final.get(name)
        if repr(a) != repr(b):
            yield f"final.{name}: {a} and {b}"
    for a, b in zip(one.ood, other.ood, strict=False):
        if repr(a) != repr(b):
            yield f"ood: {a} and {b}"
    for name in ("config", "ood", "events", "signals", "final"):
        a, b = getattr(one, name), getattr(other, name)
        if repr(a) != repr(b):
            yield f"{name}: {a} and {b}"
