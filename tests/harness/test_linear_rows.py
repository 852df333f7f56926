"""Rows of linear layers, against gradients of single images."""

import pytest
import torch
from torch import Tensor, nn

from harness.cohort import CohortNet
from harness.landscape import Landscape
from harness.linear_rows import has_linear_rows, linear_rows
from harness.models.layers import Linear, enter
from harness.models.mlp import Mlp
from harness.models.patchnet import PatchNet
from harness.spec import Part


class Custom(nn.Module):
    """A stacked network that may break one of the conditions."""

    def __init__(self, num_runs: int = 2, *, broken: str = "") -> None:
        super().__init__()
        self.broken = broken
        self.granule = 8
        self.first = Linear(num_runs, 4, 4)
        self.second = Linear(num_runs, 4, 4, bias=False)
        if broken == "tied":
            self.second.weight = self.first.weight
        if broken == "scaled":
            self.scale = nn.Parameter(torch.ones(num_runs, 1, 1))
        if broken == "silent":
            del self.granule
        if broken == "foreign":
            self.third = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(enter(x, self.granule))
        if self.broken == "twice":
            h = self.first(h)
        if self.broken == "uneven":
            h = h[:, :-1]
        y = self.second(h)
        if self.broken == "unused":
            y = h
        if self.broken == "raises":
            raise RuntimeError("no forward pass")
        return y[:, : x.shape[1]]


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def losses(module: nn.Module, x: Tensor) -> Tensor:
    weights = torch.arange(1.0, 1 + x.shape[1])[:, None]
    result: Tensor = module(x).sin() * weights
    return result


@pytest.mark.parametrize("broken", ["tied", "scaled", "silent", "foreign"])
def test_modules_with_other_parameters_have_no_linear_rows(broken):
    assert has_linear_rows(Custom())
    assert not has_linear_rows(Custom(broken=broken))


def test_the_networks_without_normalisation_have_linear_rows():
    for factory in (Mlp, PatchNet):
        assert has_linear_rows(factory(2, (1, 8, 8), 3, dropout=0.5))
        for norm in ("batch", "layer", "group"):
            assert not has_linear_rows(factory(2, (1, 8, 8), 3, norm=norm))


@pytest.mark.parametrize("broken", ["twice", "uneven", "unused"])
def test_layers_that_are_used_otherwise_have_no_rows(broken):
    module, x = Custom(broken=broken), numbers(2, 5, 4)
    assert has_linear_rows(module)
    assert linear_rows(module, lambda: losses(module, x), 5) is None


def test_rows_give_the_gradient_of_every_image():
    module, x = Custom(), numbers(2, 5, 4)
    rows = linear_rows(module, lambda: losses(module, x), 5)
    assert rows is not None
    assert [(each.weight, each.bias) for each in rows] == [
        ("first.weight", "first.bias"),
        ("second.weight", None),
    ]
    for image in range(5):
        expected = torch.autograd.grad(
            losses(module, x)[:, image].sum(), list(module.parameters())
        )
        found = []
        for each in rows:
            a, d = each.inputs[:, image], each.grads[:, image]
            found.append(a.mT @ d)
            if each.bias:
                found.append(d.sum(1))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_shared_inputs_are_not_copied_for_every_run():
    net = CohortNet(
        Part("patchnet"), range(3), (1, 8, 8), 4, device=torch.device("cpu")
    )
    there = Landscape(net, numbers(6, 1, 8, 8), torch.zeros(6, dtype=torch.int64))
    rows = there.linear_rows(slice(1, 6))
    assert rows is not None
    assert [tuple(each.inputs.shape) for each in rows] == [
        (3, 5, 16, 4),
        (3, 5, 4, 128),
        (3, 5, 1, 256),
    ]
    assert rows[0].inputs.stride(0) == 0
    assert not any(t.requires_grad for each in rows for t in each[2:])


@pytest.mark.parametrize("broken", ["", "raises", "twice"])
def test_nothing_is_left_behind(broken):
    module, x = Custom(broken=broken), numbers(2, 5, 4)
    module.second.eval()
    before = torch.get_rng_state()
    with torch.no_grad():
        if broken == "raises":
            with pytest.raises(RuntimeError, match="no forward pass"):
                linear_rows(module, lambda: losses(module, x), 5)
        else:
            linear_rows(module, lambda: losses(module, x), 5)
        assert not torch.is_grad_enabled()
    assert all(not part._forward_hooks for part in module.modules())
    assert [part.training for part in module.modules()] == [True, True, False]
    assert all(p.grad is None and p.requires_grad for p in module.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_landscape_leaves_the_cohort_as_it_was():
    part = Part("patchnet", {"dropout": 0.5, "width": 0.3})
    net = CohortNet(part, range(2), (1, 8, 8), 4, device=torch.device("cpu"))
    module, _ = net.modules()[0]
    module.train()
    module.head.eval()
    flags = [each.training for each in module.modules()]
    params = net.params.clone()
    there = Landscape(net, numbers(6, 1, 8, 8), torch.zeros(6, dtype=torch.int64))
    assert there.linear_rows(slice(0, 6)) is not None
    there.linear_rows(slice(0, 6))
    assert flags == [each.training for each in module.modules()]
    assert torch.equal(net.params, params)
    assert all(not each._forward_hooks for each in module.modules())
    assert all(p.grad is None for p in module.parameters())
