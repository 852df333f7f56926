"""What the numbers of a run depend on beside its configuration."""

import os
import platform
from typing import Any

import torch

from harness import __version__
from harness.checkout import commit


def describe(device: torch.device) -> dict[str, Any]:
    """Return versions, device, threads and code commit for a run record."""
    return {
        "runcast": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def allowed_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or cpu."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type
