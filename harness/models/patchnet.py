"""A small convolutional network for S runs at once, without a single image copy.

Its 2x2 convolutions with stride 2 do not overlap, so that each is one batched matrix
product once pixels are in quad-tree order: the four pixels of a patch, and the four
patches of a larger patch, lie beside each other, and every later stage is a view.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.choices import activation as activation_of
from harness.models.choices import gain, positive, scaled
from harness.models.layers import Dropout, Linear, enter, granule, stacked_norm
from harness.registry import MODELS

WIDTH = 32
"""Channels of the first stage; each later stage has twice as many."""


@MODELS.register("patchnet")
class PatchNet(nn.Module):
    """S networks of 2x2 convolutions with stride 2 and a linear classifier.

    A stage is dropout(activation(norm(conv(h)))); normalisation has a scale and shift a
    channel. Inputs are padded with zeros at the bottom and right to a multiple of
    2**depth. Row 2 * i + j of four in `stages[k].weight [S, 4 * C, out]` is tap (i, j).

    Args:
        num_runs: S.
        in_shape: (C, H, W).
        num_classes: K.
        width: Multiplier of the channels 32, 64, ...
        depth: Number of stages.
        activation: relu, gelu, silu or tanh.
        norm: batch, group, layer or none.
        dropout: Probability of dropping an activation.
        skip: From the second stage on, add the mean of each patch to its output; the
            channels that the input lacks get nothing.
    """

    def __init__(
        self,
        num_runs: int,
        in_shape: tuple[int, ...],
        num_classes: int,
        *,
        width: float = 1.0,
        depth: int = 2,
        activation: str = "relu",
        norm: str = "none",
        dropout: float = 0.0,
        skip: bool = False,
    ) -> None:
        super().__init__()
        positive(depth=depth)
        if len(in_shape) != 3:
            raise ValueError(f"in_shape is {in_shape}, expected (C, H, W): use 'mlp'")
        channels, height, side = in_shape
        self.spare = (-side % 2**depth, -height % 2**depth)
        height, side = height + self.spare[1], side + self.spare[0]
        self.order = quad_tree(channels, height, side, depth)
        sizes = [channels] + [scaled(WIDTH * 2**k, width) for k in range(depth)]
        areas = [height * side // 4 ** (k + 1) for k in range(depth)]
        rows = (a * b for a, b in zip(areas, sizes[1:], strict=True))
        self.granule = granule(len(self.order), *rows)
        self.areas, self.skip = areas, skip
        self.fans = [4 * c for c in sizes[:-1]] + [areas[-1] * sizes[-1]]
        self.activation = activation_of(activation, in_place=True)
        self.dropout = Dropout(dropout)
        self.stages = nn.ModuleList(
            Linear(num_runs, 4 * a, b, gain=gain(activation), bias=norm == "none")
            for a, b in pairwise(sizes)
        )
        norms = (
            stacked_norm(norm, num_runs, c, a)
            for c, a in zip(sizes[1:], areas, strict=True)
        )
        self.norms = nn.ModuleList(n for n in norms if n is not None)
        self.head = Linear(num_runs, self.fans[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[S, B, K]` of `x [S, B, C, H, W]`."""
        num_runs, batch = x.shape[:2]
        if self.order.device != x.device:
            self.order = self.order.to(x.device)
        if any(self.spare):
            shared = x.stride(0) == 0
            x = F.pad(x[:1] if shared else x, (0, self.spare[0], 0, self.spare[1]))
            x = x.expand(num_runs, *x.shape[1:])
        h = enter(x, self.granule, self.order)
        for index, conv in enumerate(self.stages):
            patches = h.reshape(num_runs, -1, self.fans[index])  # [S, B * N, 4 * C]
            z = conv(patches)
            if self.norms:
                z = self.norms[index](z, batch * self.areas[index])
            z = self.dropout(self.activation(z))
            h = z + _mean_of_patch(patches, z.shape[2]) if self.skip and index else z
        logits: Tensor = self.head(h.reshape(num_runs, -1, self.fans[-1]))
        return logits[:, :batch]


def quad_tree(channels: int, height: int, width: int, depth: int) -> Tensor:
    """Return where in a flattened image each feature in quad-tree order comes from.

    Sides are multiples of 2**depth. From the slowest axis: position of the largest
    patch in the image, of each smaller patch in its parent, channel.

    Returns:
        int64 `[channels * height * width]`.

    Example:
        >>> quad_tree(1, 2, 4, 1).tolist()
        [0, 1, 4, 5, 2, 3, 6, 7]
    """
    halves = [2] * depth
    shape = (channels, height >> depth, *halves, width >> depth, *halves)
    image = torch.arange(math.prod(shape)).view(shape)
    levels = range(1, depth + 2)
    axes = [axis for k in levels for axis in (k, k + depth + 1)]
    return image.permute(*axes, 0).flatten()


def _mean_of_patch(patches: Tensor, channels: int) -> Tensor:
    """Average the four pixels of `patches [S, N, 4 * C]`, with zero channels after."""
    mean = patches.reshape(*patches.shape[:2], 4, -1).mean(2)
    return F.pad(mean, (0, channels - mean.shape[2]))
