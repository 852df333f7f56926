"""Sums from rows, against those of the gradients themselves."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.cohort import CohortNet
from harness.landscape import Landscape, Passes
from harness.noise.gradient_moments import GradientMoments, gradient_moments
from harness.noise.linear_moments import linear_moments
from harness.noise.noise_scale import noise_scale
from harness.noise.tail_index import noise_tail_index
from harness.spec import Part

CLASSES = 5
SHAPE = (1, 6, 7)
NETS: dict[str, Part] = {
    "patchnet": Part("patchnet", {"width": 0.5}),
    "padded patchnet": Part("patchnet", {"width": 0.3, "skip": True, "depth": 2}),
    "mlp": Part("mlp", {"width": 24, "depth": 1}),
    "residual mlp": Part("mlp", {"width": 17, "depth": 2, "skip": True}),
}
EVERY = pytest.mark.parametrize("name", NETS)


pytestmark = pytest.mark.usefixtures("one_thread")


def cohort(name: str, runs: int = 3, shape: tuple[int, ...] = SHAPE) -> CohortNet:
    device = torch.device("cpu")
    net = CohortNet(NETS[name], range(runs), shape, CLASSES, device=device)
    net.params += 0.01  # biases are not zero after some training
    return net


def images(count: int, shape: tuple[int, ...] = SHAPE) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(count)
    inputs = torch.randn(count, *shape, generator=numbers)
    return inputs, torch.randint(CLASSES, (count,), generator=numbers)


def layers(net: CohortNet) -> list[tuple[str, int]]:
    module, rows = net.modules()[0]
    return [(k, p.numel() // rows.stop) for k, p in module.named_parameters()]


def by_gradients(net: CohortNet, there: Landscape, size: int) -> GradientMoments:
    blocks = list(there.microbatch_gradients(size))
    return gradient_moments(blocks, images=size, layers=layers(net), logs=False)


def both(
    net: CohortNet, x: Tensor, y: Tensor, size: int, precision: str = "float32"
) -> tuple[GradientMoments, GradientMoments]:
    there = Landscape(net, x, y, precision=precision)
    found = linear_moments(there, size)
    assert found is not None
    return found, by_gradients(net, there, size)


def arrays(moments: GradientMoments) -> dict[str, np.ndarray]:
    names = ("mean", "mean_squares", "squares", "products", "sum_squares")
    return {name: np.asarray(getattr(moments, name)) for name in names}


def assert_same(found: GradientMoments, expected: GradientMoments, rtol: float) -> None:
    """Compare every number; those that may be 0 by the size of what they come from."""
    assert (found.images, found.layers) == (expected.images, expected.layers)
    norms = np.sqrt(expected.squares * expected.mean_squares[:, None])
    for name, value in arrays(expected).items():
        got = arrays(found)[name]
        assert got.dtype == np.float64
        atol = 0.0
        if name == "products":
            atol = rtol * norms
        elif name == "mean":
            atol = rtol * np.abs(value).max()
        assert got.shape == value.shape
        assert (np.abs(got - value) <= atol + rtol * np.abs(value)).all(), name
    assert found.logs is found.sum_logs is found.live is None


@EVERY
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize(("count", "size"), [(23, 1), (16, 1), (44, 4), (6, 3)])
def test_sums_are_those_of_the_gradients(name, runs, count, size):
    net = cohort(name, runs)
    assert_same(*both(net, *images(count), size), rtol=1e-5)
    assert_same(*both(net, *images(count), size, "float64"), rtol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "residual mlp"])
def test_sums_are_those_of_the_gradients_for_points(name):
    net = cohort(name, shape=(2,))
    assert_same(*both(net, *images(12, (2,)), 1, "float64"), rtol=1e-10)


def test_sums_are_those_of_the_gradients_in_many_windows_and_blocks():
    net = cohort("mlp", runs=2)
    assert_same(*both(net, *images(270), 1, "float64"), rtol=1e-10)
    shape = (2, 16, 16)
    part = Part("mlp", {"width": 512, "depth": 1})
    wide = CohortNet(part, range(1), shape, CLASSES, device=torch.device("cpu"))
    assert_same(*both(wide, *images(27, shape), 1), rtol=1e-5)
    x, y = images(1, shape)
    alike = (x.expand(27, *shape), y.expand(27))
    assert_same(*both(wide, *alike, 1), rtol=1e-5)


def test_sums_are_those_of_a_plain_loop_over_images():
    net = cohort("patchnet", runs=2)
    x, y = images(10)
    module = copy.deepcopy(net.modules()[0][0]).double().eval()
    rows = []
    for image, label in zip(x.double(), y, strict=True):
        logits = module(image.expand(2, 1, *SHAPE))[:, 0]
        loss = F.cross_entropy(logits, label.expand(2), reduction="sum")
        pieces = torch.autograd.grad(loss, list(module.parameters()))
        rows.append(torch.cat([piece.reshape(2, -1) for piece in pieces], 1))
    g = torch.stack(rows, 1)
    mean = g.mean(1)
    h = g - mean[:, None]
    sums = h[:, :9].reshape(2, 3, 3, -1).sum(2)
    found = linear_moments(Landscape(net, x, y, precision="float64"))
    assert found is not None
    for name, value in {
        "mean_squares": mean.square().sum(-1),
        "squares": h.square().sum(-1),
        "products": (h * mean[:, None]).sum(-1),
        "sum_squares": sums.square().sum(-1),
    }.items():
        got = found.of(getattr(found, name), None)
        np.testing.assert_allclose(got, value, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-10, atol=1e-14)


@EVERY
@pytest.mark.parametrize(("count", "size"), [(23, 1), (101, 1), (21, 3)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_is_the_same_bit_for_bit_alone_and_in_company(
    name, count, size, precision
):
    data = images(count)
    together = linear_moments(
        Landscape(cohort(name, 4), *data, precision=precision), size
    )
    alone = linear_moments(Landscape(cohort(name, 1), *data, precision=precision), size)
    assert together is not None
    assert alone is not None
    for key, value in arrays(alone).items():
        assert np.array_equal(arrays(together)[key][:1], value), key


@EVERY
def test_gradients_without_noise_have_none(name):
    net = cohort(name)
    x, y = images(1)
    found, _ = both(net, x.expand(100, *SHAPE), y.expand(100), 1)
    # Rows of equal images may differ in their last bits: at most 1e-6 of the gradient.
    assert (found.squares <= 1e-12 * found.mean_squares[:, None]).all()
    assert (found.squares >= 0).all()
    single = linear_moments(Landscape(net, x, y))
    assert single is not None
    assert single.count == 1
    assert (single.squares == 0).all()
    assert (single.sum_squares == 0).all()


@EVERY
@pytest.mark.parametrize("scale", [1e-2, 1e-3, 1e-4, 1e-5])
def test_little_noise_keeps_its_digits(name, scale):
    """Noise is 1e-4 to 1e-10 of the gradients' squares, where differences end."""
    net = cohort(name)
    x, y = images(20)
    x, y = x[:1] + scale * x, y[:1].expand(20)
    found, expected = both(net, x, y, 1, "float64")
    assert_same(found, expected, rtol=1e-6)
    part = np.median(found.squares / found.mean_squares[:, None])
    assert 0.01 * scale**2 < part < 10 * scale**2


def test_one_run_with_little_noise_changes_no_other():
    """The first layer of run 1 sees no image, so that all its gradients are alike."""
    net = cohort("mlp", runs=2)
    x, y = images(20)
    y = y[:1].expand(20)
    weight = SHAPE[1] * SHAPE[2] * 24
    net.params[1, :weight] = 0
    found, expected = both(net, x, y, 1)
    head = found.layers.index("head.weight")
    assert (found.squares[1, :, head] == 0).all()
    assert_same(found, expected, rtol=1e-5)
    alone = linear_moments(Landscape(cohort("mlp", 1), x, y))
    assert alone is not None
    for key, value in arrays(alone).items():
        assert np.array_equal(arrays(found)[key][:1], value), key


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_run_is_lost_alone(bad):
    net = cohort("patchnet")
    net.params[1, 5:9] = bad
    found = linear_moments(Landscape(net, *images(20)))
    sound = linear_moments(Landscape(cohort("patchnet"), *images(20)))
    assert found is not None
    assert sound is not None
    for key, value in arrays(sound).items():
        assert np.isnan(arrays(found)[key][1]).all(), key
        assert np.array_equal(arrays(found)[key][::2], value[::2]), key


def test_readings_agree_with_those_of_the_gradients():
    net = cohort("patchnet")
    found, expected = both(net, *images(100), 1)
    for layer in (None, *found.layers):
        pairs = [
            (noise_tail_index(m, layer), noise_scale(m, layer))
            for m in (found, expected)
        ]
        (tail, scale), (other_tail, other_scale) = pairs
        got = [tail, *scale.values()]
        for one, other in zip(got, [other_tail, *other_scale.values()], strict=True):
            assert (one.status == other.status).all()
            np.testing.assert_allclose(one.value, other.value, rtol=1e-4)


@EVERY
def test_bfloat16_is_as_noisy_as_that_of_the_gradients(name):
    rough, rounded = both(cohort(name), *images(32), 2, "bfloat16")
    exact, _ = both(cohort(name), *images(32), 2)
    for key in ("squares", "sum_squares", "mean_squares"):
        ours, theirs, truth = (arrays(m)[key] for m in (rough, rounded, exact))
        assert np.median(np.abs(ours / theirs - 1)) < 0.01
        assert 0 < np.abs(ours / truth - 1).mean() < 0.02


def test_passes_are_those_of_one_gradient_an_image():
    net = cohort("mlp")
    there = Landscape(net, *images(270))
    linear_moments(there)
    assert there.passes == Passes(270, 270)


@pytest.mark.parametrize(
    "part",
    [
        Part("patchnet", {"norm": "batch"}),
        Part("patchnet", {"norm": "group"}),
        Part("mlp", {"norm": "layer"}),
        Part("resnet20", {"width": 0.1}),
        Part("vit", {"patch": 2, "dim": 4, "depth": 1, "heads": 2}),
    ],
    ids=lambda part: part.name + str(part.params.get("norm", "")),
)
def test_it_does_not_apply_to_other_parameters(part):
    shape = (1, 8, 8)
    net = CohortNet(part, range(1), shape, CLASSES, device=torch.device("cpu"))
    there = Landscape(net, *images(4, shape))
    assert linear_moments(there) is None
    assert there.passes == Passes(0, 0)


def test_micro_batches_that_leave_images_over_are_refused():
    there: Any = Landscape(cohort("mlp"), *images(10))
    for size in (0, 3, 11):
        with pytest.raises(ValueError, match=f"size is {size}, expected a divisor"):
            linear_moments(there, size)
