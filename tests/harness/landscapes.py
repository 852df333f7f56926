"""Tiny landscapes of every model, and the same numbers from plain networks."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.cohort import CohortNet
from harness.curvature.vectors import gaussian
from harness.landscape import Landscape
from harness.spec import Part

CPU = torch.device("cpu")
CLASSES = 3
IMAGES = 12
TINY: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "mlp": ({"width": 4, "norm": "batch", "skip": True}, (2,)),
    "patchnet": ({"width": 0.14, "norm": "group"}, (1, 4, 4)),
    "resnet18": ({"width": 0.02}, (1, 8, 8)),
    "resnet20": ({"width": 0.07}, (1, 8, 8)),
    "resnet9": ({"width": 0.05, "norm": "group"}, (1, 8, 8)),
    "vgg": ({"width": 0.02, "dropout": 0.5}, (1, 8, 8)),
    "vit": ({"dim": 4, "depth": 1, "heads": 2, "dropout": 0.5}, (1, 8, 4)),
    "wrn": ({"widen": 0.07, "depth": 10, "norm": "layer"}, (1, 8, 8)),
}
SMOOTH = {
    "mlp": {"activation": "tanh"},
    "patchnet": {"activation": "gelu", "norm": "batch"},
    "vit": {"dim": 2, "heads": 1, "norm": "none"},
}
ALL = sorted(TINY)
ODD = f"{__name__}:odd"
DEEP = ("resnet18", "resnet20")


class Odd(nn.Module):
    """A tied weight, a parameter without a use, in-place ReLU, overlapping pools."""

    def __init__(self, in_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_shape[0], 4, 3, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.again.weight = self.conv.weight
        self.unused = nn.Parameter(torch.ones(2))
        self.norm = nn.GroupNorm(2, 4)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.conv(self.first(x)))))
        x = self.relu(self.again(x))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def odd(in_shape: tuple[int, ...], num_classes: int) -> Odd:
    return Odd(in_shape, num_classes)


def cohort(name: str, seeds: range = range(2), **options: Any) -> CohortNet:
    params, shape = TINY.get(name, ({}, (1, 8, 8)))
    part = Part(name, {**params, **options})
    net = CohortNet(part, seeds, shape, CLASSES, device=CPU, channels_last=False)
    buffers = net.buffers()
    for key, value in buffers.items():  # as after some training
        if value.is_floating_point():
            value += 0.1 * torch.arange(1, value[0].numel() + 1).view(value[0].shape)
        buffers[key] = value
    net.load_buffers(buffers)
    return net


def images(name: str, count: int = IMAGES) -> tuple[Tensor, Tensor]:
    shape = TINY.get(name, ({}, (1, 8, 8)))[1]
    numbers = torch.Generator().manual_seed(0)
    return torch.randn(count, *shape, generator=numbers), torch.arange(count) % CLASSES


def landscape(name: str, **options: Any) -> Landscape:
    return Landscape(cohort(name), *images(name), **{"chunk": 7, **options})


@cache
def shared(name: str) -> Landscape:
    """One landscape for the tests that ask what it says, not what it does."""
    return landscape(name)


def directions(like: Landscape, index: int = 0) -> Tensor:
    runs, dim = like.shape
    return gaussian(range(runs), dim, index, dtype=torch.float64)


def plain_losses(net: CohortNet, moved: Tensor, name: str) -> tuple[Tensor, Any]:
    """Losses of images of every run from double copies of the modules: `[S, n]`.

    Parameters stand at those of `net` plus `moved [S, P]`.
    """
    x, y = images(name)
    losses, leaves = [], []
    for module, rows in net.modules():
        copied = copy.deepcopy(module).double().eval()
        parts = list(copied.parameters())
        sizes = [p.numel() // (rows.stop - rows.start) for p in parts]
        with torch.no_grad():
            for p, d in zip(parts, moved[rows].split(sizes, 1), strict=True):
                p += d.reshape(p.shape)
        inputs = x.double()
        stacked = inputs.expand(rows.stop, *x.shape) if net.stacked else inputs
        with sdpa_kernel(SDPBackend.MATH):
            logits = copied(stacked)
        for each in logits if net.stacked else [logits]:
            losses.append(F.cross_entropy(each, y, reduction="none"))
        leaves.append(parts)
    return torch.stack(losses), leaves


def plain_gradient(net: CohortNet, moved: Tensor, name: str) -> Tensor:
    losses, leaves = plain_losses(net, moved, name)
    flat = [leaf for module in leaves for leaf in module]
    pieces = torch.autograd.grad(losses.mean(1).sum(), flat, allow_unused=True)
    pieces = [
        torch.zeros_like(leaf) if piece is None else piece
        for leaf, piece in zip(flat, pieces, strict=True)
    ]
    runs = len(net)
    if net.stacked:
        return torch.cat([piece.reshape(runs, -1) for piece in pieces], 1)
    return torch.cat([piece.flatten() for piece in pieces]).view(runs, -1)


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def methods() -> dict[str, Callable[[Landscape], Tensor]]:
    return {
        "loss": lambda x: x.loss(),
        "gradient": lambda x: x.gradient(),
        "hvp": lambda x: x.hvp(directions(x).float()),
        "loss_at": lambda x: x.loss_at(0.1 * directions(x)),
        "gradient_at": lambda x: x.gradient_at(0.1 * directions(x)),
        "covariance_product": lambda x: x.covariance_product(directions(x).float()),
        "microbatches": lambda x: torch.cat(list(x.microbatch_gradients(3)), 1),
        "images": lambda x: torch.cat(list(x.microbatch_gradients()), 1),
    }
