"""The corruption suite: which corruptions there are, how strong, and `corrupt`.

Constants are those of CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv 1903.12261;
the script make_cifar_c.py of its authors), which differ from those of ImageNet-C.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.datasets.base import Array
from harness.ood import blur, digital, jpeg, noise, spatter, weather
from harness.ood.draws import Draws

Apply = Callable[[Tensor, tuple[float, ...], Draws], Tensor]

SUITE_VERSION = 1
"""Raised whenever any corrupted pixel changes."""
CHUNK_VALUES = 1 << 19
"""Values corrupted at once: 4 MB at float64, which caches hold (170 CIFAR images)."""
TIE = 1e-9
"""Added before rounding down, so that halves do not hinge on the last bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One corruption at its five severities."""

    apply: Apply
    """Takes float64 images in [0, 1], constants and draws; may leave [0, 1]."""
    constants: tuple[tuple[float, ...], ...]
    """Arguments of `apply` at severities 1 to 5."""
    min_side: int = 1
    """Smallest side in pixels at which it is kept, see `kept`."""
    colour_only: bool = False
    """Whether it means nothing for one channel."""


SUITE = {
    "gaussian_noise": Corruption(
        apply=noise.gaussian_noise,
        constants=((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)),
    ),
    "shot_noise": Corruption(
        apply=noise.shot_noise,
        constants=((500,), (250,), (100,), (75,), (50,)),
    ),
    "impulse_noise": Corruption(
        apply=noise.impulse_noise,
        constants=((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
    ),
    "defocus_blur": Corruption(
        apply=blur.defocus_blur,
        constants=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        min_side=32,
    ),
    "glass_blur": Corruption(
        apply=blur.glass_blur,
        constants=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        min_side=32,
    ),
    "motion_blur": Corruption(
        apply=blur.motion_blur,
        constants=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        min_side=32,
    ),
    "zoom_blur": Corruption(
        apply=blur.zoom_blur,
        constants=((1.06,), (1.11,), (1.16,), (1.21,), (1.26,)),
        min_side=12,
    ),
    "snow": Corruption(
        apply=weather.snow,
        constants=(
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": Corruption(
        apply=weather.frost,
        constants=((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        min_side=32,
    ),
    "fog": Corruption(
        apply=weather.fog,
        constants=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    ),
    "brightness": Corruption(
        apply=weather.brightness,
        constants=((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
    ),
    "contrast": Corruption(
        apply=digital.contrast,
        constants=((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
    ),
    "elastic_transform": Corruption(
        apply=digital.elastic_transform,
        constants=(
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
        min_side=32,
    ),
    "pixelate": Corruption(
        apply=digital.pixelate,
        constants=((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
        min_side=16,
    ),
    "jpeg_compression": Corruption(
        apply=jpeg.jpeg_compression,
        constants=((80,), (65,), (58,), (50,), (40,)),
    ),
    "speckle_noise": Corruption(
        apply=noise.speckle_noise,
        constants=((0.06,), (0.1,), (0.12,), (0.16,), (0.2,)),
    ),
    "gaussian_blur": Corruption(
        apply=blur.gaussian_blur,
        constants=((0.4,), (0.6,), (0.7,), (0.8,), (1,)),
        min_side=24,
    ),
    "spatter": Corruption(
        apply=spatter.spatter,
        constants=(
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
    ),
    "saturate": Corruption(
        apply=digital.saturate,
        constants=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        colour_only=True,
        min_side=32,
    ),
}
"""The 15 corruptions of CIFAR-10-C in its order, then the 4 extra ones."""


def kept(channels: int, side: int) -> tuple[str, ...]:
    """Return the corruptions that make sense for images of this shape, in order.

    From 32 pixels on, the suite as published; `saturate` needs three channels. Below,
    a corruption is kept if every severity changes pixels and the mean absolute change
    grows with severity. Grey levels (0..255) over severities 1-5, on 1000 of
    scikit-learn's 8 x 8 digits, of those that are not kept there:

    - defocus_blur, glass_blur, gaussian_blur: 0 throughout (widths below 1/3 pixel, a
      displacement of 1/4 pixel); defocus_blur's radius of 1 at severity 4 acts on no
      neighbour below 32 pixels, gaussian_blur acts at all severities from 24 on
    - motion_blur: 0 1.9 8.3 8.3 15.3; from 12 to 64 pixels severity 4 is milder than 3
    - zoom_blur: 0 16.7 23.3 29.2 36.5; acts at all severities from 12 on
    - frost: 23.0 33.8 40.1 38.7 42.2, as unordered as at 32 pixels
    - elastic_transform: 34.5 31.1 34.5 40.2 37.5; falls with severity from 20 on
    - pixelate: 14.3 14.3 31.2 31.2 28.6 (grids of 7 7 6 6 5); ordered from 16 on
    - saturate: not ordered on any images, since severities 1-2 remove colour and 3-5
      add it

    Between 12 and 28 pixels snow (at 16) and spatter are not ordered; they are kept.
    """
    return tuple(
        name
        for name, what in SUITE.items()
        if side >= what.min_side and (channels == 3 or not what.colour_only)
    )


def corrupt(
    images: Array, name: str, severity: int, device: torch.device | None = None
) -> Array:
    """Return corrupted copies of `images`, the same for the same arguments.

    Image i takes the same random numbers whatever comes after it. Work is done at
    float64, so that devices, threads and chunk sizes agree to the rounded pixel but
    for sums that fall within 1e-13 of a half. Values are rounded; the published
    script cuts off the fraction, half a grey level darker.

    Args:
        images: uint8 `[num_images, 1 or 3, side, side]`.
        name: A key of `SUITE`.
        severity: 1 to 5.
        device: Where to work; None for the CPU.

    Returns:
        uint8, shaped as `images`.

    Raises:
        KeyError: There is no such corruption.
        ValueError: Severity, type or shape is out of range.
    """
    if name not in SUITE:
        raise KeyError(f"no corruption is called {name!r} (known: {', '.join(SUITE)})")
    if severity not in range(1, 6):
        raise ValueError(f"severity is {severity}; use 1, 2, 3, 4 or 5")
    channels, side = _checked_shape(images)
    what = SUITE[name]
    if what.colour_only and channels != 3:
        raise ValueError(f"{name} needs three channels, got {channels}")
    device = device or torch.device("cpu")
    draws = Draws(name, severity, device)
    out = np.empty_like(images)
    step = max(1, CHUNK_VALUES // (channels * side * side))
    for start in range(0, len(images), step):
        chunk = np.ascontiguousarray(images[start : start + step])
        x = torch.from_numpy(chunk).to(device).double() / 255
        y = what.apply(x, what.constants[severity - 1], draws).clamp(0, 1)
        y = torch.floor(y * 255 + 0.5 + TIE).to(torch.uint8)
        out[start : start + step] = y.cpu().numpy()
    return out


def _checked_shape(images: Array) -> tuple[int, int]:
    """Return channels and side of square grey or colour images."""
    shape = images.shape
    fits = len(shape) == 4 and shape[1] in (1, 3) and shape[2] == shape[3]
    if images.dtype != np.uint8 or not fits:
        raise ValueError(
            "images must be uint8 [num_images, 1 or 3, side, side], got "
            f"{images.dtype} {list(shape)}"
        )
    return int(shape[1]), int(shape[2])
