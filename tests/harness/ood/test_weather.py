import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from harness.datasets.base import Array
from harness.ood import weather
from harness.ood.draws import Draws
from harness.ood.spatter import MUD, WATER, _rim_distance, spatter
from harness.ood.suite import SUITE
from harness.ood.texture import frost_textures, plasma
from tests.harness.ood.oracles import naive_hsv, naive_plasma, naive_smear, naive_zoom

CPU = torch.device("cpu")


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_snow_is_whitening_and_streaks(x: torch.Tensor, severity: int) -> None:
    x = x[:2]
    constants = SUITE["snow"].constants[severity - 1]
    mean, spread, grain, threshold, radius, sigma, keep = constants
    draws = Draws("snow", severity, CPU)
    flakes = mean + spread * draws.normal("flakes", 2, 1, 32, 32).numpy()
    angles = draws.uniform("angle", 2).numpy() * -90 - 45
    for i, image in enumerate(x.numpy()):
        layer = naive_zoom(flakes[i, 0], grain)
        layer = np.clip(np.where(layer < threshold, 0, layer), 0, 1)
        layer = naive_smear(layer[None], radius, sigma, angles[i] * math.pi / 180)
        grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        whitened = np.maximum(image, grey * 1.5 + 0.5)
        expected = keep * image + (1 - keep) * whitened
        expected = expected + layer + layer[:, ::-1, ::-1]
        got = weather.snow(x, constants, Draws("snow", severity, CPU))[i]
        torch.testing.assert_close(got, torch.from_numpy(expected))


def test_frost_adds_a_cut_of_a_wrapped_texture(x: torch.Tensor) -> None:
    textures = frost_textures(32, CPU)
    draws = Draws("frost", 3, CPU)
    which = draws.integers("texture", 0, 5, len(x))
    corner = draws.integers("corner", 0, 64, len(x), 2)
    got = weather.frost(x, (0.9, 0.4), Draws("frost", 3, CPU))
    for i, image in enumerate(x):
        shift = (-int(corner[i, 0]), -int(corner[i, 1]))
        cut = textures[which[i]].roll(shift, (1, 2))[:, :32, :32]
        torch.testing.assert_close(got[i], 0.9 * image + 0.4 * cut)


def test_frost_textures_are_bluish_white_and_within_range() -> None:
    textures = frost_textures(32, CPU)
    assert textures.shape == (5, 3, 64, 64)
    assert textures.min() >= 0
    assert textures.max() <= 1
    red, green, blue = textures.mean((0, 2, 3))
    assert 0.3 < red < green < blue < 0.7
    assert textures.std() > 0.15


@pytest.mark.parametrize("decay", [3.0, 1.75])
def test_plasma_is_diamond_square_on_a_torus(decay: float) -> None:
    numbers = np.random.default_rng(0).random((2, 16, 16))
    expected = np.stack([naive_plasma(part, decay) for part in numbers])
    got = plasma(torch.from_numpy(numbers), decay)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_fog_adds_clouds_and_keeps_the_brightest_value_possible(
    x: torch.Tensor,
) -> None:
    got = weather.fog(x, (0.75, 2.5), Draws("fog", 3, CPU)).numpy()
    numbers = Draws("fog", 3, CPU).uniform("plasma", len(x), 32, 32).numpy()
    for i, image in enumerate(x.numpy()):
        cover = 0.75 * naive_plasma(numbers[i], 2.5)
        peak = image.max()
        np.testing.assert_allclose(got[i], (image + cover) * peak / (peak + 0.75))
    black = weather.fog(0 * x, (0.75, 2.5), Draws("fog", 3, CPU))
    assert black.max() == 0


@pytest.mark.parametrize("amount", [0.05, 0.3])
def test_brightness_raises_the_value_of_hsv(x: torch.Tensor, amount: float) -> None:
    x = x.clone()
    x[0, :, 0, 0] = 0  # black has no hue
    got = weather.brightness(x, (amount,), Draws("brightness", 1, CPU))
    for image, bright in zip(x[:2].numpy(), got, strict=False):
        expected = naive_hsv(image, lambda h, s, v: (h, s, min(v + amount, 1)))
        np.testing.assert_allclose(bright.numpy(), expected, atol=1e-12)


def test_brightness_of_grey_images_is_addition(x: torch.Tensor) -> None:
    grey = x[:, :1]
    got = weather.brightness(grey, (0.2,), Draws("brightness", 4, CPU))
    torch.testing.assert_close(got, (grey + 0.2).clamp(max=1))


def test_mud_replaces_pixels_under_thick_drops(x: torch.Tensor) -> None:
    constants = SUITE["spatter"].constants[3]
    mean, spread, sigma, threshold, strength, _ = constants
    noise = Draws("spatter", 4, CPU).normal("liquid", len(x), 1, 32, 32).numpy()
    got = spatter(x, constants, Draws("spatter", 4, CPU))
    covers = []
    for i, image in enumerate(x.numpy()):
        liquid = mean + spread * noise[i, 0]
        liquid = ndimage.gaussian_filter(liquid, sigma, mode="nearest")
        cover = (liquid > threshold).astype(float)
        cover = ndimage.gaussian_filter(cover, strength, mode="nearest")
        cover[cover < 0.8] = 0
        mud = np.array(MUD)[:, None, None]
        np.testing.assert_allclose(
            got[i].numpy(), image * (1 - cover) + mud * cover, atol=1e-12
        )
        covers.append((cover > 0).mean())
    assert 0.001 < np.mean(covers) < 0.2


def naive_water(liquid: Array) -> Array:
    """Light of the drops of one image, from scipy's filters."""
    drops = liquid > 0
    rim = drops & ~ndimage.binary_erosion(drops, np.ones((3, 3)), border_value=1)
    far = ndimage.distance_transform_edt(~rim) if rim.any() else np.full((32, 32), 20.0)
    height = ndimage.uniform_filter(np.minimum(far, 20), 3, mode="mirror").round()
    counts = np.bincount(height.astype(int).ravel(), minlength=256)
    lowest = counts[counts > 0][0]
    table = np.round((np.cumsum(counts) - lowest) / (1024 - lowest) * 255)
    level = table[height.astype(int)]
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    lit = np.clip(ndimage.correlate(level, kernel, mode="mirror"), 0, 255)
    return liquid * ndimage.uniform_filter(lit, 3, mode="mirror")


@pytest.mark.parametrize("severity", [1, 3])
def test_water_adds_shaded_turquoise(x: torch.Tensor, severity: int) -> None:
    constants = SUITE["spatter"].constants[severity - 1]
    mean, spread, sigma, threshold, strength, _ = constants
    draws = Draws("spatter", severity, CPU)
    noise = draws.normal("liquid", len(x), 1, 32, 32).numpy()
    got = spatter(x, constants, Draws("spatter", severity, CPU)).numpy()
    for i, image in enumerate(x.numpy()):
        liquid = mean + spread * noise[i, 0]
        liquid = ndimage.gaussian_filter(liquid, sigma, mode="nearest")
        light = naive_water(np.where(liquid < threshold, 0, liquid))
        light = strength * light / light.max()
        water = np.array(WATER)[:, None, None]
        np.testing.assert_allclose(got[i], image + light * water, atol=1e-9)


def test_rim_distance_is_scipys_euclidean_one() -> None:
    rim = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    rim[0, 0, [3, 4, 17], [2, 15, 6]] = True
    expected = ndimage.distance_transform_edt(~rim[0, 0].numpy())
    got = _rim_distance(rim, 9)[0, 0].numpy()
    np.testing.assert_allclose(got, np.minimum(expected, 9))
