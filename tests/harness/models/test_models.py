"""Contract of every registered model."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import harness.models
from harness.models.layers import Dropout
from harness.registry import MODELS, settable

NAMES = MODELS.names()
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"width": 16},
    "patchnet": {"width": 0.25},
    "resnet18": {"width": 0.125},
    "resnet20": {"width": 0.5},
    "resnet9": {"width": 0.125},
    "vgg": {"width": 0.125},
    "vit": {"dim": 24, "depth": 2},
    "wrn": {"widen": 1},
}
SHAPES = [(3, 32, 32), (1, 32, 32), (3, 48, 48), (3, 64, 64), (1, 8, 8)]


def is_stacked(name: str) -> bool:
    return next(iter(inspect.signature(MODELS.get(name)).parameters)) == "num_runs"


def build(
    name: str,
    in_shape: tuple[int, ...] = (3, 32, 32),
    classes: int = 10,
    **options: Any,
) -> nn.Module:
    torch.manual_seed(0)
    lead = (2,) if is_stacked(name) else ()
    model: nn.Module = MODELS.get(name)(
        *lead, in_shape, classes, **{**SMALL.get(name, {}), **options}
    )
    return model


def inputs(
    name: str, in_shape: tuple[int, ...] = (3, 32, 32), batch: int = 4
) -> Tensor:
    lead = (2, batch) if is_stacked(name) else (batch,)
    return torch.randn(*lead, *in_shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("in_shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_logits_have_the_right_shape(name: str, in_shape: tuple[int, ...]) -> None:
    x = inputs(name, in_shape)
    logits = build(name, in_shape, 7)(x)
    assert logits.shape == (*x.shape[: x.dim() - 3], 7)
    assert logits.isfinite().all()


def variants() -> list[Any]:
    """Each model with each of its norms, skips and activations."""
    choices = {
        "norm": ("batch", "group", "layer", "none"),
        "skip": (True, False),
        "activation": ("gelu", "silu", "tanh"),
    }
    found = [(name, {}) for name in NAMES]
    for name in NAMES:
        for option in settable(MODELS.get(name)).keys() & choices.keys():
            values = choices[option]
            if (name, option) == ("vit", "norm"):
                values = ("layer", "none")
            found += [(name, {option: value}) for value in values]
            if option == "skip":
                found += [(name, {"skip": v, "norm": "none"}) for v in values]
    return [pytest.param(n, o, id=f"{n}-{o}") for n, o in sorted(found, key=str)]


@pytest.mark.parametrize(("name", "options"), variants())
def test_gradient_reaches_every_parameter(name: str, options: dict[str, Any]) -> None:
    model = build(name, (3, 16, 16), **options)
    model(inputs(name, (3, 16, 16))).square().sum().backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.isfinite().all(), label
        assert parameter.grad.any(), label


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_network(name: str) -> None:
    first, second = build(name).state_dict(), build(name).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("name", [n for n in NAMES if is_stacked(n)])
def test_everything_in_a_stacked_model_has_a_run_axis(name: str) -> None:
    model = build(name, norm="batch")
    state = [*model.parameters(), *model.buffers()]
    assert len(state) > 6
    assert all(len(t) == 2 for t in state)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_repeatable_and_changes_nothing(name: str) -> None:
    model = build(name, dropout=0.5)
    x = inputs(name)
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generators = [torch.Generator().manual_seed(s) for s in range(2)]
    assert not torch.equal(model(x), model(x))
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert torch.equal(model(x), model(x))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("option", ["activation", "norm"])
@pytest.mark.parametrize("name", NAMES)
def test_unknown_choices_are_listed(name: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is 'nothing', expected one of "):
        build(name, **{option: "nothing"})


SKIPPING = [n for n in NAMES if "skip" in settable(MODELS.get(n))]
PLAIN = [(name, {}) for name in NAMES if name not in SKIPPING]
EITHER = [(name, {"skip": skip}) for name in SKIPPING for skip in (True, False)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), PLAIN + EITHER)
def test_networks_without_norm_train(name: str, options: dict[str, bool]) -> None:
    model = build(name, (1, 8, 8), norm="none", **options)
    x = inputs(name, (1, 8, 8), 16)
    labels = torch.arange(x[..., 0, 0, 0].numel()) % 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        loss = nn.functional.cross_entropy(model(x).reshape(-1, 10), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.25:  # half of what is asked
            break
    assert loss.item() < 0.5  # chance is ln 10 = 2.3


SMOOTH = [n for n in NAMES if "activation" in settable(MODELS.get(n))]


@pytest.mark.parametrize("name", SMOOTH)
def test_hessian_vector_products_match_differences_of_gradients(name: str) -> None:
    model = build(name, (1, 8, 8), 3, activation="tanh").double().eval()
    x = inputs(name, (1, 8, 8)).double()
    parameters = list(model.parameters())
    generator = torch.Generator().manual_seed(2)
    v = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]

    def gradient(create_graph: bool = False) -> tuple[Tensor, ...]:
        loss = model(x).logsumexp(-1).square().sum()
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    def shifted(eps: float) -> tuple[Tensor, ...]:
        with torch.no_grad():
            for p, d in zip(parameters, v, strict=True):
                p.add_(d, alpha=eps)
        return gradient()

    with sdpa_kernel(SDPBackend.MATH):
        dot = sum((g * d).sum() for g, d in zip(gradient(True), v, strict=True))
        product = torch.autograd.grad(dot, parameters)
        eps = 1e-6
        up, down = shifted(eps), shifted(-2 * eps)
    for hv, a, b in zip(product, up, down, strict=True):
        expected = (a - b) / (2 * eps)
        scale = expected.abs().max().clamp_min(1e-3).item()
        torch.testing.assert_close(hv, expected, atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
@pytest.mark.parametrize("name", [n for n in NAMES if is_stacked(n)])
def test_forward_over_reverse_equals_double_backward(name: str) -> None:
    model = build(name, (1, 8, 8), 3, norm="batch", activation="gelu").double().eval()
    x = inputs(name, (1, 8, 8)).double()
    theta = dict(model.named_parameters())
    v = {k: torch.randn_like(p) for k, p in theta.items()}

    def loss(values: dict[str, Tensor]) -> Tensor:
        logits: Tensor = torch.func.functional_call(model, values, (x,))
        return logits.logsumexp(-1).square().sum()

    _, forward = torch.func.jvp(torch.func.grad(loss), (theta,), (v,))
    first = torch.autograd.grad(loss(theta), list(theta.values()), create_graph=True)
    dot = sum((g * d).sum() for g, d in zip(first, v.values(), strict=True))
    backward = torch.autograd.grad(dot, list(theta.values()))
    torch.testing.assert_close(tuple(forward.values()), backward)


def test_the_package_exports_what_it_says() -> None:
    names = harness.models.__all__
    assert names == sorted(names)
    assert all(hasattr(harness.models, name) for name in names)
    assert {MODELS.get(n).__name__ for n in NAMES} == set(names)
