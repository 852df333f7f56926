"""Real images that come with scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images

from harness.datasets.base import Array


@pytest.fixture(scope="session")
def photos() -> Array:
    """Tiles of two photographs, uint8 [30, 3, 32, 32]."""
    tiles = []
    for photo in load_sample_images().images:
        small = photo[:424].reshape(106, 4, 160, 4, 3).mean((1, 3)).round()
        for top in (0, 32, 64):
            tiles += [
                small[top : top + 32, left : left + 32] for left in range(0, 160, 32)
            ]
    return np.stack(tiles).astype(np.uint8).transpose(0, 3, 1, 2).copy()


@pytest.fixture(scope="session")
def digit_images() -> Array:
    """scikit-learn's digits, uint8 [1797, 1, 8, 8]."""
    return np.round(load_digits().images * (255 / 16)).astype(np.uint8)[:, None]


@pytest.fixture(scope="session")
def x(photos: Array) -> torch.Tensor:
    """Six photographs as the corruptions see them, float64 in [0, 1]."""
    return torch.from_numpy(photos[::5].copy()).double() / 255
