"""The residual network of the speed runs on CIFAR-10, called ResNet-9.

David Page, "How to train your ResNet" (2018), on the DAWNBench of Coleman et al.
(2017). Max-pooling stands between a convolution and its normalisation, as in Jordan
2024 (arXiv 2404.00498): those normalisations see a quarter of the pixels.
"""

from typing import Final

from torch import Tensor, nn

from harness.models.choices import activation as activation_of
from harness.models.choices import init_convolutions, norm2d, probability, scaled
from harness.registry import MODELS

CHANNELS: Final = (64, 128, 256, 512)

SMALLEST: Final = 8
"""Pixels a side that three halvings reduce to one."""


class ConvNorm(nn.Module):
    """A 3x3 convolution, max-pooling where asked for, normalisation, activation."""

    def __init__(
        self, channels: tuple[int, int], *, pool: bool, activation: str, norm: str
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(*channels, 3, padding=1, bias=norm == "none")
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.norm = norm2d(norm, channels[1])
        self.activation = activation_of(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, C_out, H, W]` of `[B, C_in, H, W]`, H and W halved if pooled."""
        return self.activation(self.norm(self.pool(self.conv(x))))


@MODELS.register("resnet9")
class ResNet9(nn.Module):
    """Eight convolutions and a linear layer, for a few epochs.

    A convolution to 64 channels, three that pool, to 128, 256 and 512, all times
    `width`, a residual branch of two convolutions after the first and the third, global
    max-pooling, and a linear layer without bias, whose logits are multiplied by
    `logit_scale`: 6 573 120 parameters for 3 input channels and 10 classes. Without
    normalisation the last convolution of both branches is drawn smaller by sqrt(2), as
    in `resnet`.

    Args:
        in_shape: (C, H, W) of at least 8 pixels a side.
        num_classes: K.
        width: Multiplier of every channel count.
        activation: relu, gelu, silu or tanh.
        norm: batch, group, layer or none.
        dropout: Probability of dropping a feature before the last layer.
        skip: Keep the two shortcuts.
        logit_scale: 0.125 is Page's; it keeps max-pooled features from saturating the
            softmax at the start.

    Raises:
        ValueError: The inputs are smaller, or an option is out of range.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        num_classes: int,
        *,
        width: float = 1.0,
        activation: str = "relu",
        norm: str = "batch",
        dropout: float = 0.0,
        skip: bool = True,
        logit_scale: float = 0.125,
    ) -> None:
        super().__init__()
        probability(dropout=dropout)
        if min(in_shape[1:]) < SMALLEST:
            raise ValueError(
                f"resnet9 got inputs of shape {list(in_shape)}, expected at least "
                f"{SMALLEST} pixels a side: take resnet20 or vgg for smaller ones"
            )

        def layer(c_in: int, c_out: int, pool: bool = False) -> ConvNorm:
            pair = (c_in, c_out)
            return ConvNorm(pair, pool=pool, activation=activation, norm=norm)

        c0, c1, c2, c3 = (scaled(c, width) for c in CHANNELS)
        self.stem = layer(in_shape[0], c0)
        self.down1 = layer(c0, c1, pool=True)
        self.branch1 = nn.Sequential(layer(c1, c1), last1 := layer(c1, c1))
        self.down2 = layer(c1, c2, pool=True)
        self.down3 = layer(c2, c3, pool=True)
        self.branch3 = nn.Sequential(layer(c3, c3), last3 := layer(c3, c3))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(c3, num_classes, bias=False)
        self.skip, self.logit_scale = skip, logit_scale
        init_convolutions(self, activation, norm)
        if skip and norm == "none":
            for last in (last1, last3):
                last.conv.weight.data.div_(2**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of `x [B, C, H, W]`."""
        x = self.down1(self.stem(x))
        x = self.branch1(x) + x if self.skip else self.branch1(x)
        x = self.down3(self.down2(x))
        x = self.branch3(x) + x if self.skip else self.branch3(x)
        # amax: adaptive max-pooling has no deterministic gradient on CUDA
        logits: Tensor = self.head(self.dropout(x.amax((2, 3))))
        return logits * self.logit_scale
