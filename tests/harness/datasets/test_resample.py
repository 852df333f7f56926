from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from harness.datasets import area_resize, trim
from harness.datasets.resample import area_weights
from harness.seeds import stream


def naive(image: np.ndarray, side: int) -> np.ndarray:
    """Area averages in rational arithmetic, rounded half up."""
    old = len(image)
    result = np.empty((side, side), np.uint8)
    step = Fraction(old, side)
    for r in range(side):
        for c in range(side):
            total = Fraction(0)
            for i in range(old):
                high = max(Fraction(0), min((r + 1) * step, i + 1) - max(r * step, i))
                for j in range(old):
                    wide = max(
                        Fraction(0), min((c + 1) * step, j + 1) - max(c * step, j)
                    )
                    total += high * wide * int(image[i, j])
            result[r, c] = int(total / step**2 + Fraction(1, 2))
    return result


@pytest.mark.parametrize(("old", "new"), [(8, 6), (8, 4), (8, 5), (9, 2), (7, 1)])
def test_area_averages_equal_rational_arithmetic(old, new):
    images = stream(0, "test").integers(0, 256, (3, 2, old, old)).astype(np.uint8)
    resized = area_resize(images, new)
    expected = [[naive(channel, new) for channel in image] for image in images]
    assert np.array_equal(resized, np.array(expected))


@pytest.mark.parametrize(("old", "new"), [(64, 48), (64, 32), (28, 8), (20, 8)])
def test_area_averages_agree_with_pillows_box_filter(old, new):
    image = stream(0, "test").integers(0, 256, (old, old)).astype(np.uint8)
    box = Image.Resampling.BOX if old % new == 0 else None
    resized = area_resize(image[None, None], new)[0, 0].astype(int)
    if box is not None:
        pillow = np.asarray(Image.fromarray(image).resize((new, new), box))
        assert np.abs(resized - pillow).max() <= 1
    weights = area_weights(old, new) / old
    assert np.abs(resized - weights @ image @ weights.T).max() <= 0.5 + 1e-9


def test_a_white_image_stays_white_at_every_size():
    white = np.full((1, 3, 64, 64), 255, np.uint8)
    assert all((area_resize(white, side) == 255).all() for side in range(1, 65))


def test_more_images_than_a_chunk_are_all_resampled():
    images = stream(0, "test").integers(0, 256, (5000, 1, 4, 4)).astype(np.uint8)
    pairs = images.reshape(5000, 1, 2, 2, 2, 2).sum(axis=(3, 5), dtype=int)
    assert np.array_equal(area_resize(images, 2), (pairs + 2) // 4)


@pytest.mark.parametrize("side", [9, 0, -2, 4.5])
def test_upsampling_and_nonsense_are_refused(side):
    with pytest.raises(ValueError, match="integer from 1 to the images' 8 pixels"):
        area_resize(np.zeros((1, 1, 8, 8), np.uint8), side)


def test_a_margin_is_trimmed_on_all_sides():
    image = np.arange(36, dtype=np.uint8).reshape(1, 1, 6, 6)
    assert trim(image, 2).tolist() == [[[[14, 15], [20, 21]]]]
    assert np.array_equal(trim(image, 0), image)
    with pytest.raises(ValueError, match="margin is 3, expected 0 to 2"):
        trim(image, 3)
