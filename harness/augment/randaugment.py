"""RandAugment for a batch in which every sample has its own operations and signs.

Library versions draw once a call and so treat a whole batch alike; here each sample
gets what one call on that image alone would draw.
"""

import functools
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from harness.augment import tones
from harness.augment.crop import CropFlip, check_images, in_blocks
from harness.augment.warps import WARPS, source_table, warp
from harness.registry import AUGMENTATIONS

NUM_BINS: Final = 31
"""Strengths run from bin 0 to bin 30."""

OPERATIONS: Final = (
    "Identity",
    *WARPS,
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
"""The 14 operations, in torchvision's order."""

Operation: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From images `[N, C, H, W]` and their draws int64 `[N]` to images."""


class _Plan(NamedTuple):
    """The operations at one strength, for images of one size on one device."""

    operations: list[Operation]
    which: Tensor
    """int64 `[28]`: the operation that a draw means."""


@AUGMENTATIONS.register("randaugment")
class RandAugment:
    """Random crop and mirror image, then `num_ops` random operations on each sample.

    Cubuk et al., arXiv 1909.13719, with operations and strengths of
    torchvision.transforms.v2.RandAugment (31 bins, nearest neighbour, black outside,
    which is what its default fill=None means). Uniforms of a sample: three for
    `CropFlip`, then one an operation, whose draw d = floor(28 * u) is the operation
    d // 2 with a negative strength if d is odd (no effect where strength has no sign).

    On the CPU each operation runs on the samples that drew it. Elsewhere the sizes of
    these groups would have to be waited for, so every operation runs on all samples
    and its result is kept where it was drawn: fixed shapes and no synchronisation, and
    the five warps count as one. The plan of an image size is made at its first call.

    Args:
        num_ops: Operations applied one after the other, 0 or more.
        magnitude: Strength bin of all operations, 0 to 30.
        pad: Padding of the random crop in pixels; 0 for no crop.
        flip: Whether to mirror one half of the images.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self, *, num_ops: int = 2, magnitude: int = 9, pad: int = 4, flip: bool = True
    ) -> None:
        if not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(f"num_ops is {num_ops!r}, expected a whole number >= 0")
        if not isinstance(magnitude, int) or not 0 <= magnitude < NUM_BINS:
            raise ValueError(
                f"magnitude is {magnitude!r}, expected a whole number from 0 to "
                f"{NUM_BINS - 1}"
            )
        self._crop = CropFlip(pad=pad, flip=flip)
        self._num_ops, self._magnitude = num_ops, magnitude
        self._plans: dict[tuple[int, int, torch.device], _Plan] = {}
        self.num_uniforms = CropFlip.num_uniforms + num_ops

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Return one augmented version an image.

        Args:
            images: uint8 `[N, C, H, W]` with one or three channels.
            uniforms: float32 `[N, 3 + num_ops]`.

        Raises:
            ValueError: The inputs are not such images.
        """
        check_images(images)
        if images.shape[1] not in (1, 3):
            raise ValueError(f"got {images.shape[1]} channels, expected 1 or 3")
        return in_blocks(self._augment, images, uniforms)

    def _augment(self, images: Tensor, uniforms: Tensor) -> Tensor:
        first = CropFlip.num_uniforms
        images = self._crop(images, uniforms[:, :first])
        draws = (uniforms[:, first:] * (2 * len(OPERATIONS))).long()
        height, width = images.shape[2:]
        key = (height, width, images.device)
        if key not in self._plans:
            self._plans[key] = _plan(self._magnitude, *key)
        apply = _by_group if images.device.type == "cpu" else _everywhere
        for k in range(self._num_ops):
            images = apply(self._plans[key], images, draws[:, k])
        return images


def _by_group(plan: _Plan, images: Tensor, draws: Tensor) -> Tensor:
    """Run each operation on the samples that drew it."""
    which = plan.which.index_select(0, draws)
    order = which.argsort()
    sizes = which.bincount(minlength=len(plan.operations)).tolist()
    groups = zip(
        plan.operations,
        torch.split(images.index_select(0, order), sizes),
        torch.split(draws.index_select(0, order), sizes),
        strict=True,
    )
    done = [operation(x, drawn) for operation, x, drawn in groups if len(x)]
    return torch.cat(done or [images]).index_select(0, order.argsort())


def _everywhere(plan: _Plan, images: Tensor, draws: Tensor) -> Tensor:
    """Run each operation on all samples and keep its result where it was drawn."""
    which = plan.which.index_select(0, draws)[:, None, None, None]
    result = images
    for i, operation in enumerate(plan.operations[1:], start=1):
        result = torch.where(which == i, operation(images, draws), result)
    return result


@functools.cache
def strength(name: str, magnitude: int, size: int) -> float:
    """Return the unsigned strength of an operation at a bin.

    Args:
        name: One of `OPERATIONS` that has a strength.
        magnitude: Bin, 0 to 30.
        size: Pixels along the direction of a translation.

    Example:
        >>> [strength("Posterize", m, 32) for m in (0, 9, 30)]
        [8.0, 7.0, 4.0]
    """
    if name == "Posterize":
        return float(round(8 - magnitude / ((NUM_BINS - 1) / 4)))
    ends = {"Rotate": (0.0, 30.0), "Solarize": (1.0, 0.0)}
    ends |= dict.fromkeys(("ShearX", "ShearY"), (0.0, 0.3))
    ends |= dict.fromkeys(("TranslateX", "TranslateY"), (0.0, 150 / 331 * size))
    low, high = ends.get(name, (0.0, 0.9))
    return float(torch.linspace(low, high, NUM_BINS)[magnitude])


def _plan(magnitude: int, height: int, width: int, device: torch.device) -> _Plan:
    sizes = {"TranslateX": width, "TranslateY": height}
    level = {n: strength(n, magnitude, sizes.get(n, 0)) for n in OPERATIONS}
    table = source_table(level, height, width).to(device)
    first_warp = 2 * OPERATIONS.index(WARPS[0])
    mix = level["Brightness"]  # the same for all four blends
    pairs = [[1 + mix, 1 - (1 + mix)], [1 - mix, 1 - (1 - mix)]]
    weights = torch.tensor(pairs).to(device)
    bits, threshold = int(level["Posterize"]), 255 * level["Solarize"]

    def warps(images: Tensor, draws: Tensor) -> Tensor:
        rows = (draws - first_warp).clamp(0, len(table) - 1)
        return warp(images, table, rows)

    def blend(tone: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Operation:
        def blended(images: Tensor, draws: Tensor) -> Tensor:
            pair = weights.index_select(0, draws % 2)[:, :, None, None, None]
            return tone(images, pair[:, 0], pair[:, 1])

        return blended

    operations: dict[str, Operation] = {
        "Identity": lambda images, draws: images,
        **dict.fromkeys(WARPS, warps),
        "Brightness": blend(tones.brighten),
        "Color": blend(tones.colour),
        "Contrast": blend(tones.contrast),
        "Sharpness": blend(tones.sharpen),
        "Posterize": lambda images, draws: tones.posterize(images, bits),
        "Solarize": lambda images, draws: tones.solarize(images, threshold),
        "AutoContrast": lambda images, draws: tones.autocontrast(images),
        "Equalize": lambda images, draws: tones.equalize(images),
    }
    distinct = list(dict.fromkeys(operations.values()))
    which = [distinct.index(operations[name]) for name in OPERATIONS]
    return _Plan(distinct, torch.tensor(which).repeat_interleave(2).to(device))
