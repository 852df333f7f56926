import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from harness.datasets.base import Array
from harness.ood import blur
from harness.ood.draws import Draws
from harness.ood.linear import apply_both, gaussian_matrix, zoom_matrix
from harness.ood.suite import SUITE
from tests.harness.ood.oracles import naive_smear, naive_zoom

CPU = torch.device("cpu")


def each_channel(x: torch.Tensor, function) -> torch.Tensor:
    flat = x.reshape(-1, *x.shape[-2:]).numpy()
    return torch.from_numpy(np.stack([function(image) for image in flat])).reshape(
        x.shape
    )


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_gaussian_blur_is_scipys(x: torch.Tensor, severity: int) -> None:
    constants = SUITE["gaussian_blur"].constants[severity - 1]
    expected = each_channel(
        x, lambda image: ndimage.gaussian_filter(image, constants[0], mode="nearest")
    )
    got = blur.gaussian_blur(x, constants, Draws("gaussian_blur", severity, CPU))
    torch.testing.assert_close(got, expected)


def test_reflecting_gaussian_wider_than_the_image_is_scipys(x: torch.Tensor) -> None:
    small = x[:, :, :6, :6]
    matrix = gaussian_matrix(6, 5.0, truncate=3.0, reflect=True)
    expected = each_channel(
        small, lambda image: ndimage.gaussian_filter(image, 5.0, truncate=3.0)
    )
    torch.testing.assert_close(apply_both(small, matrix), expected)


def naive_disk(radius: float, alias: float) -> Array:
    """The disk on a wide grid, its rim smoothed by scipy."""
    kernel = np.zeros((33, 33))
    for i in range(33):
        for j in range(33):
            kernel[i, j] = math.hypot(i - 16, j - 16) <= radius
    cut = (1 if radius <= 8 else 2) / alias
    return ndimage.gaussian_filter(
        kernel / kernel.sum(), alias, truncate=cut, mode="constant"
    )


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_defocus_blur_convolves_with_a_disk(x: torch.Tensor, severity: int) -> None:
    constants = SUITE["defocus_blur"].constants[severity - 1]
    kernel = naive_disk(*constants)
    expected = each_channel(
        x, lambda image: ndimage.convolve(image, kernel, mode="mirror")
    )
    got = blur.defocus_blur(x, constants, Draws("defocus_blur", severity, CPU))
    torch.testing.assert_close(got, expected)


def test_a_large_disk_has_a_wider_rim() -> None:
    kernel = blur.disk(10.5, 0.7).numpy()
    reach = kernel.shape[0] // 2
    expected = naive_disk(10.5, 0.7)[16 - reach : 17 + reach, 16 - reach : 17 + reach]
    np.testing.assert_allclose(kernel, expected, atol=1e-15)


@pytest.mark.parametrize("severity", [1, 3, 4, 5])
def test_glass_blur_is_a_loop_of_numpy_statements(
    x: torch.Tensor, severity: int
) -> None:
    x = x[:2]
    sigma, _, rounds = SUITE["glass_blur"].constants[severity - 1]
    shifts = Draws("glass_blur", severity, CPU).integers(
        "shift", -1, 1, len(x), int(rounds), 2, 30, 30
    )
    expected = []
    for image, moves in zip(x.numpy(), shifts.numpy(), strict=True):
        smooth = ndimage.gaussian_filter(image, (0, sigma, sigma), mode="nearest")
        pixels = (np.round(smooth * 255) / 255).transpose(1, 2, 0).copy()
        for down, right in moves:
            for h in range(31, 1, -1):
                for w in range(31, 1, -1):
                    there = h + down[h - 2, w - 2], w + right[h - 2, w - 2]
                    # Both sides are views, so that this copies instead of swapping.
                    pixels[h, w], pixels[there] = pixels[there], pixels[h, w]
        pixels = pixels.transpose(2, 0, 1)
        expected.append(
            ndimage.gaussian_filter(pixels, (0, sigma, sigma), mode="nearest")
        )
    constants = SUITE["glass_blur"].constants[severity - 1]
    got = blur.glass_blur(x, constants, Draws("glass_blur", severity, CPU))
    torch.testing.assert_close(got, torch.from_numpy(np.stack(expected)))


def test_glass_blur_at_other_sizes_stays_within_the_image() -> None:
    ramp = torch.arange(64.0 * 64).double().reshape(1, 1, 64, 64) / 4096
    got = blur.glass_blur(ramp, (0.001, 1, 1), Draws("glass_blur", 1, CPU))
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    source = (got[0, 0] * 255).round(), (ramp[0, 0] * 255).round()
    border = (rows < 3) | (columns < 3) | (rows == 63) | (columns == 63)
    assert torch.equal(source[0][border], source[1][border])
    assert not torch.equal(source[0], source[1])


@pytest.mark.parametrize("severity", [1, 5])
def test_motion_blur_follows_a_ray(x: torch.Tensor, severity: int) -> None:
    x = x[:2]
    constants = SUITE["motion_blur"].constants[severity - 1]
    draw = Draws("motion_blur", severity, CPU).uniform("angle", 2)
    angles = (draw * 90 - 45) * math.pi / 180
    expected = [
        naive_smear(image, *constants, float(angle))
        for image, angle in zip(x.numpy(), angles, strict=True)
    ]
    got = blur.motion_blur(x, constants, Draws("motion_blur", severity, CPU))
    torch.testing.assert_close(got, torch.from_numpy(np.stack(expected)))


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_zoom_blur_averages_scipys_zooms(x: torch.Tensor, severity: int) -> None:
    x = x[:3]
    (limit,) = constants = SUITE["zoom_blur"].constants[severity - 1]
    factors = np.arange(1, limit, 0.01)
    expected = x + sum(
        each_channel(x, lambda image, f=f: naive_zoom(image, f)) for f in factors
    )
    got = blur.zoom_blur(x, constants, Draws("zoom_blur", severity, CPU))
    torch.testing.assert_close(got, expected / (len(factors) + 1))


@pytest.mark.parametrize("side", [8, 15, 32])
@pytest.mark.parametrize("factor", [1.0, 1.37, 2.25])
def test_every_blur_matrix_has_rows_that_sum_to_one(side: int, factor: float) -> None:
    for matrix in (zoom_matrix(side, factor), gaussian_matrix(side, factor)):
        torch.testing.assert_close(matrix.sum(1), torch.ones(side).double())
