import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.models import PatchNet
from harness.models.patchnet import quad_tree


def plain(
    model: PatchNet, run: int, x: Tensor, norm: str = "none", skip: bool = False
) -> Tensor:
    """The same network with torch convolutions, on padded images [B, C, H, W]."""
    for index, stage in enumerate(model.stages):
        taps, out = stage.weight.shape[1:]
        kernel = stage.weight[run].view(2, 2, taps // 4, out).permute(3, 2, 0, 1)
        h = F.conv2d(
            x, kernel, None if stage.bias is None else stage.bias[run], stride=2
        )
        if norm == "batch":
            h = F.batch_norm(h, None, None, training=True)
        elif norm != "none":
            h = F.group_norm(h, 1 if norm == "layer" else 8)
        h = h.relu()
        if skip and index:
            mean = F.avg_pool2d(x, 2)
            h = h + F.pad(mean, (0, 0, 0, 0, 0, out - mean.shape[1]))
        x = h
    features = x.permute(0, 2, 3, 1).flatten(1)  # positions, then channels
    return features @ model.head.weight[run] + model.head.bias[run]


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group"])
@pytest.mark.parametrize(
    ("in_shape", "depth", "skip"),
    [((1, 8, 8), 2, False), ((3, 16, 8), 3, True), ((3, 8, 8), 1, False)],
)
def test_patchnet_equals_torch_convolutions(
    in_shape: tuple[int, ...], depth: int, skip: bool, norm: str
) -> None:
    torch.manual_seed(0)
    model = PatchNet(2, in_shape, 10, depth=depth, norm=norm, skip=skip)
    for stage in model.stages:
        if norm == "none":
            torch.nn.init.normal_(stage.bias)
    x = torch.randn(2, 5, *in_shape)
    expected = [plain(model, s, x[s], norm, skip) for s in range(2)]
    torch.testing.assert_close(model(x), torch.stack(expected), atol=2e-5, rtol=1e-4)


def test_gradients_equal_those_of_torch_convolutions() -> None:
    torch.manual_seed(0)
    model = PatchNet(2, (1, 8, 8), 10)
    x = torch.randn(2, 7, 1, 8, 8)
    parameters = list(model.parameters())
    ours = torch.autograd.grad(model(x).square().sum(), parameters)
    loss = sum(plain(model, s, x[s]).square().sum() for s in range(2))
    theirs = torch.autograd.grad(loss, parameters)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_sides_that_do_not_divide_are_padded_below_and_right() -> None:
    torch.manual_seed(0)
    model = PatchNet(2, (1, 7, 9), 10)
    x = torch.randn(2, 3, 1, 7, 9)
    padded = F.pad(x, (0, 3, 0, 1))
    expected = [plain(model, s, padded[s]) for s in range(2)]
    torch.testing.assert_close(model(x), torch.stack(expected))


def test_quad_tree_order_of_a_4x4_image_written_by_hand() -> None:
    # 2x2 blocks, top left first, each row by row; they form the only larger block.
    expected = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    assert quad_tree(1, 4, 4, 2).tolist() == expected
    assert quad_tree(2, 2, 2, 1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_default_network_has_the_parameters_of_the_formula() -> None:
    model = PatchNet(2, (1, 8, 8), 10)
    assert [tuple(p.shape[1:]) for p in model.parameters()] == [
        *[(4, 32), (32,), (128, 64), (64,), (256, 10), (10,)]
    ]
    assert sum(p[0].numel() for p in model.parameters()) == 10_986


def test_width_scales_channels() -> None:
    model = PatchNet(1, (1, 8, 8), 10, width=0.5)
    assert [s.weight.shape[2] for s in model.stages] == [16, 32]
    with pytest.raises(ValueError, match="width is 0, expected a multiplier"):
        PatchNet(1, (1, 8, 8), 10, width=0)


def test_points_are_refused() -> None:
    with pytest.raises(ValueError, match="expected \\(C, H, W\\): use 'mlp'"):
        PatchNet(1, (2,), 2)
