"""Augmentation against torchvision image by image, naive loops and expected counts."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from harness.augment import randaugment
from harness.registry import AUGMENTATIONS, complete
from harness.seeds import stream

SIGNED = {
    *("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"),
    *("Brightness", "Color", "Contrast", "Sharpness"),
}
NUM_DRAWS = 28
"""Fourteen operations with two signs."""


def build(name, **arguments):
    return AUGMENTATIONS.get(name)(**arguments)


def only(magnitude):
    """One operation without crop and mirror."""
    return build("randaugment", num_ops=1, magnitude=magnitude, pad=0, flip=False)


def forced(draw, n):
    """Uniforms that make every sample draw `draw`."""
    numbers = torch.zeros(n, 4)
    numbers[:, 3] = (draw + 0.5) / NUM_DRAWS
    return numbers


def numbers_for(augment, n, seed=0):
    shape = (n, augment.num_uniforms)
    return torch.from_numpy(stream(seed, "test").random(shape, dtype=np.float32))


def pictures(channels, height, width):
    """Noise, low contrast, one level, a ramp, a gradient, half black."""
    generator = torch.Generator().manual_seed(0)
    shape = (6, channels, height, width)
    x = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
    x[1] = x[1] // 4 + 60
    x[2] = 77
    x[3] = (torch.arange(x[0].numel()) % 256).view(shape[1:]).to(torch.uint8)
    x[4] = torch.linspace(0, 255, width).to(torch.uint8)
    x[5, :, : height // 2] = 0
    return x


@cache
def reference():
    from torchvision.transforms import v2

    return v2.RandAugment()


def expected(image, draw, magnitude):
    """What torchvision's RandAugment does to one image for this draw."""
    from torchvision.transforms import v2

    name = randaugment.OPERATIONS[draw // 2]
    levels, signed = reference()._AUGMENTATION_SPACE[name]
    assert signed == (name in SIGNED)
    level = levels(31, *image.shape[-2:])
    strength = 0.0 if level is None else float(level[magnitude])
    if signed and draw % 2:
        strength *= -1
    return reference()._apply_image_or_video_transform(
        image,
        name,
        strength,
        interpolation=v2.InterpolationMode.NEAREST,
        fill=reference()._fill,
    )


def assert_equal_to_torchvision(shape, magnitude):
    images, augment = pictures(*shape), only(magnitude)
    for draw in range(NUM_DRAWS):
        ours = augment(images, forced(draw, len(images)))
        theirs = torch.stack([expected(i, draw, magnitude) for i in images])
        assert torch.equal(ours, theirs), randaugment.OPERATIONS[draw // 2]


def test_the_operations_are_those_of_torchvision():
    assert list(randaugment.OPERATIONS) == list(reference()._AUGMENTATION_SPACE)


@pytest.mark.parametrize("magnitude", [0, 4, 9, 12, 30])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 19, 28)])
def test_every_operation_equals_torchvision_in_every_pixel(shape, magnitude):
    assert_equal_to_torchvision(shape, magnitude)


@pytest.mark.slow
@pytest.mark.parametrize("magnitude", range(31))
@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 32, 32), (3, 19, 28), (1, 28, 28), (3, 64, 48), (3, 2, 9)]
)
def test_every_operation_at_every_strength_equals_torchvision(shape, magnitude):
    assert_equal_to_torchvision(shape, magnitude)


def test_two_operations_after_a_crop_equal_torchvision_sample_by_sample():
    images = pictures(3, 20, 20).repeat(10, 1, 1, 1)
    augment = build("randaugment")
    uniforms = numbers_for(augment, len(images))
    result = build("crop_flip")(images, uniforms[:, :3])
    for k in (3, 4):
        draws = (uniforms[:, k] * NUM_DRAWS).int().tolist()
        pairs = zip(result, draws, strict=True)
        result = torch.stack([expected(image, draw, 9) for image, draw in pairs])
    assert torch.equal(augment(images, uniforms), result)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8)])
def test_the_path_without_groups_gives_the_same_bits(shape):
    images = pictures(*shape).repeat(20, 1, 1, 1)
    draws = torch.arange(len(images)) % NUM_DRAWS
    plan = randaugment._plan(9, *shape[1:], torch.device("cpu"))
    everywhere = randaugment._everywhere(plan, images, draws)
    assert torch.equal(everywhere, randaugment._by_group(plan, images, draws))


def naive_crop(image, uniforms, pad, flip):
    top, left = (int(u * (2 * pad + 1)) for u in uniforms[:2])
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    crop = padded[:, top : top + image.shape[1], left : left + image.shape[2]]
    return crop[:, :, ::-1] if flip and uniforms[2] < 0.5 else crop


@pytest.mark.parametrize(("pad", "flip"), [(4, True), (2, False), (0, True)])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 10)])
def test_crop_and_mirror_equal_a_naive_loop(shape, pad, flip):
    images = pictures(*shape).repeat(20, 1, 1, 1)
    augment = build("crop_flip", pad=pad, flip=flip)
    uniforms = numbers_for(augment, len(images))
    pairs = zip(images.numpy(), uniforms.numpy(), strict=True)
    naive = np.stack([naive_crop(image, u, pad, flip) for image, u in pairs])
    np.testing.assert_array_equal(augment(images, uniforms).numpy(), naive)


def test_crop_offsets_and_mirror_are_uniform():
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    augment = build("crop_flip", pad=1)
    n = 18_000
    result = augment(image.expand(n, -1, -1, -1), numbers_for(augment, n)).flatten(1)
    kinds, counts = result.unique(dim=0, return_counts=True)
    assert len(kinds) == 18
    assert chisquare(counts.numpy()).pvalue > 0.01


def test_operations_and_signs_are_drawn_uniformly():
    image, augment, n = pictures(3, 20, 20)[:1] // 2 + 64, only(9), 28_000
    kinds = {}
    for draw in range(NUM_DRAWS):
        result = augment(image, forced(draw, 1))
        kinds.setdefault(result.numpy().tobytes(), []).append(draw)
    assert len(kinds) == len(SIGNED) * 2 + 5  # all distinct, so counts can be told
    result = augment(image.expand(n, -1, -1, -1), numbers_for(augment, n)).numpy()
    seen = dict.fromkeys(kinds, 0)
    for sample in result:
        seen[sample.tobytes()] += 1
    likely = [n * len(draws) / NUM_DRAWS for draws in kinds.values()]
    assert chisquare(list(seen.values()), likely).pvalue > 0.01


@pytest.mark.parametrize("name", ["crop_flip", "none", "randaugment"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 36)])
def test_any_chunking_gives_the_same_bits_and_inputs_are_left_alone(name, shape):
    images = pictures(*shape).repeat(250, 1, 1, 1)  # more than one block of 40 x 36
    augment = build(name)
    uniforms = numbers_for(augment, len(images))
    before, numbers = images.clone(), uniforms.clone()
    whole = augment(images, uniforms)
    assert whole.shape == images.shape
    assert whole.dtype == torch.uint8
    assert torch.equal(images, before)
    assert torch.equal(uniforms, numbers)
    for size in (1, 7, 512):
        first = slice(0, 3 * size)
        parts = zip(images[first].split(size), uniforms[first].split(size), strict=True)
        chunked = torch.cat([augment(i, u) for i, u in parts])
        assert torch.equal(chunked, whole[first])


@pytest.mark.parametrize("name", ["crop_flip", "none", "randaugment"])
def test_the_ends_of_the_unit_interval_and_no_image_at_all_are_valid(name):
    augment = build(name)
    images = pictures(3, 9, 9)[:2]
    uniforms = torch.zeros(2, augment.num_uniforms)
    uniforms[1] = 1 - 2**-24
    assert augment(images, uniforms).shape == images.shape
    assert augment(images[:0], uniforms[:0]).shape == (0, 3, 9, 9)


def test_none_passes_points_through():
    points = torch.randn(5, 2)
    augment = build("none")
    assert augment.num_uniforms == 0
    assert augment(points, torch.empty(5, 0)) is points


def test_defaults_are_the_usual_recipe():
    factory = AUGMENTATIONS.get("randaugment")
    usual = {"num_ops": 2, "magnitude": 9, "pad": 4, "flip": True}
    assert complete("augmentation", factory, {}) == usual
    assert AUGMENTATIONS.names() == ["crop_flip", "none", "randaugment"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("crop_flip", {"pad": -1}, "pad is -1, expected a whole number"),
        ("randaugment", {"magnitude": 31}, "from 0 to 30"),
        ("randaugment", {"num_ops": 1.5}, "num_ops is 1.5, expected a whole number"),
    ],
)
def test_bad_arguments_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(name, **arguments)


def test_points_and_unusual_channels_are_refused():
    with pytest.raises(ValueError, match="use the augmentation 'none'"):
        build("crop_flip")(torch.randn(5, 2), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="got 2 channels, expected 1 or 3"):
        build("randaugment")(
            torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(1, 5)
        )


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["crop_flip", "randaugment"])
def test_the_device_is_never_waited_for_and_agrees_within_a_grey_level(name):
    augment = build(name)
    images = pictures(3, 32, 32).repeat(100, 1, 1, 1)
    uniforms = numbers_for(augment, len(images))
    inputs = images.cuda(), uniforms.cuda()
    augment(*inputs)  # makes the tables of this image size
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = augment(*inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    apart = (result.cpu().int() - augment(images, uniforms).int()).abs()
    assert (apart > 1).float().mean() < 0.001
