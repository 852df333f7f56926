"""Sums over micro-batch gradients at one state, from which all noise signals follow.

A source of micro-batch gradients goes in; small arrays on the host come out, which
`gradient_variance`, `noise_scale` and `tail_index` read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isqrt
from typing import Final

import numpy as np
import torch
from torch import Tensor

from harness.measure import Floats

FLOOR: Final = 2.0**-126
"""Stands for 0 in logarithms; a coordinate that never varies has it everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientMoments:
    """Sums for S runs, m micro-batches, L layers; made by `gradient_moments`.

    Notation: g_i is the gradient of the mean loss over the images of micro-batch i,
    g their mean, h_i = g_i - g, and Y_j the sum of K1 successive h_i, where
    K1 = isqrt(m) and j runs over the K2 = m // K1 whole blocks; the last m - K1 K2
    micro-batches are in no block.
    """

    images: int
    """Images of a micro-batch, b."""
    layers: tuple[str, ...]
    """Names of the L layers."""
    mean: Tensor
    """g, float64 `[S, P]` on the device."""
    mean_squares: Floats
    """||g||^2 by layer, `[S, L]`."""
    squares: Floats
    """||h_i||^2 by layer, `[S, m, L]`."""
    products: Floats
    """<h_i, g> by layer, `[S, m, L]`."""
    sum_squares: Floats
    """||Y_j||^2 by layer, `[S, K2, L]`."""
    logs: Floats | None
    """Sum of ln max(|h_ic|, FLOOR) over the coordinates c by layer, `[S, m, L]`."""
    sum_logs: Floats | None
    """Sum of ln max(|Y_jc|, FLOOR) over the coordinates c by layer, `[S, K2, L]`."""
    live: Floats | None
    """Coordinates whose gradient is not always the same, by layer, `[S, L]`."""

    @property
    def count(self) -> int:
        """Return the number of micro-batches, m."""
        return int(self.squares.shape[1])

    def of(self, sums: Floats, layer: str | None) -> Floats:
        """Return `sums` `[S, ..., L]` of one layer, or of all together, `[S, ...]`.

        Raises:
            KeyError: There is no such layer.
        """
        if layer is None:
            return np.ascontiguousarray(sums.sum(-1))
        if layer not in self.layers:
            raise KeyError(f"no layer {layer!r}, expected one of {list(self.layers)}")
        return np.ascontiguousarray(sums[..., self.layers.index(layer)])


def gradient_moments(
    blocks: Iterable[Tensor],
    *,
    images: int,
    layers: Sequence[tuple[str, int]] | None = None,
    logs: bool = True,
) -> GradientMoments:
    """Return the sums over all micro-batch gradients that `blocks` gives.

    `blocks` is gone through twice: first for the mean g, then for h_i = g_i - g. That
    is the least that gives ||h_i|| exactly: <g_i, g> needs g_i beside gradients that
    come later, and a Gram matrix of all g_i would need them all at once and m^2 P
    multiplications. Squaring h_i rather than subtracting ||g||^2 loses no digit to
    cancellation. A list of blocks costs m P floats a run and one pass of gradients;
    an object whose `__iter__` computes them anew costs two passes of gradients and
    memory for one block and three vectors of doubles.

    A run's numbers do not depend on the other runs; a gradient that is not finite
    makes all sums of its own run NaN. All sums are in float64.

    Cost beyond the gradients: about ten operations a coordinate and micro-batch, and
    with `logs` a logarithm; no copy to the host but of the results. Runs are gone
    through one after the other, so that what is read again is still in the cache.

    Args:
        blocks: Blocks `[S, c, P]` of c micro-batch gradients, the same both times; c
            may differ between blocks.
        images: Images of each micro-batch.
        layers: Name and size of each layer, in the order of the P parameters; one
            layer "all" where omitted.
        logs: Whether to keep what `coordinate_tail_index` needs; without, `logs`,
            `sum_logs` and `live` are None.

    Raises:
        TypeError: `blocks` can be gone through only once.
        ValueError: There is no block, shapes differ, or the layers do not add up.

    Example:
        >>> rows = torch.tensor([[[1.0, 0.0], [3.0, 0.0]]])
        >>> gradient_moments([rows], images=1).squares.tolist()
        [[[1.0], [1.0]]]
    """
    if isinstance(blocks, Iterator):
        raise TypeError(
            f"blocks is a {type(blocks).__name__}, which can be gone through only "
            "once: give a list, or an object whose __iter__ computes the blocks anew"
        )
    if images < 1:
        raise ValueError(f"images is {images}, expected at least 1 a micro-batch")
    with torch.no_grad():
        mean, count = _mean(blocks)
        tally = _Tally(mean, count, layers or [("all", mean.shape[1])], logs)
        for block in blocks:
            tally.add(block)
        return tally.moments(images)


def _mean(blocks: Iterable[Tensor]) -> tuple[Tensor, int]:
    """Return the mean gradient, float64 `[S, P]`, and the number of micro-batches."""
    total, count = None, 0
    for block in blocks:
        if block.ndim != 3 or (total is not None and block.shape[::2] != total.shape):
            raise ValueError(
                f"a block has shape {tuple(block.shape)}, expected [S, c, P] with "
                "the same S and P in every block"
            )
        if total is None:
            total = block.new_zeros(block.shape[::2], dtype=torch.float64)
        for run, rows in enumerate(block):
            total[run] += rows.sum(0, dtype=torch.float64)
        count += block.shape[1]
    if total is None or count == 0:
        raise ValueError("there is no micro-batch: blocks is empty")
    # A run whose gradients are not finite anywhere is lost in all its layers.
    lost = ~torch.isfinite(total).all(1, keepdim=True)
    return total.div_(count).masked_fill_(lost, torch.nan), count


class _Tally:
    """Collects the sums of the second pass."""

    def __init__(
        self,
        mean: Tensor,
        count: int,
        layers: Sequence[tuple[str, int]],
        with_logs: bool,
    ) -> None:
        ends = list(accumulate(size for _, size in layers))
        if ends[-1] != mean.shape[1] or min(size for _, size in layers) < 1:
            raise ValueError(
                f"the layers {list(layers)} have {ends[-1]} parameters together, "
                f"expected {mean.shape[1]}, each at least 1"
            )
        self._names = tuple(name for name, _ in layers)
        self._with_logs = with_logs
        self._slices = list(map(slice, [0, *ends[:-1]], ends))
        self._mean, self._count, self._seen = mean, count, 0
        self._summed = isqrt(count)
        num_blocks = count // self._summed
        self._partial = torch.zeros_like(mean)
        each = mean.new_zeros((3, len(mean), count, len(layers)))
        block = mean.new_zeros((3, len(mean), num_blocks, len(layers)))
        self._squares, self._products, self._logs = each
        self._sum_squares, self._sum_logs, self._live = block

    def add(self, block: Tensor) -> None:
        """Take the next micro-batches `[S, c, P]`."""
        first, stop = self._seen, self._seen + block.shape[1]
        if stop > self._count:
            raise ValueError(
                f"the second pass gave at least {stop} micro-batches, the first "
                f"{self._count}: blocks must give the same both times"
            )
        for run, rows in enumerate(block):
            for column, part in enumerate(self._slices):
                mean = self._mean[run, part]
                noise = rows[:, part] - mean
                at = (run, slice(first, stop), column)
                self._squares[at] = torch.linalg.vector_norm(noise, dim=-1).square_()
                self._products[at] = (noise * mean).sum(-1)
                if self._with_logs:
                    self._logs[at] = _logs(noise)
                self._add_sums(run, noise, part, column)
        self._seen = stop

    def _add_sums(self, run: int, noise: Tensor, part: slice, column: int) -> None:
        """Add centred gradients `[c, size]` to their sums of K1, and close these."""
        partial, at = self._partial[run, part], 0
        end = min(len(noise), self._sum_squares.shape[1] * self._summed - self._seen)
        while at < end:
            j, inside = divmod(self._seen + at, self._summed)
            stop = min(end, at + self._summed - inside)
            partial += noise[at:stop].sum(0)
            if inside + stop - at == self._summed:
                self._sum_squares[run, j, column] = partial.square().sum()
                if self._with_logs:
                    self._sum_logs[run, j, column] = _logs(partial)
                    self._live[run, j, column] = (partial != 0).sum()
                partial.zero_()
            at = stop

    def moments(self, images: int) -> GradientMoments:
        """Return the sums; every micro-batch must have been added."""
        if self._seen != self._count:
            raise ValueError(
                f"the second pass gave {self._seen} micro-batches, the first "
                f"{self._count}: blocks must give the same both times"
            )
        squares = [self._mean[:, part].square().sum(-1) for part in self._slices]
        return GradientMoments(
            images=images,
            layers=self._names,
            mean=self._mean,
            mean_squares=torch.stack(squares, dim=1).cpu().numpy(),
            squares=self._squares.cpu().numpy(),
            products=self._products.cpu().numpy(),
            sum_squares=self._sum_squares.cpu().numpy(),
            logs=self._logs.cpu().numpy() if self._with_logs else None,
            sum_logs=self._sum_logs.cpu().numpy() if self._with_logs else None,
            live=self._live.amax(1).cpu().numpy() if self._with_logs else None,
        )


def _logs(values: Tensor) -> Tensor:
    """Return the sum of ln max(|x|, FLOOR) over the last axis.

    Logarithms of float32 are right to 1e-7 and take a third of the time.
    """
    magnitudes = values.float().abs_().clamp_min_(FLOOR)
    return magnitudes.log_().sum(-1, dtype=torch.float64)
