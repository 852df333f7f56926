"""Random numbers of one corruption at one severity, the same for any chunking.

Every kind of draw has its own stream and every image takes its numbers in order, so a
test set cut into chunks, or to its first images, sees the same numbers.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness.seeds import stream


class Draws:
    """Streams of one (corruption, severity), by kind of draw.

    Attributes:
        device: Where drawn tensors are put; the numbers always come from the CPU.
    """

    def __init__(self, corruption: str, severity: int, device: torch.device) -> None:
        self.device = device
        self._name = corruption
        self._severity = severity
        self._streams: dict[str, np.random.Generator] = {}

    def normal(self, kind: str, *shape: int) -> torch.Tensor:
        """Return standard normal numbers; the first axis runs over images."""
        return self._put(self._stream(kind).standard_normal(shape))

    def uniform(self, kind: str, *shape: int) -> torch.Tensor:
        """Return uniform numbers in [0, 1); the first axis runs over images."""
        return self._put(self._stream(kind).random(shape))

    def integers(self, kind: str, low: int, high: int, *shape: int) -> torch.Tensor:
        """Return int64 from `low` to `high - 1`; the first axis runs over images."""
        # Scaled uniforms: the bounded-integer sampler may buffer across calls.
        numbers = self._stream(kind).random(shape)
        return self._put(low + np.floor(numbers * (high - low)).astype(np.int64))

    def poisson(self, kind: str, rate: torch.Tensor) -> torch.Tensor:
        """Return Poisson counts of mean `rate`, image by image."""
        return self._put(
            self._stream(kind).poisson(rate.cpu().numpy()).astype(np.float64)
        )

    def _stream(self, kind: str) -> np.random.Generator:
        if kind not in self._streams:
            purpose = f"ood/{self._name}/{kind}"
            self._streams[kind] = stream(0, purpose, self._severity)
        return self._streams[kind]

    def _put(self, numbers: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(numbers).to(self.device)
