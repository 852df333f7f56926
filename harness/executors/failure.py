"""Kinds of failure: which are tried again, how often, and how a run is given up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

import torch

from harness.errors import DataError
from harness.plan import Plan
from harness.record import Event, RunRecord, finished_ids

Kind = Literal["error", "data", "oom", "device", "died", "timeout"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
ATTEMPTS: Final[Mapping[Kind, int]] = {
    "error": 1,  # an exception of the code: the same bits would fail the same way
    "data": 2,  # data missing or damaged, perhaps on one machine only
    "oom": 3,  # out of memory
    "device": 3,  # the GPU or its driver
    "died": 3,  # the worker process or its machine is gone
    "timeout": 2,  # no sign of life for too long
}
"""Times that a cohort is started which fails in this way each time."""

_DEVICE_MARKS: Final = ("CUDA error", "CUBLAS", "cuBLAS", "cuDNN", "CUDNN", "NCCL")
_MEMORY_MARKS: Final = ("out of memory", "can't allocate memory", "bad_alloc")


def kind_of(error: BaseException) -> Kind:
    """Return what kind of failure an exception in a worker is.

    Example:
        >>> kind_of(MemoryError()), kind_of(ValueError("lr is -1"))
        ('oom', 'error')
    """
    if isinstance(error, DataError):
        return "data"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "oom"
    if isinstance(error, RuntimeError):
        text = str(error)
        if any(mark in text for mark in _MEMORY_MARKS):
            return "oom"
        accelerator = getattr(torch, "AcceleratorError", ())
        if isinstance(error, accelerator) or any(m in text for m in _DEVICE_MARKS):
            return "device"
    return "error"


def give_up(
    folder: Path, cohort_id: str, kind: Kind, error: str, attempts: int
) -> None:
    """Record the unfinished runs of a cohort as failed, but for orphans.

    Args:
        folder: The corpus folder.
        cohort_id: A cohort of its plan.
        kind: The last failure.
        error: What is known of it, a traceback where there is one.
        attempts: Times that the cohort was started.

    Raises:
        StorageError: A record could not be written.
    """
    finished = finished_ids(folder / "shards")
    for run in Plan.load(folder).cohorts()[cohort_id]:
        if run.grids and run.run_id not in finished:
            record = RunRecord(
                config=run.config,
                status="failed",
                num_steps=0,
                steps_per_epoch=0,
                events=(Event(0, "failed", {"reason": kind, "attempts": attempts}),),
                error=error,
            )
            record.save(folder / "shards")
