"""What a data set is to the rest of the harness: decoded arrays with a fingerprint."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """Where data come from and where decoded copies are kept."""

    data_dir: Path | None
    """Local mirror laid out like the Hub repositories, or None for the Hub."""
    cache_dir: Path
    """Folder of decoded, checksummed arrays."""
    fetch: bool = True
    """Whether the Hub may be asked for what is not on this machine."""

    def environment(self) -> dict[str, str]:
        """Return the variables by which a child process finds the same places."""
        found = {"RUNCAST_CACHE_DIR": str(self.cache_dir)}
        if self.data_dir is not None:
            found["RUNCAST_DATA_DIR"] = str(self.data_dir)
        return found


@dataclass(frozen=True, slots=True)
class Split:
    """Inputs with their labels."""

    inputs: Array
    """uint8 `[num_examples, channels, height, width]`, or float32 `[num_examples, 2]`
    for points in the plane."""
    labels: Array
    """int64 `[num_examples]`."""

    def __post_init__(self) -> None:
        """Check that inputs and labels belong together."""
        if len(self.inputs) != len(self.labels):
            raise ValueError(f"{len(self.inputs)} inputs but {len(self.labels)} labels")

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def take(self, indices: Array) -> "Split":
        """Return the examples at `indices`, in that order."""
        return Split(self.inputs[indices], self.labels[indices])


@dataclass(frozen=True, slots=True)
class DataSet:
    """Training, validation and test examples of one classification problem."""

    name: str
    """Registered name."""
    train: Split
    validation: Split
    test: Split
    num_classes: int

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one input: (channels, height, width), or (2,)."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def fingerprint(self) -> str:
        """SHA-256 over shape, type and bytes of all six arrays, first 16 hex digits."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for array in (split.inputs, split.labels):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]
