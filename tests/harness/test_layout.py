"""The order of parameters in a row changes no number that a network computes."""

import dataclasses

import pytest
import torch
from torch import nn

from harness.cohort import CohortNet
from harness.layout import FlatLayout
from harness.registry import MODELS
from harness.spec import Part
from tests.harness.toy import toy_data, toy_run

CPU = torch.device("cpu")
SHAPE, CLASSES = (3, 8, 8), 5


def net(*, channels_last=False, precision="float32", model="resnet20", runs=2):
    return CohortNet(
        Part(model, {"width": 0.25}),
        range(runs),
        SHAPE,
        CLASSES,
        device=CPU,
        precision=precision,
        channels_last=channels_last,
    )


def images():
    return torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(0))


def test_weights_lie_channels_last_and_are_those_of_the_seed():
    plain, last = net(), net(channels_last=True)
    for s in range(2):
        rows = slice(s, s + 1)
        pieces = last.layout.views(last.params[rows])
        expected = plain.layout.views(plain.params[rows])
        for piece, other in zip(pieces, expected, strict=True):
            assert torch.equal(piece, other)
            assert piece.data_ptr() >= last.params.data_ptr()  # a view, no copy
        assert pieces[0].is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(last.layout.join(pieces), last.params[rows])
    assert not torch.equal(plain.params, last.params)


def test_a_row_is_a_weight_in_the_order_out_height_width_in():
    conv = nn.Conv2d(2, 3, (4, 5), bias=False)
    layout = FlatLayout(conv, stacked=False, channels_last=True)
    row = layout.join([conv.weight.detach()])
    at = torch.arange(120).view(3, 4, 5, 2)
    assert row[0, at[2, 3, 1, 0]] == conv.weight[2, 0, 3, 1]
    assert torch.equal(layout.views(row)[0], conv.weight)


@pytest.mark.parametrize("model", ["resnet20", "resnet9", "vgg"])
def test_logits_and_gradients_do_not_depend_on_the_order(model):
    plain, last = net(model=model), net(model=model, channels_last=True)
    x = images().expand(2, -1, -1, -1, -1)
    gradients = []
    for each in (plain, last):
        logits = each.train_logits(x, 0)
        flat = each.gradients(logits.logsumexp(2).mean(1)).clone()
        gradients.append([each.layout.views(flat[s : s + 1]) for s in range(2)])
    assert torch.allclose(
        plain.eval_logits(images()), last.eval_logits(images()), atol=1e-5
    )
    for one, other in zip(*gradients, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_rounded_copies_compute_what_autocast_computes_bit_for_bit(channels_last):
    ours = net(precision="bfloat16", channels_last=channels_last, runs=1)
    module = MODELS.get("resnet20")(SHAPE, CLASSES, width=0.25)
    pieces = ours.layout.views(ours.params)
    for leaf, value in zip(module.parameters(), pieces, strict=True):
        leaf.data = value.clone()  # keeps the strides
    with torch.autocast("cpu", torch.bfloat16):
        expected = module.train()(images()).float()
    gradients = torch.autograd.grad(expected.square().sum(), list(module.parameters()))
    logits = ours.train_logits(images()[None], 0)
    found = ours.gradients(logits.square().sum((1, 2)))
    assert torch.equal(logits[0], expected)
    assert torch.equal(found, ours.layout.join(list(gradients)))
    assert found.dtype == torch.float32


def test_bfloat16_passes_see_the_updates_of_the_exact_parameters():
    ours = net(precision="bfloat16", runs=1)
    before = ours.eval_logits(images())
    with torch.no_grad():
        ours.params.mul_(1.5)
    assert not torch.equal(before, ours.eval_logits(images()))


def test_a_parameter_that_two_layers_share_is_kept_once():
    config = dataclasses.replace(toy_run(), model=Part(f"{__name__}:Tied")).resolve()
    ours = CohortNet(config.model, [0, 1], (1, 8, 8), 4, device=CPU)
    assert ours.params.shape == (2, 64 * 64 + 64 * 4)
    x = toy_data().normalise(toy_data().test.inputs[:3])
    assert ours.eval_logits(x).shape == (2, 3, 4)


class Tied(nn.Module):
    def __init__(self, in_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.one = nn.Linear(64, 64, bias=False)
        self.two = nn.Linear(64, 64, bias=False)
        self.two.weight = self.one.weight
        self.head = nn.Linear(64, num_classes, bias=False)

    def forward(self, x):
        return self.head(self.two(self.one(x.flatten(1)).relu()).relu())
