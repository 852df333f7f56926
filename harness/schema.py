"""Tables of a corpus: their columns, windows and the dictionary of signals."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = "1.2"
"""Of the tables, not of a corpus: the first number is raised where old readers fail,
the second where tables or columns are added (1.2: those of blind releases)."""

WINDOW_EDGES: Final = (4, 10, 20, 30, 50, 100)
"""Right edges of the segments, in percent of a run's steps."""

CURVE: Final = pa.struct(
    [
        ("signal", pa.string()),
        ("steps", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float32())),
    ]
)
EVENT: Final = pa.struct(
    [("step", pa.int32()), ("kind", pa.string()), ("detail_json", pa.string())]
)
OOD: Final = pa.struct(
    [
        ("set", pa.string()),
        ("corruption", pa.string()),
        ("severity", pa.int8()),
        ("correct", pa.int32()),
        ("n", pa.int32()),
        ("loss", pa.float32()),
    ]
)

SHARD: Final = pa.schema(
    [
        ("run_id", pa.string()),
        ("config_json", pa.string()),
        ("status", pa.string()),
        ("num_steps", pa.int32()),
        ("steps_per_epoch", pa.int32()),
        ("diverged_step", pa.int32()),
        ("error", pa.string()),
        ("signals_json", pa.string()),
        ("final_json", pa.string()),
        ("costs_json", pa.string()),
        ("environment_json", pa.string()),
        ("curves", pa.list_(CURVE)),
        ("events", pa.list_(EVENT)),
        ("ood", pa.list_(OOD)),
    ]
)
"""One run at rest in the work folder: `shards/<run_id>.parquet`, one row."""

RUNS: Final = pa.schema(
    [
        ("run_id", pa.string()),
        ("trajectory_id", pa.string()),
        ("family_id", pa.string()),
        ("grids", pa.list_(pa.string())),
        ("status", pa.string()),
        ("num_steps", pa.int32()),
        ("steps_per_epoch", pa.int32()),
        ("diverged_step", pa.int32()),
        ("final.test_accuracy", pa.float64()),
        ("final.validation_accuracy", pa.float64()),
        ("final.train_accuracy", pa.float64()),
        ("error", pa.string()),
        ("config_json", pa.string()),
    ]
)
"""Columns of every table of runs; configuration, scores and costs add more."""
CURVES: Final = pa.schema([("run_id", pa.string()), ("segment", pa.int8()), *CURVE])
OOD_TABLE: Final = pa.schema([("run_id", pa.string()), *OOD])
EVENTS: Final = pa.schema([("run_id", pa.string()), *EVENT])


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """An entry of the corpus's dictionary of signals."""

    name: str
    """Value of the column `signal`."""
    meaning: str
    """What is measured, in one sentence."""
    unit: str
    """Unit, "1" for a pure number."""
    range: str
    """Smallest and largest possible value, as an interval."""
    probe: str
    """What records it: "train", "evaluate" or a probe's name."""
    citation: str = ""
    """Source of the definition, where there is one."""
    estimator_version: str = "1"
    """Raised when the same name starts to mean another number."""
    params_json: str = "{}"
    """Arguments of the probe."""
    forward_passes: float = 0.0
    """Cost of one value: forward passes over its images."""
    backward_passes: float = 0.0
    """Cost of one value: backward passes over its images."""


SIGNALS: Final = (
    Signal(
        name="train_loss",
        meaning="objective on the minibatch of this update, before the update, "
        "augmented and smoothed as optimised",
        unit="nat",
        range="[0, inf)",
        probe="train",
    ),
    Signal(
        name="train_ce",
        meaning="cross-entropy without label smoothing on the same minibatch; recorded "
        "where smoothing makes it differ from train_loss",
        unit="nat",
        range="[0, inf)",
        probe="train",
    ),
    Signal(
        name="grad_norm",
        meaning="Euclidean norm of the minibatch gradient of the objective, without "
        "weight decay",
        unit="nat per parameter unit",
        range="[0, inf)",
        probe="train",
    ),
    Signal(
        name="lr",
        meaning="learning rate in force at this update",
        unit="1",
        range="[0, inf)",
        probe="train",
    ),
    Signal(
        name="val_loss",
        meaning="mean cross-entropy on the validation images, evaluation mode",
        unit="nat",
        range="[0, inf)",
        probe="evaluate",
        forward_passes=1.0,
    ),
    Signal(
        name="val_accuracy",
        meaning="share of validation images classified correctly",
        unit="1",
        range="[0, 1]",
        probe="evaluate",
    ),
    Signal(
        name="train_loss_eval",
        meaning="mean cross-entropy on a fixed subset of clean training images, "
        "evaluation mode",
        unit="nat",
        range="[0, inf)",
        probe="evaluate",
        forward_passes=1.0,
    ),
    Signal(
        name="train_accuracy_eval",
        meaning="share of that subset classified correctly",
        unit="1",
        range="[0, 1]",
        probe="evaluate",
    ),
)


def segment_of(step: int, num_steps: int) -> int:
    """Return the segment 0..5 of `step` in a run of `num_steps` updates.

    Segment k holds the steps t with edge[k-1] < 100 t / num_steps <= edge[k]; step 0,
    before the first update, belongs to segment 0.

    Example:
        >>> [segment_of(t, 100) for t in (0, 4, 5, 10, 11, 100)]
        [0, 0, 1, 1, 2, 5]
    """
    share = 100 * step
    return next(k for k, edge in enumerate(WINDOW_EDGES) if share <= edge * num_steps)
