import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from harness.datasets.base import Array
from harness.ood import digital
from harness.ood.draws import Draws
from harness.ood.suite import SUITE, corrupt
from tests.harness.ood.oracles import naive_hsv

CPU = torch.device("cpu")


@pytest.mark.parametrize("amount", [0.75, 0.15])
def test_contrast_shrinks_about_the_channel_mean(
    x: torch.Tensor, amount: float
) -> None:
    mean = x.numpy().mean((2, 3), keepdims=True)
    expected = amount * x.numpy() + (1 - amount) * mean
    got = digital.contrast(x, (amount,), Draws("contrast", 1, CPU))
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("severity", [1, 2, 3, 5])
def test_saturate_changes_the_saturation_of_hsv(x: torch.Tensor, severity: int) -> None:
    x = x.clone()
    x[0, :, 0, 0], x[0, :, 0, 1] = 0, 0.5  # black and grey have no hue
    gain, offset = constants = SUITE["saturate"].constants[severity - 1]
    got = digital.saturate(x, constants, Draws("saturate", severity, CPU))
    for image, vivid in zip(x[:2].numpy(), got, strict=False):
        expected = naive_hsv(
            image, lambda h, s, v: (h, min(max(gain * s + offset, 0), 1), v)
        )
        np.testing.assert_allclose(vivid.numpy(), expected, atol=1e-12)


def pil(image: Array) -> Image.Image:
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def from_pil(image: Image.Image) -> Array:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_pixelate_is_pillows_box_filter(photos: Array, severity: int) -> None:
    (ratio,) = SUITE["pixelate"].constants[severity - 1]
    small = int(32 * ratio)
    got = corrupt(photos, "pixelate", severity)
    for image, coarse in zip(photos, got, strict=True):
        shrunk = pil(image).resize((small, small), Image.Resampling.BOX)
        expected = from_pil(shrunk.resize((32, 32), Image.Resampling.BOX))
        # Pillow rounds after each axis, this once.
        assert np.abs(coarse.astype(int) - expected).max() <= 1


def jpeg_of_pillow(image: Array, quality: float) -> Array:
    file = io.BytesIO()
    pil(image).save(file, "JPEG", quality=int(quality))
    return from_pil(Image.open(file))


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_jpeg_compression_is_pillows(photos: Array, severity: int) -> None:
    (quality,) = SUITE["jpeg_compression"].constants[severity - 1]
    expected = np.stack([jpeg_of_pillow(image, quality) for image in photos])
    got = corrupt(photos, "jpeg_compression", severity).astype(int)
    # Equal but for single coefficients that fixed-point arithmetic moves over a tie.
    assert np.abs(got - expected).mean() < 0.05
    assert (got == expected).mean() > 0.99


@pytest.mark.parametrize("side", [8, 12])
def test_jpeg_compression_of_grey_images_is_pillows(photos: Array, side: int) -> None:
    grey = np.ascontiguousarray(photos[:, :1, :side, :side])
    expected = np.stack([jpeg_of_pillow(image, 65) for image in grey])
    got = corrupt(grey, "jpeg_compression", 2).astype(int)
    assert np.abs(got - expected).mean() < 0.01


@pytest.mark.parametrize("side", [15, 20, 30])
def test_jpeg_compression_pads_incomplete_blocks_as_pillow_does(
    photos: Array, side: int
) -> None:
    cut = np.ascontiguousarray(photos[:, :, :side, :side])
    expected = np.stack([jpeg_of_pillow(image, 50) for image in cut])
    got = corrupt(cut, "jpeg_compression", 4).astype(int)
    assert np.abs(got - expected).mean() < 0.01


def test_the_affine_map_moves_three_corners_by_the_drawn_shifts() -> None:
    numbers = torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(0)).double()
    grid = digital.affine_grid(numbers, 0.08, 32)
    shifts = ((2 * numbers - 1) * 0.08 * 32).numpy()
    for i in range(4):
        before = np.array([[26.0, 26.0], [26.0, 6.0], [6.0, 6.0]])
        after = before + shifts[i]
        ones = np.ones((3, 1))
        forward = np.linalg.solve(np.hstack([before, ones]), after)  # [x, y, 1] @ this
        source = grid[i].numpy().reshape(-1, 2)
        where = np.hstack([source, np.ones((len(source), 1))]) @ forward
        rows, columns = np.mgrid[:32, :32]
        target = np.stack([columns, rows], -1).reshape(-1, 2)
        np.testing.assert_allclose(where, target, atol=1e-9)


@pytest.mark.parametrize("severity", [1, 2, 3, 5])
def test_elastic_transform_is_scipys_sampling(x: torch.Tensor, severity: int) -> None:
    strength, smoothness, shear = SUITE["elastic_transform"].constants[severity - 1]
    draws = Draws("elastic_transform", severity, CPU)
    grid = digital.affine_grid(draws.uniform("corners", len(x), 3, 2), shear, 32)
    field = 2 * draws.uniform("field", len(x), 2, 32, 32).numpy() - 1
    got = digital.elastic_transform(
        x,
        (strength, smoothness, shear),
        Draws("elastic_transform", severity, CPU),
    )
    rows, columns = np.mgrid[:32, :32]
    for i, image in enumerate(x.numpy()):
        right, down = (
            32 * strength * ndimage.gaussian_filter(part, 32 * smoothness, truncate=3)
            for part in field[i]
        )
        for channel, plane in enumerate(image):
            sheared = ndimage.map_coordinates(
                plane, [grid[i, ..., 1], grid[i, ..., 0]], order=1, mode="mirror"
            )
            expected = ndimage.map_coordinates(
                sheared, [rows + down, columns + right], order=1, mode="reflect"
            )
            np.testing.assert_allclose(got[i, channel], expected, atol=1e-9)
