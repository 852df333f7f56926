"""The peer: CIFAR training as a PyTorch user would write it, with torchvision's tools.

Images pass one by one through torchvision's transforms in the workers of a DataLoader;
every batch is copied to the device, trained on in float32 or under autocast, and its
loss is asked for.
"""

from collections.abc import Iterable
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10, VisionDataset
from torchvision.transforms import v2

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class InMemory(CIFAR10):  # type: ignore[misc]
    """Torchvision's CIFAR-10 over arrays at hand instead of its files.

    Args:
        images: uint8 `[N, 3, H, W]`.
        labels: int64 `[N]`.
        transform: From a PIL image to a tensor.
    """

    def __init__(
        self, images: npt.NDArray[Any], labels: npt.NDArray[Any], transform: Any
    ) -> None:
        VisionDataset.__init__(self, root="", transform=transform)
        self.data = images.transpose(0, 2, 3, 1)
        self.targets = labels.tolist()


def training_transform(side: int, *, randaugment: bool = False) -> v2.Compose:
    """Return the usual transforms of training images."""
    more = [v2.RandAugment()] if randaugment else []
    return v2.Compose(
        [
            v2.RandomCrop(side, padding=4),
            v2.RandomHorizontalFlip(),
            *more,
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def training_loader(
    dataset: InMemory, batch_size: int, *, workers: int, pinned: bool
) -> DataLoader[Any]:
    """Return shuffled batches made by worker processes."""
    return DataLoader(
        dataset,
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=pinned,
        persistent_workers=workers > 0,
    )


class PlainRecipe:
    """A network trained by SGD with Nesterov momentum, a batch at a time.

    Args:
        net: The network, on its device.
        lr: Learning rate.
        amp: Compute under autocast in bfloat16.
        channels_last: Keep images and weights channels last.
    """

    def __init__(
        self, net: nn.Module, lr: float, *, amp: bool, channels_last: bool = False
    ) -> None:
        last = torch.channels_last if channels_last else torch.contiguous_format
        self._format, self._amp = last, amp
        self.net = net.to(memory_format=last)
        self._device = next(net.parameters()).device
        self.optimizer = torch.optim.SGD(
            net.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=5e-4
        )

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Make an update on images `[B, C, H, W]`; return the loss, not waited for."""
        self.net.train()
        images = images.contiguous(memory_format=self._format)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._amp):
            loss = F.cross_entropy(self.net(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def train_on(self, batches: Iterable[tuple[Tensor, Tensor]]) -> list[float]:
        """Make an update on every batch of a loader; return the losses."""
        losses = []
        for images, labels in batches:
            images = images.to(self._device, non_blocking=True)
            labels = labels.to(self._device, non_blocking=True)
            losses.append(self.step(images, labels).item())
        return losses

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor, size: int) -> tuple[float, int]:
        """Return mean loss and correct answers, in passes of `size` images."""
        self.net.eval()
        total, correct = 0.0, 0
        for start in range(0, len(labels), size):
            x, y = images[start : start + size], labels[start : start + size]
            x = x.contiguous(memory_format=self._format)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._amp):
                logits = self.net(x).float()
            total += F.cross_entropy(logits, y, reduction="sum").item()
            correct += int(logits.argmax(1).eq(y).sum().item())
        return total / len(labels), correct
