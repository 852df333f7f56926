"""Scores of a cohort on fixed images: loss, correct counts and calibration."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor

from harness.cohort import CohortNet
from harness.execution import Execution
from harness.feed import DeviceData, DeviceSplit

CALIBRATION_BINS = 15
"""Equal-width confidence bins, right-closed (Guo et al. 2017, arXiv 1706.04599)."""

CPU_CHUNK = 64
"""Images a pass on a CPU: activations of a cohort stay in the cache."""
CUDA_CHUNK = 2500
"""Images a pass on a GPU: 10,000 test images are four passes of it."""

_NOBODY: Final = -1
"""Label of what fills up the last pass; it counts for nothing."""


class Scores(NamedTuple):
    """Scores of S runs on the same n images; tensors on the device."""

    loss: Tensor
    """Mean cross-entropy in nats, float32 `[S]`."""
    correct: Tensor
    """Correctly classified images, int64 `[S]`."""


class Scorer:
    """Scores a cohort on one image set after another, as often as asked.

    Where passes are recorded (`Execution.static`) every pass has the same number of
    images, the last one filled up with images that count for nothing.

    Args:
        net: The cohort.
        data: Its data set, for the normalisation of its images.
        execution: How passes are run; by default directly.
        chunk: Images a pass; by default 64 on a CPU and 2500 on a GPU.
    """

    def __init__(
        self,
        net: CohortNet,
        data: DeviceData,
        execution: Execution | None = None,
        chunk: int | None = None,
    ) -> None:
        execution = execution or Execution("eager")
        device = net.params.device
        self._net, self._data = net, data
        self._size = chunk or _chunk(device)
        self._loss = torch.zeros(len(net), device=device)
        self._correct = torch.zeros(len(net), dtype=torch.int64, device=device)
        self._fixed = execution.fixed(self._pass) if execution.static else None
        if self._fixed:
            like, shape = data.test.inputs, (self._size, *data.in_shape)
            self._inputs = torch.zeros(shape, dtype=like.dtype, device=device)
            self._labels = torch.full((self._size,), _NOBODY, device=device)

    @property
    def settled(self) -> bool:
        """Whether the next score compiles, chooses and records no kernel."""
        return self._fixed is None or self._fixed.settled

    @torch.no_grad()
    def score(self, split: DeviceSplit, indices: Tensor | None = None) -> Scores:
        """Score every run on a split, or on the examples at `indices` of it.

        Cost: one forward pass over the images. The host does not wait for the result.
        """
        inputs = split.inputs if indices is None else split.inputs[indices]
        labels = split.labels if indices is None else split.labels[indices]
        self._loss.zero_()
        self._correct.zero_()
        for start in range(0, len(labels), self._size):
            window = slice(start, start + self._size)
            if self._fixed is None:
                self._inputs, self._labels = inputs[window], labels[window]
                self._pass()
                continue
            count = len(labels[window])
            self._inputs[:count].copy_(inputs[window])
            self._labels[:count].copy_(labels[window])
            self._labels[count:].fill_(_NOBODY)
            self._fixed()
        return Scores(self._loss / len(labels), self._correct.clone())

    def _pass(self) -> None:
        """Add the loss and the hits of the images that lie ready."""
        logits = self._net.eval_logits(self._data.normalise(self._inputs))
        real = self._labels >= 0
        truth = self._labels.clamp(min=0)
        chosen = logits.gather(2, truth[None, :, None].expand(len(logits), -1, 1))
        losses = logits.logsumexp(2) - chosen.squeeze(2)
        self._loss.add_(losses.where(real, 0.0).sum(1))
        self._correct.add_(((logits.argmax(2) == truth) & real).sum(1))


def expected_calibration_error(
    net: CohortNet, data: DeviceData, split: DeviceSplit
) -> Tensor:
    """Return the expected calibration error of every run, float64 `[S]`.

    Formula: sum over bins of (n_bin / n) |accuracy_bin - confidence_bin|, confidence
    the largest probability. Range [0, 1]. Even a perfectly calibrated model has a
    positive expectation, about 0.027 at n = 1,000. Cost: one forward pass.

    Example:
        Confidence 0.8 everywhere and 60 % correct give 0.2.
    """
    gaps = torch.zeros(
        len(net), CALIBRATION_BINS, dtype=torch.float64, device=split.labels.device
    )
    for logits, truth in _passes(net, data, split.inputs, split.labels):
        confidence, answer = logits.softmax(2).max(2)
        gaps += calibration_gaps(confidence, answer == truth)
    return gaps.abs().sum(1) / len(split)


def calibration_gaps(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return per bin the sum of (correct - confidence), float64 `[S, bins]`.

    Args:
        confidence: `[S, n]` in (0, 1].
        correct: bool `[S, n]`.
    """
    bins = (confidence.double() * CALIBRATION_BINS).ceil().long() - 1
    gap = correct.double() - confidence.double()
    gap = torch.where(gap.isfinite(), gap, 1.0)  # a NaN answer is wrong and certain
    empty = gap.new_zeros(len(gap), CALIBRATION_BINS)
    return empty.scatter_add(1, bins.clamp(0, CALIBRATION_BINS - 1), gap)


def _passes(
    net: CohortNet, data: DeviceData, inputs: Tensor, labels: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits `[S, n, K]` and labels `[n]` chunk by chunk."""
    size = _chunk(labels.device)
    for start in range(0, len(labels), size):
        window = slice(start, start + size)
        yield net.eval_logits(data.normalise(inputs[window])), labels[window]


def _chunk(device: torch.device) -> int:
    return CPU_CHUNK if device.type == "cpu" else CUDA_CHUNK
