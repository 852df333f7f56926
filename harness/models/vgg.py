"""VGG networks for small images: 3x3 convolutions and max-pooling, no shortcuts.

Simonyan & Zisserman 2015 (arXiv 1409.1556), configurations A, B, D and E, with global
average pooling and one linear layer in place of the three large ones.
"""

from typing import Final

from torch import Tensor, nn

from harness.models.choices import activation as activation_of
from harness.models.choices import init_convolutions, norm2d, probability, scaled
from harness.registry import MODELS

CHANNELS: Final = (64, 128, 256, 512, 512)

CONVOLUTIONS: Final = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions of each stage by depth, the three replaced layers counted in."""


class Vgg(nn.Module):
    """The network that `vgg` describes."""

    def __init__(
        self,
        in_shape: tuple[int, ...],
        num_classes: int,
        stages: list[tuple[int, int]],
        *,
        activation: str,
        norm: str,
        dropout: float,
    ) -> None:
        super().__init__()
        probability(dropout=dropout)
        c_in, *sides = in_shape
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        self.pools: list[bool] = []
        for c_out, count in stages:
            for index in range(count):
                conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=norm == "none")
                self.convs.append(conv)
                self.norms.append(norm2d(norm, c_out))
                self.pools.append(index == count - 1 and min(sides) >= 2)
                c_in = c_out
            sides = [max(1, side // 2) for side in sides]
        self.activation = activation_of(activation)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(c_in, num_classes)
        init_convolutions(self, activation, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of `x [B, C, H, W]`."""
        for conv, norm, pool in zip(self.convs, self.norms, self.pools, strict=True):
            x = self.activation(norm(conv(x)))
            x = self.pool(x) if pool else x
        logits: Tensor = self.head(self.dropout(x.mean((2, 3))))
        return logits


@MODELS.register("vgg")
def vgg(
    in_shape: tuple[int, ...],
    num_classes: int,
    *,
    depth: int = 11,
    width: float = 1.0,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
) -> Vgg:
    """Return VGG-depth for small images.

    Args:
        in_shape: (C, H, W); a stage does not halve a side of one pixel.
        num_classes: K.
        depth: 11, 13, 16 or 19.
        width: Multiplier of the channels 64, 128, 256, 512, 512 of the five stages.
        activation: relu, gelu, silu or tanh.
        norm: batch, group, layer or none.
        dropout: Probability of dropping a feature before the classifier.

    Returns:
        The network: 9 228 362 parameters for VGG-11 on 3 channels and 10 classes.

    Raises:
        ValueError: The depth is none of the four.
    """
    if depth not in CONVOLUTIONS:
        raise ValueError(f"depth is {depth}, expected one of {list(CONVOLUTIONS)}")
    channels = (scaled(c, width) for c in CHANNELS)
    stages = list(zip(channels, CONVOLUTIONS[depth], strict=True))
    return Vgg(
        in_shape,
        num_classes,
        stages,
        activation=activation,
        norm=norm,
        dropout=dropout,
    )
