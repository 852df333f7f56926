"""Parameter counts of ordinary models against torchvision, papers and formulas."""

from typing import Any

import pytest
import torch
from torch import nn

from harness.models import VisionTransformer, resnet18, resnet20, vgg, wrn
from harness.models.vgg import CONVOLUTIONS

CIFAR = (3, 32, 32)


def count(
    build: Any, in_shape: tuple[int, ...] = CIFAR, classes: int = 10, **options: Any
) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build(in_shape, classes, **options).parameters())


def test_resnet18_computes_what_torchvision_computes_with_a_cifar_stem() -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    ours = resnet18(CIFAR, 10)
    state = list(theirs.state_dict().values())
    assert [v.shape for v in ours.state_dict().values()] == [v.shape for v in state]
    ours.load_state_dict(dict(zip(ours.state_dict(), state, strict=True)))
    x = torch.randn(2, *CIFAR)
    torch.testing.assert_close(ours(x), theirs(x))
    assert count(resnet18) == sum(p.numel() for p in theirs.parameters()) == 11_173_962


def test_resnet20_has_the_parameters_of_the_formula() -> None:
    def stage(c_in: int, c: int) -> int:
        return 9 * c_in * c + 5 * 9 * c * c + 6 * 2 * c

    expected = 9 * 3 * 16 + 2 * 16 + stage(16, 16) + stage(16, 32) + stage(32, 64) + 650
    assert count(resnet20) == expected == 269_722


@pytest.mark.parametrize(
    ("depth", "widen", "published"),
    [(16, 4, 2.7), (16, 8, 11.0), (28, 10, 36.5), (40, 2, 2.2), (16, 10, 17.1)],
)
def test_wrn_has_the_millions_of_parameters_of_the_paper(
    depth: int, widen: int, published: float
) -> None:
    # Zagoruyko & Komodakis 2016, tables 2, 4 and 5.
    assert round(count(wrn, depth=depth, widen=widen) / 1e6, 1) == published


def test_wrn_16_4_has_the_parameters_of_the_formula() -> None:
    def stage(c_in: int, c: int) -> int:
        convs = 9 * c_in * c + 3 * 9 * c * c + c_in * c
        return convs + 2 * (c_in + 3 * c)

    expected = 9 * 3 * 16 + stage(16, 64) + stage(64, 128) + stage(128, 256) + 2 * 256
    assert count(wrn) == expected + 2570 == 2_748_890


def test_wrn_refuses_a_depth_that_no_block_count_gives() -> None:
    with pytest.raises(ValueError, match="depth is 18, expected 6 n \\+ 4"):
        wrn(CIFAR, 10, depth=18)


@pytest.mark.parametrize("depth", sorted(CONVOLUTIONS))
def test_vgg_has_the_features_of_torchvision(depth: int) -> None:
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        features = getattr(torchvision.models, f"vgg{depth}")().features
    theirs = sum(p.numel() for p in features.parameters())
    assert count(vgg, depth=depth, norm="none") == theirs + 512 * 10 + 10


def test_vgg_refuses_other_depths() -> None:
    with pytest.raises(ValueError, match=r"depth is 12, expected one of \[11, 13, 16"):
        vgg(CIFAR, 10, depth=12)


def test_vit_has_the_parameters_of_the_formula() -> None:
    d = 192
    block = 2 * 2 * d + 4 * d * (d + 1) + d * 4 * d + 4 * d + 4 * d * d + d
    expected = 48 * d + d + 64 * d + 6 * block + 2 * d + d * 10 + 10
    assert count(VisionTransformer) == expected == 2_693_194


def test_vit_attention_equals_torch_multihead_attention() -> None:
    torch.manual_seed(0)
    model = VisionTransformer((1, 8, 8), 3, dim=12, heads=3, depth=1)
    ours = model.blocks[0].attention
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.in_proj_weight.data = ours.qkv.weight.data
    theirs.in_proj_bias.data = ours.qkv.bias.data
    theirs.out_proj.weight.data = ours.out.weight.data
    theirs.out_proj.bias.data = ours.out.bias.data
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_vit_refuses_patches_and_heads_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="patch is 5, expected a divisor of"):
        VisionTransformer(CIFAR, 10, patch=5)
    with pytest.raises(ValueError, match="heads is 5, expected a divisor of dim"):
        VisionTransformer(CIFAR, 10, heads=5)


@pytest.mark.parametrize("build", [resnet18, resnet20, vgg, wrn])
def test_width_multiplies_channels(build: Any) -> None:
    option = "widen" if build is wrn else "width"
    narrow, wide = (count(build, **{option: w}) for w in (1, 2))
    # Nearly all parameters sit in convolutions, quadratic in the width.
    assert 3.5 < wide / narrow < 4.1


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("build", [resnet18, resnet20, wrn])
def test_without_norm_logits_start_at_a_trainable_size(build: Any, skip: bool) -> None:
    torch.manual_seed(0)
    options = {"widen": 1} if build is wrn else {"width": 0.5}
    model = build(CIFAR, 10, norm="none", skip=skip, **options)
    scale = model(torch.randn(8, *CIFAR)).std().item()
    assert 0.01 < scale < 10
