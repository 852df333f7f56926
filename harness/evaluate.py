"""Scores of a cohort on fixed images: loss, correct counts and calibration."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from harness.cohort import CohortNet
from harness.feed import DeviceData, DeviceSplit

CALIBRATION_BINS = 15
"""Equal-width confidence bins, right-closed (Guo et al. 2017, arXiv 1706.04599)."""

CPU_CHUNK = 64
"""Images a pass on a CPU: activations of a cohort stay in the cache."""
CUDA_CHUNK = 2048
"""Images a pass on a GPU."""


class Scores(NamedTuple):
    """Scores of S runs on the same n images; tensors on the device."""

    loss: Tensor
    """Mean cross-entropy in nats, float32 `[S]`."""
    correct: Tensor
    """Correctly classified images, int64 `[S]`."""


def score(
    net: CohortNet, data: DeviceData, split: DeviceSplit, indices: Tensor | None = None
) -> Scores:
    """Score every run on a split, or on the examples at `indices` of it.

    Cost: one forward pass over the images.
    """
    inputs = split.inputs if indices is None else split.inputs[indices]
    labels = split.labels if indices is None else split.labels[indices]
    total = torch.zeros(len(net), device=labels.device)
    correct = torch.zeros(len(net), dtype=torch.int64, device=labels.device)
    for logits, truth in _passes(net, data, inputs, labels):
        chosen = logits.gather(2, truth[None, :, None].expand(len(net), -1, 1))
        total += (logits.logsumexp(2) - chosen.squeeze(2)).sum(1)
        correct += (logits.argmax(2) == truth).sum(1)
    return Scores(total / len(labels), correct)


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
    size = CPU_CHUNK if labels.device.type == "cpu" else CUDA_CHUNK
    for start in range(0, len(labels), size):
        window = slice(start, start + size)
        yield net.eval_logits(data.normalise(inputs[window])), labels[window]
