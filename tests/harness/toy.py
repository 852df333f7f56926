"""A toy data set and toy configurations for tests of the training loop."""

import numpy as np
import torch

from harness.datasets import DataSet, Split
from harness.feed import DeviceData
from harness.spec import Part, Recording, RunConfig


def toy_dataset(num_train: int = 64, side: int = 8) -> DataSet:
    """Four classes: a bright quadrant in noise."""
    numbers = np.random.default_rng(0)

    def split(n: int) -> Split:
        labels = numbers.integers(0, 4, n)
        images = numbers.integers(0, 120, (n, 1, side, side), dtype=np.uint8)
        half = side // 2
        for image, label in zip(images, labels, strict=True):
            top, left = divmod(int(label), 2)
            rows = slice(top * half, top * half + half)
            image[0, rows, left * half : left * half + half] += 100
        return Split(images, labels)

    return DataSet("toy", split(num_train), split(32), split(48), 4)


def toy_data(**sizes: int) -> DeviceData:
    """Return the toy data set on the CPU."""
    return DeviceData(toy_dataset(**sizes), torch.device("cpu"))


def toy_run(
    *,
    lr: float = 0.05,
    optimizer: str = "sgd",
    schedule: str = "cosine",
    model: str = "mlp",
    augmentation: str = "none",
    seed: int = 0,
    epochs: int = 3,
    batch_size: int = 8,
    evals_per_epoch: int = 2,
    **changes: object,
) -> RunConfig:
    """Return a resolved run on a data set whose name is never looked up."""
    models = {
        "mlp": Part("mlp", {"width": 16, "depth": 1}),
        "normalised": Part("mlp", {"width": 16, "depth": 1, "norm": "batch"}),
        "patchnet": Part("patchnet", {"width": 0.25}),
        "resnet20": Part("resnet20", {"width": 0.25}),
    }
    fields: dict[str, object] = {
        "dataset": Part("digits"),
        "model": models.get(model, Part(model)),
        "optimizer": Part(optimizer, {"lr": lr}),
        "schedule": Part(schedule),
        "augmentation": Part(augmentation),
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "recording": Recording(evals_per_epoch=evals_per_epoch, train_subset=16),
    }
    return RunConfig(**(fields | changes)).resolve()  # type: ignore[arg-type]
