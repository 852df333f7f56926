"""Brightness, colour, contrast and sharpness of RandAugment, on uint8 `[N, C, H, W]`.

Definitions are torchvision's for uint8 tensors: float32 arithmetic, clamped to 0..255
and cut to whole numbers. Blends have the weights `keep` and `rest` = 1 - keep, each
`[N, 1, 1, 1]`. Every statistic is of one image and exact, so that a result does not
depend on the images beside it.
"""

import torch
from torch import Tensor


def brighten(images: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
    """Return keep * image + rest * black."""
    return (images * keep).clamp_(0, 255).to(torch.uint8)


def colour(images: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
    """Return keep * image + rest * its grey version; a grey image stays as it is."""
    if images.shape[1] == 1:
        return images
    return _blend(images, _grey(images), keep, rest)


def contrast(images: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
    """Return keep * image + rest * the mean of its grey version."""
    grey = _grey(images)
    # Grey levels are whole numbers, so their float64 sum is exact in any order.
    total = grey.sum((1, 2, 3), keepdim=True, dtype=torch.float64)
    mean = total / (images.shape[2] * images.shape[3])
    return _blend(images, mean.float(), keep, rest)


def sharpen(images: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
    """Return keep * image + rest * smoothed; the outermost pixels stay.

    Smoothed is the 3x3 mean with weight 5/13 in the middle and 1/13 around, rounded.
    """
    if min(images.shape[2:]) <= 2:
        return images
    x = images.float()
    middle = x[..., 1:-1, 1:-1]
    rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    # The sum is a whole number, so a thirteenth of it is never near a tie.
    smoothed = total.add_(middle, alpha=4).mul_(1 / 13).round_()
    inner = torch.addcmul(middle, smoothed.sub_(middle), rest).clamp_(0, 255)
    result = images.clone()
    result[..., 1:-1, 1:-1] = inner.to(torch.uint8)
    return result


def posterize(images: Tensor, bits: int) -> Tensor:
    """Keep the `bits` highest of 8 bits."""
    return images & (256 - (1 << (8 - bits)))


def solarize(images: Tensor, threshold: float) -> Tensor:
    """Invert the pixels at or above `threshold`."""
    return torch.where(images >= threshold, 255 - images, images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to 0 .. 255; a channel of one level stays."""
    low = images.amin((2, 3), keepdim=True).float()
    high = images.amax((2, 3), keepdim=True).float()
    flat = low == high
    scale = ((high - low) * (1 / 255)).masked_fill_(flat, 1.0)
    shifted = images - low.masked_fill_(flat, 0.0)
    return shifted.div_(scale).clamp_(0, 255).to(torch.uint8)


def equalize(images: Tensor) -> Tensor:
    """Equalize the histogram of each channel in Pillow's integer arithmetic.

    Formula: step = (pixels - count of the highest level present) // 255; level k
    becomes min(255, (pixels below k + step // 2) // step), and stays if step is 0.
    So an image of fewer than 256 pixels is never changed.
    """
    n, channels, height, width = images.shape
    if height * width < 256:
        return images
    levels = images.flatten(2).long()  # [N, C, H * W]
    counts = torch.zeros(n, channels, 256, dtype=torch.int32, device=images.device)
    counts.scatter_add_(2, levels, torch.ones_like(counts[..., :1]).expand_as(levels))
    highest = counts.gather(2, levels.amax(2, keepdim=True))
    step = (height * width - highest) // 255
    below = counts.cumsum(2, dtype=torch.int32) - counts
    table = (below + step // 2) // step.clamp(min=1)
    mapped = table.clamp_(max=255).to(torch.uint8).gather(2, levels)
    return torch.where(step > 0, mapped, images.flatten(2)).view_as(images)


def _grey(images: Tensor) -> Tensor:
    """Return whole grey levels as float32 `[N, 1, H, W]` (ITU-R 601 weights)."""
    if images.shape[1] == 1:
        return images.float()
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    grey = (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return grey.floor_()


def _blend(images: Tensor, other: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
    mixed = torch.addcmul(images * keep, other, rest)
    return mixed.clamp_(0, 255).to(torch.uint8)
