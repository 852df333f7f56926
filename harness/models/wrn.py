"""Wide residual networks: pre-activation blocks with many channels.

Zagoruyko & Komodakis 2016 (arXiv 1605.07146).
"""

import torch
from torch import Tensor, nn

from harness.models.choices import activation as activation_of
from harness.models.choices import init_convolutions, norm2d, probability, scaled
from harness.registry import MODELS


class PreActivationBlock(nn.Module):
    """norm, activation, 3x3 convolution, twice; the input is added to the result.

    Where shapes change, the shortcut is a 1x1 convolution of the activated input.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        stride: int,
        *,
        activation: str,
        norm: str,
        dropout: float,
        skip: bool,
    ) -> None:
        super().__init__()
        c_in, c_out = channels
        bias = norm == "none"
        self.norm1 = norm2d(norm, c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=bias)
        self.norm2 = norm2d(norm, c_out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=bias)
        self.activation = activation_of(activation)
        self.skip = skip
        self.projection = (
            nn.Conv2d(c_in, c_out, 1, stride, bias=False)
            if skip and (c_in != c_out or stride != 1)
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, C_out, H / stride, W / stride]` of `[B, C_in, H, W]`."""
        active = self.activation(self.norm1(x))
        hidden = self.activation(self.norm2(self.conv1(active)))
        h: Tensor = self.conv2(self.dropout(hidden))
        if self.skip:
            h = h + (x if self.projection is None else self.projection(active))
        return h


class WideResNet(nn.Module):
    """The network that `wrn` describes."""

    def __init__(
        self,
        in_shape: tuple[int, ...],
        num_classes: int,
        stages: list[tuple[int, int]],
        *,
        activation: str,
        norm: str,
        dropout: float,
        skip: bool,
    ) -> None:
        super().__init__()
        probability(dropout=dropout)
        bias, c_in = norm == "none", 16
        self.conv = nn.Conv2d(in_shape[0], c_in, 3, padding=1, bias=bias)
        blocks: list[PreActivationBlock] = []
        for stage, (c_out, count) in enumerate(stages):
            for index in range(count):
                block = PreActivationBlock(
                    (c_in, c_out),
                    2 if stage and not index else 1,
                    activation=activation,
                    norm=norm,
                    dropout=dropout,
                    skip=skip,
                )
                blocks.append(block)
                c_in = c_out
        self.blocks = nn.Sequential(*blocks)
        self.norm = norm2d(norm, c_in)
        self.activation = activation_of(activation)
        self.head = nn.Linear(c_in, num_classes)
        init_convolutions(self, activation, norm)
        if skip and norm == "none":
            with torch.no_grad():
                for block in blocks:
                    block.conv2.weight.div_(len(blocks) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of `x [B, C, H, W]`."""
        h = self.activation(self.norm(self.blocks(self.conv(x))))
        logits: Tensor = self.head(h.mean((2, 3)))
        return logits


@MODELS.register("wrn")
def wrn(
    in_shape: tuple[int, ...],
    num_classes: int,
    *,
    depth: int = 16,
    widen: float = 4,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
    skip: bool = True,
) -> WideResNet:
    """Return WRN-depth-widen.

    Args:
        in_shape: (C, H, W), any size.
        num_classes: K.
        depth: 6 n + 4 for n blocks a stage: 10, 16, 22, 28, 34, 40, ...
        widen: Multiplier of the channels 16, 32, 64 of the three stages.
        activation: relu, gelu, silu or tanh.
        norm: batch, group, layer or none. Without it convolutions have a bias, and the
            last convolution of each of L branches is drawn smaller by sqrt(L).
        dropout: Probability of dropping an activation between a block's convolutions.
        skip: Keep the shortcuts.

    Returns:
        The network: 2 748 890 parameters for WRN-16-4 on 3 channels and 10 classes.

    Raises:
        ValueError: No number of blocks gives this depth.
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth is {depth}, expected 6 n + 4: 10, 16, 22, 28, ...")
    return WideResNet(
        in_shape,
        num_classes,
        [(scaled(c, widen), (depth - 4) // 6) for c in (16, 32, 64)],
        activation=activation,
        norm=norm,
        dropout=dropout,
        skip=skip,
    )
