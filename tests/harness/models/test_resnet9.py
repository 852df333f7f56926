"""ResNet-9 against the formula, a written-out forward pass and finite differences."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.models import ResNet9
from harness.registry import MODELS

CIFAR = (3, 32, 32)


def small(in_shape: tuple[int, ...] = (1, 8, 8), **options: object) -> ResNet9:
    torch.manual_seed(0)
    return ResNet9(in_shape, 10, **{"width": 0.125, **options})  # type: ignore[arg-type]


def count(**options: float) -> int:
    with torch.device("meta"):
        model = ResNet9(CIFAR, 10, **options)  # type: ignore[arg-type]
    return sum(p.numel() for p in model.parameters())


def test_resnet9_is_registered():
    assert MODELS.get("resnet9") is ResNet9


@pytest.mark.parametrize("width", [1.0, 0.25])
def test_resnet9_has_the_parameters_of_the_formula(width: float):
    a, b, c, d = (int(width * n) for n in (64, 128, 256, 512))
    kernels = 3 * a + a * b + 2 * b * b + b * c + c * d + 2 * d * d
    norms = 2 * (a + 3 * b + c + 3 * d)
    assert count(width=width) == 9 * kernels + norms + 10 * d


def test_resnet9_has_the_parameters_that_its_docstring_names():
    assert count() == 6_573_120


def test_every_pooling_layer_and_every_branch_takes_the_same_operations():
    # Channels double where sides halve: 64 * 128 * 9 * 32 * 32 products each.
    with torch.device("meta"):
        model, x = ResNet9(CIFAR, 10).eval(), torch.empty(1, *CIFAR)
    with FlopCounterMode(display=False) as counter:
        model(x)
    alike, first, head = 64 * 128 * 9 * 32 * 32, 3 * 64 * 9 * 32 * 32, 512 * 10
    assert counter.get_total_flops() == 2 * (5 * alike + first + head)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("side", [8, 11, 32])
def test_resnet9_computes_what_its_layers_written_out_compute(skip: bool, side: int):
    model = small((3, side, side), skip=skip).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that are not 0 and 1
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    state = model.state_dict()
    x = torch.randn(4, 3, side, side)

    def layer(h: Tensor, name: str, pool: bool = False) -> Tensor:
        h = F.conv2d(h, state[f"{name}.conv.weight"], padding=1)
        h = F.max_pool2d(h, 2) if pool else h
        mean, var, weight, bias = (
            state[f"{name}.norm.{k}"].view(1, -1, 1, 1)
            for k in ("running_mean", "running_var", "weight", "bias")
        )
        return F.relu((h - mean) / (var + 1e-5).sqrt() * weight + bias)

    h = layer(layer(x, "stem"), "down1", pool=True)
    branch = layer(layer(h, "branch1.0"), "branch1.1")
    h = h + branch if skip else branch
    h = layer(layer(h, "down2", pool=True), "down3", pool=True)
    branch = layer(layer(h, "branch3.0"), "branch3.1")
    h = h + branch if skip else branch
    assert h.shape[2:] == (side // 8, side // 8)
    expected = 0.125 * F.adaptive_max_pool2d(h, 1).flatten(1) @ state["head.weight"].T
    torch.testing.assert_close(model(x), expected)


def test_logits_are_linear_in_the_scale():
    x = torch.randn(4, 1, 8, 8)
    one, other = (small(logit_scale=s).eval()(x) for s in (1.0, 0.25))
    torch.testing.assert_close(0.25 * one, other)
    assert one.abs().max() > 0.1


def test_a_bright_square_is_scored_alike_8_pixels_further():
    # A shift by whole pools moves the features, whose places the last one forgets.
    model = small((1, 64, 64)).eval()
    x = torch.zeros(2, 1, 64, 64)
    x[0, :, 24:32, 24:32] = x[1, :, 32:40, 24:32] = 1.0
    logits = model(x)
    torch.testing.assert_close(logits[0], logits[1])
    assert not torch.allclose(logits[0], model(0 * x)[0])


def test_dropout_hides_features_in_training_only():
    model = small(dropout=0.5)
    x = torch.randn(4, 1, 8, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_images_of_fewer_than_8_pixels_are_refused():
    with pytest.raises(ValueError, match=r"shape \[1, 7, 8\], expected at least 8 pix"):
        ResNet9((1, 7, 8), 10)


@pytest.mark.parametrize("skip", [True, False])
def test_without_norm_logits_start_at_a_trainable_size(skip: bool):
    scale = small(CIFAR, norm="none", skip=skip, width=0.5)(torch.randn(8, *CIFAR))
    assert 0.01 < scale.std().item() < 10


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_second_derivatives_of_relu_and_pooling_match_differences(norm: str):
    # Piecewise smooth: between kinks the product is the difference of gradients.
    model = small(norm=norm).double().eval()
    x = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    labels = torch.arange(6)
    parameters = list(model.parameters())
    v = [torch.randn_like(p) for p in parameters]

    def gradient(create_graph: bool = False) -> tuple[Tensor, ...]:
        loss = F.cross_entropy(model(x), labels)
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    def shifted(eps: float) -> tuple[Tensor, ...]:
        with torch.no_grad():
            for p, d in zip(parameters, v, strict=True):
                p.add_(d, alpha=eps)
        return gradient()

    product = torch.autograd.grad(gradient(True), parameters, v)
    up, down = shifted(1e-7), shifted(-2e-7)
    flat, expected = (
        torch.cat([t.flatten() for t in ts])
        for ts in (product, [(a - b) / 2e-7 for a, b in zip(up, down, strict=True)])
    )
    assert flat.isfinite().all()
    assert flat.abs().max() > 1e-3
    torch.testing.assert_close(
        flat, expected, rtol=1e-4, atol=1e-4 * float(flat.abs().max())
    )
