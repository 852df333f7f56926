"""Observations and targets from arrays: known answers without a corpus."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from harness.early.curves import EarlyCurves, Recorded, last_step
from harness.spec import Part
from tasks.observations import Asked, Observations
from tasks.prediction import Targets

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
ACCURACY = Part("column", {"name": "final.test_accuracy", "log": False})


def observed(
    loss: Any = None,
    *,
    n: int | None = None,
    steps_per_epoch: int = 4,
    epochs: int = 10,
    until: float = 0.5,
    rate: Any = 0.1,
    recorded: Mapping[str, tuple[Sequence[int], Any]] | None = None,
    settings: Mapping[str, Sequence[Any]] | None = None,
    kind: str = "value",
    target: Part = ACCURACY,
) -> Observations:
    """Return n examples of one length, e-000, e-001, ..., in the order of the rows.

    Args:
        loss: `[n, num_steps]` or less; what is after the window is cut. None: 1 nat.
        n: Number of examples, where there is no loss.
        steps_per_epoch: Updates an epoch.
        epochs: Planned epochs.
        until: Share of the run that is seen.
        rate: `[n, num_steps]`, the planned rate, or one number.
        recorded: Steps `[M]` and values `[n, M]` a signal; cut at the window.
        settings: Hyper-parameters, a column of n values each.
        kind: "value", "probability" or "curve".
        target: What is asked for.
    """
    num_steps = epochs * steps_per_epoch
    end = int(last_step(until, num_steps))
    if loss is None:
        loss = np.ones((n or 1, num_steps))
    loss = np.asarray(loss, np.float32)
    num = len(loss)
    ids = tuple(f"e-{i:03d}" for i in range(num))
    planned = np.broadcast_to(np.asarray(rate, np.float32), (num, num_steps)).copy()
    block = EarlyCurves(
        run_ids=ids,
        num_steps=num_steps,
        steps_per_epoch=steps_per_epoch,
        loss=loss[:, :end],
        rate=planned[:, :end],
        recorded={
            name: measured(steps, values, end)
            for name, (steps, values) in sorted((recorded or {}).items())
        },
    )
    table = {
        "id": ids,
        "num_steps": [num_steps] * num,
        "steps_per_epoch": [steps_per_epoch] * num,
        **(settings or {}),
    }
    return Observations(
        asked=Asked(kind=kind, target=target, until=until, levels=LEVELS),
        ids=ids,
        settings=pl.DataFrame(table, schema_overrides={"id": pl.String}),
        blocks=(block,),
        planned=(planned,),
    )


def measured(steps: Sequence[int], values: Any, end: int) -> Recorded:
    """Return a signal measured at the same steps in every run, up to a last step."""
    kept = np.asarray(steps) <= end
    at = np.asarray(steps, np.int32)[kept]
    values = np.asarray(values, np.float32)[:, kept]
    return Recorded(
        unit="1",
        offsets=np.arange(len(values) + 1, dtype=np.int64) * len(at),
        steps=np.tile(at, len(values)),
        values=values.ravel(),
    )


def aimed(
    seen: Observations,
    values: Any = (),
    *,
    curves: Any = (),
    groups: Sequence[str] | None = None,
) -> Targets:
    """Return targets; every example is a family of its own unless groups say so.

    Args:
        seen: Of `observed`.
        values: `[n]`, in the order of the ids.
        curves: `[n, E]`, where a curve is asked for.
        groups: `[n]`, labels.
    """
    return Targets(
        ids=seen.ids,
        values=np.asarray(values, np.float64),
        curves=(np.asarray(curves, np.float64),) if len(curves) else (),
        groups=tuple(groups or (f"g-{i:03d}" for i in range(len(seen)))),
    )
