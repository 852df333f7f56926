import pytest
import torch
from torch import nn

from harness.models import Mlp


def plain(stacked: Mlp, run: int) -> nn.Sequential:
    """The same network as ordinary torch layers, for relu without extras."""
    layers: list[nn.Module] = [nn.Flatten()]
    for ours in [*stacked.hidden, stacked.head]:
        theirs = nn.Linear(*ours.weight.shape[1:])
        theirs.weight.data = ours.weight.data[run].T.clone()
        theirs.bias.data = ours.bias.data[run].clone()
        layers += [theirs, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("in_shape", [(1, 8, 8), (2,), (3, 5, 7)])
def test_mlp_equals_ordinary_layers_run_by_run(in_shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = Mlp(3, in_shape, 10, width=20, depth=2)
    x = torch.randn(3, 5, *in_shape)
    expected = torch.stack([plain(model, s)(x[s]) for s in range(3)])
    torch.testing.assert_close(model(x), expected)


def test_mlp_has_the_parameters_of_the_formula() -> None:
    model = Mlp(4, (1, 8, 8), 10, width=64, depth=2)
    assert sum(p[0].numel() for p in model.parameters()) == 64 * 65 * 2 + 65 * 10
    normed = Mlp(4, (2,), 2, width=16, depth=3, norm="batch")
    expected = 2 * 16 + 2 * 16 * 16 + 3 * 2 * 16 + 17 * 2
    assert sum(p[0].numel() for p in normed.parameters()) == expected


def test_skips_join_layers_of_equal_width_only() -> None:
    model = Mlp(1, (2,), 2, width=8, depth=3, skip=True)
    assert model.skips == [False, True, True]
    with torch.no_grad():
        for linear in model.hidden[1:]:
            linear.weight.zero_()
    # Dead residual branches leave the first hidden layer untouched.
    x = torch.randn(1, 4, 2)
    first = model.hidden[0](x).relu()
    torch.testing.assert_close(model(x), model.head(first))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_deep_networks_without_norm_neither_vanish_nor_explode(
    name: str, skip: bool
) -> None:
    torch.manual_seed(0)
    model = Mlp(2, (1, 8, 8), 10, width=64, depth=16, activation=name, skip=skip)
    scale = model(torch.randn(2, 64, 1, 8, 8)).std().item()
    assert 0.1 < scale < 10


def test_unknown_options_list_the_choices() -> None:
    with pytest.raises(ValueError, match="activation is 'rlu', expected one of relu"):
        Mlp(1, (2,), 2, activation="rlu")
    with pytest.raises(ValueError, match="norm is 'bn', expected one of batch, group"):
        Mlp(1, (2,), 2, norm="bn")
    with pytest.raises(ValueError, match="depth is 0, expected a whole number"):
        Mlp(1, (2,), 2, depth=0)
