"""Residual networks for small images: ResNet-18 with a CIFAR stem, and ResNet-20.

He et al. 2016 (arXiv 1512.03385). Without normalisation convolutions have a bias, and
the last convolution of each of L residual branches is drawn smaller by sqrt(L), so that
the sum does not grow with depth (the idea of Fixup, arXiv 1901.09321, without its
zeros); without skips it is drawn like every other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.choices import activation as activation_of
from harness.models.choices import init_convolutions, norm2d, probability, scaled
from harness.registry import MODELS


class PadShortcut(nn.Module):
    """Option A of He et al.: every `stride`-th pixel, zeros in the new channels."""

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = new_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, C + new_channels, H / stride, W / stride]` of `[B, C, H, W]`."""
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each normalised, around which the input is added."""

    def __init__(
        self,
        channels: tuple[int, int],
        stride: int,
        *,
        activation: str,
        norm: str,
        dropout: float,
        shortcut: nn.Module | None,
    ) -> None:
        super().__init__()
        c_in, c_out = channels
        bias = norm == "none"
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=bias)
        self.norm1 = norm2d(norm, c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=bias)
        self.norm2 = norm2d(norm, c_out)
        self.activation = activation_of(activation)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, C_out, H / stride, W / stride]` of `[B, C_in, H, W]`."""
        h = self.dropout(self.activation(self.norm1(self.conv1(x))))
        h = self.norm2(self.conv2(h))
        return self.activation(h if self.shortcut is None else h + self.shortcut(x))


class ResNet(nn.Module):
    """A 3x3 stem, stages of basic blocks, global average pooling, a classifier.

    Args:
        in_shape: (C, H, W), any size.
        num_classes: K.
        stages: Channels and number of blocks of each stage; each but the first halves
            the resolution.
        projection: Where shapes change, the shortcut is a normalised 1x1 convolution
            (option B of He et al.) rather than zeros in new channels (option A).
        activation: relu, gelu, silu or tanh.
        norm: batch, group, layer or none.
        dropout: Probability of dropping an activation between a block's convolutions.
        skip: Keep the shortcuts.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        num_classes: int,
        stages: list[tuple[int, int]],
        *,
        projection: bool,
        activation: str,
        norm: str,
        dropout: float,
        skip: bool,
    ) -> None:
        super().__init__()
        probability(dropout=dropout)
        bias, c_in = norm == "none", stages[0][0]
        self.conv = nn.Conv2d(in_shape[0], c_in, 3, padding=1, bias=bias)
        self.norm = norm2d(norm, c_in)
        self.activation = activation_of(activation)
        blocks: list[BasicBlock] = []
        for stage, (c_out, count) in enumerate(stages):
            for index in range(count):
                stride = 2 if stage and not index else 1
                shortcut = _shortcut(c_in, c_out, stride, projection, norm)
                blocks.append(
                    BasicBlock(
                        (c_in, c_out),
                        stride,
                        activation=activation,
                        norm=norm,
                        dropout=dropout,
                        shortcut=shortcut if skip else None,
                    )
                )
                c_in = c_out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(c_in, num_classes)
        init_convolutions(self, activation, norm)
        if skip and norm == "none":
            with torch.no_grad():
                for block in blocks:
                    block.conv2.weight.div_(len(blocks) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of `x [B, C, H, W]`."""
        h = self.blocks(self.activation(self.norm(self.conv(x))))
        logits: Tensor = self.head(h.mean((2, 3)))
        return logits


def _shortcut(
    c_in: int, c_out: int, stride: int, projection: bool, norm: str
) -> nn.Module:
    if c_in == c_out and stride == 1:
        return nn.Identity()
    if not projection:
        return PadShortcut(c_out - c_in, stride)
    conv = nn.Conv2d(c_in, c_out, 1, stride, bias=norm == "none")
    return nn.Sequential(conv, norm2d(norm, c_out))


@MODELS.register("resnet18")
def resnet18(
    in_shape: tuple[int, ...],
    num_classes: int,
    *,
    width: float = 1.0,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
    skip: bool = True,
) -> ResNet:
    """Return ResNet-18 with a 3x3 stem of stride 1 and no max-pooling.

    Four stages of two blocks with 64, 128, 256, 512 channels, times `width`, and
    projection shortcuts: 11 173 962 parameters for 3 input channels and 10 classes.
    """
    return ResNet(
        in_shape,
        num_classes,
        [(scaled(c, width), 2) for c in (64, 128, 256, 512)],
        projection=True,
        activation=activation,
        norm=norm,
        dropout=dropout,
        skip=skip,
    )


@MODELS.register("resnet20")
def resnet20(
    in_shape: tuple[int, ...],
    num_classes: int,
    *,
    width: float = 1.0,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
    skip: bool = True,
) -> ResNet:
    """Return the ResNet-20 of He et al. for CIFAR, section 4.2.

    Three stages of three blocks with 16, 32, 64 channels, times `width`, and shortcuts
    without parameters (option A): 269 722 parameters for 3 input channels and 10
    classes.
    """
    return ResNet(
        in_shape,
        num_classes,
        [(scaled(c, width), 3) for c in (16, 32, 64)],
        projection=False,
        activation=activation,
        norm=norm,
        dropout=dropout,
        skip=skip,
    )
