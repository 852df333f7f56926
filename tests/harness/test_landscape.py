import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from harness.cohort import CohortNet
from harness.curvature.lanczos import extremes, lanczos
from harness.curvature.trace import hutchinson
from harness.curvature.vectors import gaussian, rademacher
from harness.landscape import Landscape
from harness.registry import MODELS
from tests.harness.landscapes import (
    ALL,
    IMAGES,
    ODD,
    SMOOTH,
    cohort,
    directions,
    distance,
    images,
    landscape,
    plain_gradient,
    plain_losses,
    shared,
)


def test_every_registered_model_is_tested() -> None:
    assert MODELS.names() == ALL


@pytest.mark.parametrize("name", [*ALL, ODD])
def test_loss_and_gradient_are_those_of_the_plain_network(name: str) -> None:
    there = shared(name)
    net = cohort(name)
    still = torch.zeros(there.shape)
    losses = plain_losses(net, still, name)[0].mean(1).detach()
    gradient = plain_gradient(net, still, name)
    assert distance(there.loss(), losses) < 1e-6
    assert distance(there.gradient(), gradient) < 1e-5
    exact = landscape(name, precision="float64")
    assert distance(exact.gradient(), gradient) < 1e-12
    moved = 0.01 * directions(there)
    assert distance(there.gradient_at(moved), plain_gradient(net, moved, name)) < 1e-5
    moved_losses = plain_losses(net, moved, name)[0].mean(1).detach()
    assert distance(exact.loss_at(moved), moved_losses) < 1e-12


@pytest.mark.parametrize("name", [*ALL, ODD])
def test_products_are_differences_of_plain_gradients(name: str) -> None:
    there, net = landscape(name, precision="float64"), cohort(name)
    v, step = directions(there), 1e-6
    ahead = plain_gradient(net, step * v, name)
    behind = plain_gradient(net, -step * v, name)
    product = there.hvp(v)
    assert distance(product, (ahead - behind) / (2 * step)) < 1e-5
    assert distance(shared(name).hvp(v.float()), product) < 1e-5


@pytest.mark.parametrize("name", [*ALL, ODD])
def test_products_are_symmetric(name: str) -> None:
    there = shared(name)
    u, v = directions(there, 0).float(), directions(there, 1).float()
    for product in (there.hvp, there.covariance_product):
        left, right = product(v), product(u)
        gap = (u * left).sum(1) - (v * right).sum(1)
        assert (gap.abs() <= 1e-6 * u.norm() * left.norm()).all()


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_products_are_those_of_the_dense_hessian(name: str) -> None:
    net = cohort(name, range(1), **SMOOTH[name])
    there = Landscape(net, *images(name))
    losses, (leaves,) = plain_losses(net, torch.zeros(there.shape), name)
    pieces = torch.autograd.grad(losses.mean(), leaves, create_graph=True)
    flat = torch.cat([piece.flatten() for piece in pieces])
    rows = [torch.autograd.grad(g, leaves, retain_graph=True) for g in flat]
    dense = torch.stack([torch.cat([p.flatten() for p in row]) for row in rows])
    identity = torch.eye(len(dense))
    found = torch.cat([there.hvp(row[None]) for row in identity])
    assert distance(found, dense) < 1e-5


@pytest.mark.parametrize("name", [*ALL, ODD])
def test_microbatch_gradients_are_those_of_the_plain_network(name: str) -> None:
    there, net = shared(name), cohort(name)
    losses, leaves = plain_losses(net, torch.zeros(there.shape), name)
    for size in (1, 3):
        blocks = list(there.microbatch_gradients(size))
        found = torch.cat(blocks, 1)
        assert found.shape == (2, IMAGES // size, there.shape[1])
        assert blocks[0].dtype == torch.float32
        for c, mean in enumerate(losses.view(2, -1, size).mean(2).unbind(1)):
            flat = [leaf for module in leaves for leaf in module]
            pieces = torch.autograd.grad(
                mean.sum(), flat, retain_graph=True, materialize_grads=True
            )
            rows = 2 if net.stacked else 1
            each = [p.reshape(rows, -1) for p in pieces]
            half = len(each) // 2
            truth = (
                torch.cat(each, 1)
                if net.stacked
                else torch.cat([torch.cat(each[:half], 1), torch.cat(each[half:], 1)])
            )
            assert distance(found[:, c], truth) < 1e-5


@pytest.mark.parametrize("name", [*ALL, ODD])
def test_covariance_products_are_those_of_single_gradients(name: str) -> None:
    there = shared(name)
    v = directions(there)
    g = torch.cat(list(there.microbatch_gradients()), 1).double()
    g -= g.mean(1, keepdim=True)
    seen = torch.einsum("snp,sp->sn", g, v)
    expected = torch.einsum("snp,sn->sp", g, seen) / IMAGES
    assert distance(there.covariance_product(v.float()), expected) < 1e-5
    assert there.covariance_product(v).dtype == torch.float64


def test_operations_of_products_are_as_documented() -> None:
    there = Landscape(cohort("resnet20", range(1)), *images("resnet20"))

    def operations(action: Callable[[], Tensor]) -> int:
        with FlopCounterMode(display=False) as counter:
            action()
        return counter.get_total_flops()

    v = directions(there).float()
    gradient = operations(lambda: there.gradient_at(v))
    assert operations(there.gradient) == gradient
    assert operations(lambda: there.hvp(v)) / gradient == pytest.approx(2, rel=0.05)
    ratio = operations(lambda: there.covariance_product(v)) / gradient
    assert ratio == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("name", ["patchnet", "resnet20", "vit"])
def test_bfloat16_is_noisy_but_right(name: str) -> None:
    exact, rough = landscape(name), landscape(name, precision="bfloat16")
    v = directions(exact).float()
    for product in ("hvp", "covariance_product"):
        found, truth = getattr(rough, product)(v), getattr(exact, product)(v)
        assert found.dtype == torch.float32
        assert (F.cosine_similarity(found, truth) > 0.98).all()
        assert not torch.equal(found, truth)


def curvlinops_hessian(net: CohortNet, x: Tensor, y: Tensor) -> Any:
    """The Hessian of a single run as curvlinops computes it."""
    from curvlinops import HessianLinearOperator

    module = copy.deepcopy(net.modules()[0][0]).eval()
    return HessianLinearOperator(
        module,
        nn.CrossEntropyLoss(),
        list(module.parameters()),
        [(x, y)],
        check_deterministic=False,
    )


# curvlinops 3.0.1 calls torch.jit, which torch deprecates.
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_largest_eigenvalue_and_trace_agree_with_curvlinops() -> None:
    net, (x, y) = cohort("wrn", range(1), widen=0.25, norm="batch"), images("wrn", 32)
    there = Landscape(net, x, y)
    theirs = curvlinops_hessian(net, x, y)
    dim = there.shape[1]

    def draw(index: int) -> Tensor:
        return rademacher([0], dim, index)

    found = extremes(lanczos(there.hvp, gaussian([0], dim, 0), 16)).largest.value
    start = draw(99)[0].numpy()
    expected = eigsh(theirs.to_scipy(), 1, which="LA", v0=start, ncv=10, tol=1e-2)[0]
    assert found == pytest.approx(expected, rel=1e-3)
    trace = hutchinson(there.hvp, draw, 4).trace.value
    probes = [draw(index)[0] for index in range(4)]
    mean = np.mean([float(z @ (theirs @ z)) for z in probes])
    assert trace == pytest.approx([mean], rel=1e-3)


# curvlinops 3.0.1 calls torch.jit, which torch deprecates.
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_a_whole_hessian_agrees_with_curvlinops() -> None:
    # Without layer normalisation: torch's derivative of its gradient in forward mode,
    # which curvlinops takes, is wrong for the scales (github.com/pytorch/pytorch,
    # issue 196700); products by differences, above, are ours.
    net, (x, y) = cohort("vit", range(1), dim=2, norm="none"), images("vit")
    there = Landscape(net, x, y)
    identity = torch.eye(there.shape[1])
    with sdpa_kernel(SDPBackend.MATH):
        dense = curvlinops_hessian(net, x, y) @ identity
    found = torch.cat([there.hvp(row[None]) for row in identity])
    assert distance(found, dense.double()) < 1e-5
