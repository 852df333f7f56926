"""What the models' options `activation`, `norm` and `width` may be.

Both kinds of model, stacked and ordinary, take their options from here.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

T = TypeVar("T")

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}

NORM_NAMES: Final = ("batch", "group", "layer", "none")

NUM_GROUPS: Final = 8
"""Groups of group normalisation; Wu & He 2018 (arXiv 1803.08494), table 3: any number
between 2 and 64 is within 0.6 points of the best."""


def pick(option: str, name: str, table: Mapping[str, T]) -> T:
    """Return `table[name]`.

    Raises:
        ValueError: The option has no such choice; the message lists them.
    """
    if name not in table:
        raise ValueError(f"{option} is {name!r}, expected one of {', '.join(table)}")
    return table[name]


def activation(name: str, in_place: bool = False) -> Callable[[Tensor], Tensor]:
    """Return the activation function called `name`.

    Args:
        name: relu, gelu, silu or tanh.
        in_place: Let relu overwrite its argument, for callers that own it.
    """
    function = pick("activation", name, ACTIVATIONS)
    return torch.relu_ if in_place and name == "relu" else function


def gain(name: str) -> float:
    """Return the factor by which weights keep the size of activations.

    sqrt(2) for relu, gelu and silu (He et al. 2015, eq. 10), 5/3 for tanh.
    """
    return nn.init.calculate_gain("tanh" if name == "tanh" else "relu")


def groups_of(norm: str, channels: int) -> int:
    """Return the number of groups: one for "layer", else up to 8 that divide."""
    return 1 if norm == "layer" else math.gcd(NUM_GROUPS, channels)


def norm2d(norm: str, channels: int) -> nn.Module:
    """Return a normalisation of `[B, channels, H, W]` with a scale and shift a channel.

    "layer" takes its statistics over channels and positions of one image (group
    normalisation with one group), "group" over one of up to 8 groups of channels.
    """
    pick("norm", norm, dict.fromkeys(NORM_NAMES))
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(groups_of(norm, channels), channels)


def scaled(channels: int, width: float) -> int:
    """Return `channels * width`, rounded, at least 1.

    Raises:
        ValueError: The multiplier is not positive.
    """
    if not width > 0:
        raise ValueError(f"width is {width!r}, expected a multiplier above 0")
    return max(1, round(channels * width))


def positive(**options: int) -> None:
    """Check that options are whole numbers of at least 1.

    Raises:
        ValueError: One is not.
    """
    for name, value in options.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, expected a whole number from 1 up")


def probability(**options: float) -> None:
    """Check that options lie in [0, 1).

    Raises:
        ValueError: One does not.
    """
    for name, value in options.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} is {value!r}, expected a number in [0, 1)")


def init_convolutions(model: nn.Module, activation_name: str, norm: str) -> None:
    """Draw every convolution from N(0, gain^2 / fan), with zero bias.

    He et al. 2015 (arXiv 1502.01852), section 2.2. Fan is fan_in without normalisation,
    where the forward pass must keep its size, and fan_out, as usual, with it.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            channels = module.in_channels if norm == "none" else module.out_channels
            fan = channels * math.prod(module.kernel_size)
            nn.init.normal_(module.weight, 0.0, gain(activation_name) / fan**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
