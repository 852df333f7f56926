import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.models.layers import (
    BatchNorm,
    Dropout,
    GroupNorm,
    Linear,
    enter,
    granule,
    stacked_norm,
)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("inputs", "outputs"), [(64, 32), (7, 10), (1, 3)])
def test_linear_equals_one_affine_map_a_run(inputs: int, outputs: int) -> None:
    layer = Linear(3, inputs, outputs)
    layer.bias.data = randn(3, outputs)
    x = randn(3, 5, inputs, seed=1)
    expected = [F.linear(x[s], layer.weight[s].T, layer.bias[s]) for s in range(3)]
    torch.testing.assert_close(layer(x), torch.stack(expected))


def test_linear_weights_are_uniform_within_the_bound_and_biases_zero() -> None:
    torch.manual_seed(0)
    layer = Linear(2, 300, 200, gain=2**0.5)
    bound = (2 * 3 / 300) ** 0.5
    assert layer.weight.abs().max() <= bound
    # The variance of U(-a, a) is a^2 / 3, here gain^2 / in = 2 / 300.
    assert layer.weight.var().item() == pytest.approx(2 / 300, rel=0.02)
    assert not layer.bias.any()


def test_enter_pads_rows_with_zeros_and_reorders_features() -> None:
    x = torch.arange(12.0).view(1, 3, 1, 2, 2)
    rows = enter(x, 4, torch.tensor([0, 2, 1, 3]))
    assert rows[0].tolist() == [[0, 2, 1, 3], [4, 6, 5, 7], [8, 10, 9, 11], [0] * 4]


def test_enter_keeps_an_expanded_batch_expanded() -> None:
    x = randn(1, 3, 1, 4, 4).expand(5, -1, -1, -1, -1)
    rows = enter(x, 4)
    assert rows.shape == (5, 4, 16)
    assert rows.stride(0) == 0


@pytest.mark.parametrize(
    ("features", "multiple"), [((64,), 2), ((2, 64), 16), ((3,), 32)]
)
def test_granule_aligns_every_row_length(
    features: tuple[int, ...], multiple: int
) -> None:
    assert granule(*features) == multiple
    assert all(multiple * f % 32 == 0 for f in features)


def test_batch_norm_equals_torch_in_training_and_evaluation() -> None:
    ours, theirs = BatchNorm(3, 5), [nn.BatchNorm1d(5) for _ in range(3)]
    ours.weight.data, ours.bias.data = randn(3, 5, seed=1), randn(3, 5, seed=2)
    for s, norm in enumerate(theirs):
        norm.weight.data, norm.bias.data = ours.weight[s].data, ours.bias.data[s]
    for step in range(3):
        x = 3 * randn(3, 8, 5, seed=10 + step) + 1
        expected = torch.stack([n(x[s, :6]) for s, n in enumerate(theirs)])
        # Rows 6 and 7 are padding and must not count.
        torch.testing.assert_close(ours(x, 6)[:, :6], expected)
    for name in ("running_mean", "running_var"):
        expected = torch.stack([getattr(n, name) for n in theirs])
        torch.testing.assert_close(getattr(ours, name), expected)
    ours.eval()
    expected = torch.stack([n.eval()(x[s]) for s, n in enumerate(theirs)])
    torch.testing.assert_close(ours(x, 8), expected)


def test_batch_norm_updates_its_buffers_in_place() -> None:
    norm = BatchNorm(2, 3)
    before = norm.running_var
    norm(randn(2, 4, 3), 4)
    assert norm.running_var is before
    assert not torch.equal(before, torch.ones(2, 3))


def test_batch_norm_refuses_one_row_in_training() -> None:
    with pytest.raises(ValueError, match="1 value a feature, expected at least 2"):
        BatchNorm(2, 3)(randn(2, 4, 3), 1)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_equals_torch_on_images(groups: int) -> None:
    ours = GroupNorm(2, 6, groups, positions=4)
    ours.weight.data, ours.bias.data = randn(2, 6, seed=1), randn(2, 6, seed=2)
    images = randn(2, 3, 6, 4, seed=3)  # [S, B, C, N]
    expected = [
        F.group_norm(images[s], groups, ours.weight[s], ours.bias[s]) for s in range(2)
    ]
    rows = images.transpose(2, 3).reshape(2, 12, 6)
    got = ours(rows, 12).view(2, 3, 4, 6).transpose(2, 3)
    torch.testing.assert_close(got, torch.stack(expected))


def test_layer_norm_of_points_equals_torch() -> None:
    norm = stacked_norm("layer", 2, 16, 1)
    assert norm is not None
    x = randn(2, 5, 16)
    torch.testing.assert_close(norm(x, 5), F.layer_norm(x, (16,)))


def test_dropout_zeroes_the_right_share_and_rescales_the_rest() -> None:
    layer = Dropout(0.25)
    layer.generators = [torch.Generator().manual_seed(s) for s in range(2)]
    y = layer(torch.ones(2, 100, 200))
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    # 20 000 draws a run: the standard error of the share is 0.003.
    assert (y == 0).float().mean((1, 2)).tolist() == pytest.approx(
        [0.25, 0.25], abs=0.012
    )
    assert not torch.equal(y[0], y[1])
    assert torch.equal(layer.eval()(y), y)


@pytest.mark.parametrize("given", [None, 1])
def test_dropout_in_training_needs_one_generator_a_run(given: int | None) -> None:
    layer = Dropout(0.5)
    layer.generators = None if given is None else [torch.Generator()] * given
    with pytest.raises(ValueError, match="of the 3 generators it needs"):
        layer(torch.ones(3, 2, 2))


def test_dropout_probability_must_be_below_one() -> None:
    with pytest.raises(
        ValueError, match=r"dropout is 1.0, expected a number in \[0, 1"
    ):
        Dropout(1.0)
