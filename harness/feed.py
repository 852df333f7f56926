"""Batches for a cohort, from arrays that stay on the device for the whole grid.

Order and augmentation of an epoch are drawn from (seed, epoch) alone. Runs with equal
seed and augmentation see the same images, so a cohort prepares each such stream once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.datasets import DataSet, Split
from harness.registry import AUGMENTATIONS
from harness.seeds import stream
from harness.spec import Part, RunConfig

CHUNK = 4096
"""Images augmented and normalised in one go; more only when a batch is larger."""


class DeviceSplit:
    """A split on the device: raw inputs and labels."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.inputs = torch.from_numpy(split.inputs).to(device)
        self.labels = torch.from_numpy(split.labels).to(device)

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)


class DeviceData:
    """A data set on the device with the normalisation of its training inputs."""

    def __init__(self, dataset: DataSet, device: torch.device) -> None:
        self.name = dataset.name
        self.fingerprint = dataset.fingerprint
        self.in_shape = dataset.in_shape
        self.num_classes = dataset.num_classes
        self.train = DeviceSplit(dataset.train, device)
        self.validation = DeviceSplit(dataset.validation, device)
        self.test = DeviceSplit(dataset.test, device)
        axes = (0, *range(2, dataset.train.inputs.ndim))
        mean = dataset.train.inputs.mean(axis=axes, dtype=np.float64)
        std = dataset.train.inputs.std(axis=axes, dtype=np.float64)
        shape = (-1, *(1 for _ in self.in_shape[1:]))
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device).view(shape)
        self._rstd = torch.tensor(1 / np.maximum(std, 1e-8), dtype=torch.float32)
        self._rstd = self._rstd.to(device).view(shape)

    def to_device(self, values: npt.NDArray[Any]) -> Tensor:
        """Return an array as a tensor on the device; the host does not wait."""
        device, tensor = self.train.labels.device, torch.from_numpy(values)
        if device.type == "cuda":  # only from pinned memory does a copy not wait
            return tensor.pin_memory().to(device, non_blocking=True)
        return tensor.to(device)

    def normalise(self, inputs: Tensor) -> Tensor:
        """Return float32 inputs with zero mean and unit variance a channel."""
        return (inputs.float() - self._mean) * self._rstd


class DeviceCell(NamedTuple):
    """One cell of an out-of-distribution set, ready to be loaded onto the device."""

    set_name: str
    corruption: str
    severity: int
    load: Callable[[], DeviceSplit]


class Feed:
    """Training batches of a cohort, `[S, B, ...]`.

    Args:
        data: The data set.
        cohort: Runs with one batch size.
        static: Whether `take` must be the same operations for every step: which step
            that is then only the device knows.

    Raises:
        ValueError: The batch is larger than the training set.
    """

    def __init__(
        self, data: DeviceData, cohort: Sequence[RunConfig], *, static: bool = False
    ) -> None:
        self._data, self._static = data, static
        self._batch_size = cohort[0].batch_size
        keys = [(config.seed, config.augmentation) for config in cohort]
        self._streams = list(dict.fromkeys(keys))
        self._augment = [_augmentation(part) for _, part in self._streams]
        device = data.train.labels.device
        self._of_run = torch.tensor([self._streams.index(k) for k in keys]).to(device)
        self._identity = len(keys) == len(self._streams)
        self.steps_per_epoch = len(data.train) // self._batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"batch_size {self._batch_size} is larger than the "
                f"{len(data.train)} training examples of {data.name!r}"
            )
        self._chunk_steps = min(max(1, CHUNK // self._batch_size), self.steps_per_epoch)
        shape = (len(self._streams), self._chunk_steps, self._batch_size)
        self._inputs = torch.empty(*shape, *data.in_shape, device=device)
        self._labels = torch.empty(shape, dtype=torch.int64, device=device)
        self._next = torch.zeros(1, dtype=torch.int64, device=device)

    def start_epoch(self, epoch: int) -> None:
        """Draw order and augmentation of `epoch` (0-based) for every stream."""
        n = len(self._data.train)
        orders, numbers = [], []
        for (seed, _), augment in zip(self._streams, self._augment, strict=True):
            orders.append(stream(seed, "order", epoch).permutation(n))
            shape = (n, augment.num_uniforms)
            uniforms = stream(seed, "augment", epoch).random(shape, dtype=np.float32)
            numbers.append(self._data.to_device(uniforms))
        self._orders, self._uniforms = self._data.to_device(np.stack(orders)), numbers

    def prepare(self, index: int) -> None:
        """Make images ready for step `index` of the epoch, to be asked for in order.

        Steps are prepared in ascending order, beginning with the first of the epoch or
        with that of `seek`; most find their images ready.
        """
        self._place = index % self._chunk_steps
        if self._place == 0:
            self._load_chunk(index)

    def seek(self, index: int) -> None:
        """Go to step `index` of the epoch, which has been started: it comes next."""
        place = index % self._chunk_steps
        self._load_chunk(index - place)
        self._next.fill_(place)

    def take(self) -> tuple[Tensor, Tensor]:
        """Return inputs `[S, B, ...]` and labels `[S, B]` of the step prepared last."""
        if self._static:
            inputs = self._inputs.index_select(1, self._next)[:, 0]
            labels = self._labels.index_select(1, self._next)[:, 0]
            self._next.add_(1)
        else:  # without a copy
            inputs, labels = self._inputs[:, self._place], self._labels[:, self._place]
        if self._identity:
            return inputs, labels
        return inputs[self._of_run], labels[self._of_run]

    def _load_chunk(self, first: int) -> None:
        """Augment and normalise the images of `_chunk_steps` steps, a stream a row."""
        start = first * self._batch_size
        steps = min(self._chunk_steps, self.steps_per_epoch - first)
        orders = self._orders[:, start : start + steps * self._batch_size]
        parts = zip(orders, self._uniforms, self._augment, strict=True)
        for row, (order, uniforms, augment) in enumerate(parts):
            images = augment(self._data.train.inputs[order], uniforms[order])
            ready = self._inputs[row, :steps]
            ready.copy_(self._data.normalise(images).reshape(ready.shape))
        self._labels[:, :steps] = self._data.train.labels[orders].view(
            len(orders), steps, self._batch_size
        )
        self._next.zero_()


def _augmentation(part: Part) -> Any:
    return AUGMENTATIONS.get(part.name)(**part.params)
