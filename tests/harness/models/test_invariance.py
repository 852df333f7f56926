"""A stacked run's numbers are the same bit for bit in every cohort."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.models import Mlp, PatchNet
from harness.models.layers import Dropout

EXTRAS: list[dict[str, Any]] = [
    {},
    {"norm": "batch", "activation": "gelu", "dropout": 0.25},
    {"norm": "layer", "activation": "silu", "skip": True},
    {"norm": "group", "activation": "tanh", "depth": 3, "skip": True},
]

CASES = [
    (Mlp, (1, 8, 8), {}, 10, 64),
    (Mlp, (2,), {"width": 33}, 2, 17),
    (PatchNet, (1, 8, 8), {}, 10, 16),
    (PatchNet, (3, 7, 9), {"width": 0.4}, 7, 5),
]


pytestmark = pytest.mark.usefixtures("one_thread")


def cohort(build: Callable[[int], nn.Module], seeds: list[int]) -> nn.Module:
    """A model whose parameters are views of one flat buffer, run s from seed s."""
    model = build(len(seeds))
    sizes = [p[0].numel() for p in model.parameters()]
    flat = torch.zeros(len(seeds), sum(sizes) + 3)  # an odd stride: no alignment
    offsets = itertools.accumulate(sizes, initial=0)
    for p, size, offset in zip(model.parameters(), sizes, offsets, strict=False):
        view = flat[:, offset : offset + size].view(len(seeds), *p.shape[1:])
        for row, seed in zip(view, seeds, strict=True):
            generator = torch.Generator().manual_seed(100 * seed + offset)
            row.copy_(torch.randn(row.shape, generator=generator) / len(row) ** 0.5)
        p.data = view
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generators = [torch.Generator().manual_seed(s) for s in seeds]
    return model


def numbers(
    build: Callable[[int], nn.Module],
    in_shape: tuple[int, ...],
    batch: int,
    seeds: list[int],
) -> dict[int, list[Tensor]]:
    """Logits, gradients, Hessian products, buffers and evaluation by seed."""
    model = cohort(build, seeds)
    parameters = list(model.parameters())
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    x = torch.stack([torch.randn(batch, *in_shape, generator=g) for g in generators])
    logits = model(x)
    loss = logits.logsumexp(2).mean(1) + logits.square().mean((1, 2))
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), parameters)
    shared = x.new_ones(1).expand(len(seeds), batch, *in_shape)
    found = [logits, *first, *second, *model.buffers(), model.eval()(shared)]
    return {s: [t[k].detach().clone() for t in found] for k, s in enumerate(seeds)}


@pytest.mark.parametrize("extra", EXTRAS, ids=lambda e: e.get("norm", "none"))
@pytest.mark.parametrize(("kind", "in_shape", "options", "classes", "batch"), CASES)
def test_a_run_does_not_depend_on_its_cohort(
    kind: type[nn.Module],
    in_shape: tuple[int, ...],
    options: dict[str, Any],
    classes: int,
    batch: int,
    extra: dict[str, Any],
) -> None:
    def build(num_runs: int) -> nn.Module:
        model: nn.Module = kind(num_runs, in_shape, classes, **options, **extra)
        return model

    everyone = list(range(32))
    reference = numbers(build, in_shape, batch, everyone)
    for seeds in ([0], [31], [7, 0, 30], everyone[12:4:-1], everyone[::-1]):
        for seed, found in numbers(build, in_shape, batch, seeds).items():
            pairs = zip(found, reference[seed], strict=True)
            assert all(torch.equal(a, b) for a, b in pairs), (seed, seeds)
