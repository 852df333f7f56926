"""A multilayer perceptron for S runs at once, for points in the plane and images."""

import math
from itertools import pairwise

from torch import Tensor, nn

from harness.models.choices import activation as activation_of
from harness.models.choices import gain, positive
from harness.models.layers import Dropout, Linear, enter, granule, stacked_norm
from harness.registry import MODELS


@MODELS.register("mlp")
class Mlp(nn.Module):
    """S perceptrons: hidden layers of one width, then a linear classifier.

    A hidden layer is dropout(activation(norm(linear(h)))). Hidden weights keep the
    size of activations (`gain`), so that deep networks train without normalisation;
    the residual ones of a network without it are divided by the square root of their
    number, so that the sum does not grow with depth.

    Args:
        num_runs: S.
        in_shape: (C, H, W) of an image, or (2,) of a point.
        num_classes: K.
        width: Units of a hidden layer.
        depth: Number of hidden layers.
        activation: relu, gelu, silu or tanh.
        norm: batch, group, layer or none.
        dropout: Probability of dropping a hidden unit.
        skip: Add its input to every hidden layer that has as many outputs as inputs.
    """

    def __init__(
        self,
        num_runs: int,
        in_shape: tuple[int, ...],
        num_classes: int,
        *,
        width: int = 64,
        depth: int = 2,
        activation: str = "relu",
        norm: str = "none",
        dropout: float = 0.0,
        skip: bool = False,
    ) -> None:
        super().__init__()
        positive(width=width, depth=depth)
        sizes = [math.prod(in_shape)] + [width] * depth
        self.granule = granule(*sizes)
        self.activation = activation_of(activation, in_place=True)
        self.dropout = Dropout(dropout)
        self.skips = [skip and a == b for a, b in pairwise(sizes)]
        branch = sum(self.skips) ** -0.5 if any(self.skips) and norm == "none" else 1.0
        self.hidden = nn.ModuleList(
            Linear(
                num_runs,
                a,
                b,
                gain=gain(activation) * (branch if skipped else 1.0),
                bias=norm == "none",
            )
            for (a, b), skipped in zip(pairwise(sizes), self.skips, strict=True)
        )
        norms = (stacked_norm(norm, num_runs, width, 1) for _ in range(depth))
        self.norms = nn.ModuleList(n for n in norms if n is not None)
        self.head = Linear(num_runs, width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[S, B, K]` of `x [S, B, C, H, W]` or `[S, B, 2]`."""
        rows = x.shape[1]
        h = enter(x, self.granule)
        for index, linear in enumerate(self.hidden):
            z = linear(h)
            if self.norms:
                z = self.norms[index](z, rows)
            z = self.dropout(self.activation(z))
            h = h + z if self.skips[index] else z
        logits: Tensor = self.head(h)
        return logits[:, :rows]
