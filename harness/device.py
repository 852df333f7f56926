"""What torch may do on a device: set once a process, before anything runs there."""

import atexit
import gc
import os
import warnings
from dataclasses import dataclass
from typing import Any, Final

import torch

WORKSPACE: Final = "CUBLAS_WORKSPACE_CONFIG"
"""Without it cuBLAS may add up in another order each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a worker trains."""

    device: str
    """cpu, or a CUDA device such as cuda:1."""
    threads: int = 1
    """Threads on a processor; part of what fixes the bits."""
    execution: str = "auto"
    """How steps are run: a name that `harness.execution` knows."""
    packing: int | None = None
    """Runs that train together on a GPU; None: as many as were found to be fastest."""
    deterministic: bool = False
    """On a GPU use only kernels that give the same bits every time; a CPU always does.
    """

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: Compiled kernels are to be deterministic, or no run is to train.
        """
        if self.packing is not None and self.packing < 1:
            raise ValueError(f"packing is {self.packing}, expected at least 1 run")
        if self.deterministic and self.execution == "compiled":
            raise ValueError(
                "compiled kernels are chosen by timing them, so they cannot promise "
                "the same bits: use --deterministic with --execution graph or eager"
            )

    def apply(self) -> torch.device:
        """Set this process up and return the device.

        float32 means float32: the shortened products that torch takes for convolutions
        on a GPU by default are switched off.
        """
        device = torch.device(self.device)
        if device.type == "cpu":
            torch.set_num_threads(self.threads)
        if device.type == "cuda":
            device = torch.device("cuda", device.index or 0)  # torch wants a number
            torch.cuda.set_device(device)
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.benchmark = not self.deterministic
            torch.backends.cudnn.deterministic = self.deterministic
            if self.deterministic:
                _insist()
        return device


def _insist() -> None:
    """Let torch choose reproducible kernels, and say where it has none.

    Integer counts, which it warns of as well, are exact in any order.
    """
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    filling: Any = torch.utils.deterministic
    filling.fill_uninitialized_memory = False  # nothing here reads such memory
    warnings.filterwarnings("once", message=".*deterministic.*", category=UserWarning)


def settle() -> None:
    """Take what is in memory now, a quarter of a million objects of modules, to stay.

    For processes that train one cohort after another: without it `release` looks at all
    of them again, 0.15 s each time, and more where Ray has brought its own.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or libraries complain of leaks


def release(device: torch.device) -> None:
    """Give back the memory of a cohort that nobody uses any more.

    Bodies that are called again and again know their owner, which knows them: only the
    collector of cycles frees such a pair, and what it holds on the device.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def device_names(text: str | None) -> tuple[str, ...]:
    """Return the devices that a comma-separated list names, each checked to exist.

    Args:
        text: The list; None: all CUDA devices of this machine, or its processor.

    Raises:
        ValueError: torch does not know or see one of them.
    """
    count = torch.cuda.device_count()
    if text is None:
        if count > 1:
            return tuple(f"cuda:{i}" for i in range(count))
        return ("cuda",) if count else ("cpu",)
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise ValueError(
                f"device {name!r} is not known to torch: expected cpu, cuda or cuda:1"
            ) from error
        if device.type == "cuda" and (device.index or 0) >= count:
            raise ValueError(
                f"device {name!r} is not there: torch sees {count or 'no'} CUDA "
                f"device{'s' if count > 1 else ''} (`harness doctor` tells more; "
                "--device cpu uses the processor)"
            )
    return names
