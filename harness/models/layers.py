"""Layers for S runs at once, written as batched matrix products.

A stacked layer maps `[S, R, in]` to `[S, R, out]`; a row is one example or one position
of one. Every parameter and buffer has a leading run axis, which may have any stride:
the harness makes them views of one `[S, P]` buffer.

What a run computes is the same bit for bit whatever S is, on one CPU thread. Matrix
kernels choose their order of summation by the address of an operand modulo 64 bytes,
and vectorised functions treat the last few elements apart, so rows (`enter`) and output
features (`Linear`) are padded to where no run begins off a boundary.
"""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.choices import NORM_NAMES, groups_of, pick, probability

ALIGNED: Final = 16
"""Floats in 64 bytes, the widest vector and the strictest alignment of a kernel."""

EPS: Final = 1e-5
"""Added to a variance before its square root, in every normalisation."""

BATCH_NORM_MOMENTUM: Final = 0.1


def granule(*features: int) -> int:
    """Return the multiple to which rows are padded, for the row lengths `features`.

    The smallest power of two >= 2 that makes rows * f divisible by two vectors of 64
    bytes for every f; a single row would be multiplied by another kernel.

    Example:
        >>> granule(64, 32), granule(2, 64)
        (2, 16)
    """
    return max(2, *(2 * ALIGNED // math.gcd(2 * ALIGNED, f) for f in features))


def enter(x: Tensor, multiple: int, order: Tensor | None = None) -> Tensor:
    """Return the inputs as rows: flattened, reordered, padded with rows of zeros.

    Args:
        x: `[S, B, ...]`; if it is one batch expanded over runs (stride 0), so is the
            result, and nothing is copied S times.
        multiple: The number of rows is padded to a multiple of this.
        order: `[features]`, which flattened feature goes where.

    Returns:
        `[S, rows, features]`.
    """
    num_runs, shared = len(x), x.stride(0) == 0
    rows = (x[:1] if shared else x).flatten(2)
    if order is not None:
        rows = rows.index_select(2, order)
    if spare := -rows.shape[1] % multiple:
        rows = F.pad(rows, (0, 0, 0, spare))
    return rows.expand(num_runs, -1, -1)


class Linear(nn.Module):
    """S affine maps: `x @ weight + bias` for `x [S, R, in]`.

    Attributes:
        weight: `[S, in, out]`, drawn from U(-a, a), a = gain * sqrt(3 / in).
        bias: `[S, out]`, zeros; None where a normalisation with its own shift follows.
    """

    bias: Tensor | None

    def __init__(
        self,
        num_runs: int,
        in_features: int,
        out_features: int,
        *,
        gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_runs, in_features, out_features))
        shift = nn.Parameter(torch.zeros(num_runs, out_features)) if bias else None
        self.register_parameter("bias", shift)
        bound = gain * math.sqrt(3 / in_features)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[S, R, out]`."""
        weight: Tensor = self.weight
        bias = self.bias
        _, in_features, out_features = weight.shape
        if spare := -out_features % ALIGNED:
            weight = F.pad(weight, (0, spare))
            bias = None if bias is None else F.pad(bias, (0, spare))
        if in_features == 1:  # an outer product would take another kernel
            weight, x = F.pad(weight, (0, 0, 0, 1)), F.pad(x, (0, 1))
        if bias is None:
            y = torch.bmm(x, weight)
        else:
            y = torch.baddbmm(bias.unsqueeze(1), x, weight)
        return y[..., :out_features] if spare else y


class BatchNorm(nn.Module):
    """Batch normalisation of each feature over the rows of its run.

    Ioffe & Szegedy 2015 (arXiv 1502.03167), with the conventions of
    `torch.nn.BatchNorm1d`: momentum 0.1, eps 1e-5, unbiased running variance.

    Attributes:
        weight: Scale `[S, F]`.
        bias: Shift `[S, F]`.
        running_mean: Buffer `[S, F]`.
        running_var: Buffer `[S, F]`.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_runs: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_runs, features))
        self.bias = nn.Parameter(torch.zeros(num_runs, features))
        self.register_buffer("running_mean", torch.zeros(num_runs, features))
        self.register_buffer("running_var", torch.ones(num_runs, features))

    def forward(self, x: Tensor, rows: int) -> Tensor:
        """Return `x [S, R, F]` normalised; the first `rows` rows are real.

        Raises:
            ValueError: One row in training has no variance.
        """
        if not self.training:
            centred = x - self.running_mean.unsqueeze(1)
            var = self.running_var.unsqueeze(1)
        elif rows == 1:
            raise ValueError(
                "batch normalisation in training got 1 value a feature, expected at "
                "least 2: use a larger batch"
            )
        else:
            real = x if rows == x.shape[1] else x[:, :rows]
            mean = real.mean(1, keepdim=True)
            centred = x - mean
            real = centred if rows == x.shape[1] else centred[:, :rows]
            var = real.square().mean(1, keepdim=True)
            self._track(mean.detach(), var.detach() * (rows / (rows - 1)))
        scale = self.weight.unsqueeze(1) * torch.rsqrt(var + EPS)
        return torch.addcmul(self.bias.unsqueeze(1), centred, scale)

    def _track(self, mean: Tensor, var: Tensor) -> None:
        for running, new in ((self.running_mean, mean), (self.running_var, var)):
            running.mul_(1 - BATCH_NORM_MOMENTUM)
            running.add_(new.squeeze(1), alpha=BATCH_NORM_MOMENTUM)


class GroupNorm(nn.Module):
    """Group normalisation of each example over its positions and a group of features.

    Wu & He 2018 (arXiv 1803.08494), eps 1e-5. One group and one position make it
    layer normalisation (Ba et al. 2016).

    Attributes:
        weight: Scale `[S, F]`.
        bias: Shift `[S, F]`.
    """

    def __init__(
        self, num_runs: int, features: int, num_groups: int, positions: int
    ) -> None:
        super().__init__()
        self.positions = positions
        self.num_groups = num_groups
        self.weight = nn.Parameter(torch.ones(num_runs, features))
        self.bias = nn.Parameter(torch.zeros(num_runs, features))

    def forward(self, x: Tensor, rows: int) -> Tensor:
        """Return `x [S, B * positions, F]` normalised; every row counts alone."""
        images = x.reshape(len(x), -1, self.positions, x.shape[2])
        centred = images - self._mean(images)
        scale = torch.rsqrt(self._mean(centred.square()) + EPS)
        normal = (centred * scale).view(x.shape)
        return torch.addcmul(self.bias.unsqueeze(1), normal, self.weight.unsqueeze(1))

    def _mean(self, images: Tensor) -> Tensor:
        """Average over positions and groups, `[S, B, N, F]` to `[S, B, 1, F]`."""
        mean = images.mean(2)  # [S, B, F]
        grouped = mean.view(*mean.shape[:2], self.num_groups, -1)
        grouped = grouped.mean(3, keepdim=True).expand_as(grouped)
        return grouped.reshape(mean.shape).unsqueeze(2)


class Dropout(nn.Module):
    """Dropout whose masks come from one generator a run.

    Srivastava et al. 2014: an element is zeroed with probability p, else divided by
    1 - p. Set `generators` before a forward pass in training.

    Attributes:
        p: Probability of zeroing an element.
        generators: One generator a run, on the device of the inputs.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        probability(dropout=p)
        self.p = p
        self.generators: list[torch.Generator] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x [S, ...]` with elements dropped in training.

        Raises:
            ValueError: There is not one generator a run.
        """
        if not self.training or self.p == 0:
            return x
        if self.generators is None or len(self.generators) != len(x):
            got = "none" if self.generators is None else str(len(self.generators))
            raise ValueError(
                f"dropout in training got {got} of the {len(x)} generators it needs, "
                "one a run: set Dropout.generators before the forward pass"
            )
        keep = x.new_empty(x.shape)
        for row, generator in zip(keep, self.generators, strict=True):
            row.bernoulli_(1 - self.p, generator=generator)
        return x * keep.div_(1 - self.p)


def stacked_norm(
    norm: str, num_runs: int, features: int, positions: int
) -> BatchNorm | GroupNorm | None:
    """Return the normalisation called `norm`, or None for "none".

    "batch" is over examples and positions, "layer" over the features and positions of
    one example, "group" over one of up to 8 groups of features.
    """
    pick("norm", norm, dict.fromkeys(NORM_NAMES))
    if norm == "none":
        return None
    if norm == "batch":
        return BatchNorm(num_runs, features)
    return GroupNorm(num_runs, features, groups_of(norm, features), positions)
