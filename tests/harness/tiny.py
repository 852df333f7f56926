"""A profile and a grid that train in moments, for tests of the command line."""

import dataclasses
import os
import time
from pathlib import Path

import torch

from harness.profiles import Profile, digits
from harness.spec import Part, Recording, RunConfig


def profile() -> Profile:
    """Return digits with little of everything."""
    ood = Part("corrupted", {"num_images": 32, "severities": (1, 5)})
    return dataclasses.replace(
        digits(),
        name="tiny",
        dataset=Part("digits", {"train_size": 128, "validation_size": 64}),
        epochs=3,
        recording=Recording(train_subset=32, evals_per_epoch=1, ood=(ood,)),
        offered=(),
        probes=(),
    )


def shortest_profile() -> Profile:
    """Return the least that a run can be, for whole grids of them."""
    recording = Recording(train_subset=8, evals_per_epoch=1)
    return dataclasses.replace(profile(), epochs=20, recording=recording)


def half_profile() -> Profile:
    """Return the same for a GPU."""
    return dataclasses.replace(profile(), precision="bfloat16")


def grid(base: Profile) -> list[RunConfig]:
    """Return 12 runs in 6 cohorts."""
    return [
        base.run(optimizer=optimizer, batch_size=batch_size, seed=seed)
        for optimizer in ("sgd", "adamw", "lion")
        for batch_size in (64, 128)
        for seed in range(2)
    ]


def slow_grid(base: Profile) -> list[RunConfig]:
    """Return 6 runs in 3 cohorts, of which the first to train takes some seconds."""
    runs = [base.run(optimizer=o, seed=s) for o in base.optimizers for s in range(2)]
    return [*(dataclasses.replace(run, epochs=300) for run in runs[:2]), *runs[2:]]


def broken_model(in_shape: tuple[int, ...], num_classes: int) -> None:
    """Fail like a user's model with a mistake in it."""
    raise RuntimeError("this model cannot be built")


def hanging_model(in_shape: tuple[int, ...], num_classes: int) -> None:
    """Hang like a deadlocked loader, the first time that it is built here."""
    marker = Path(os.environ["RUNCAST_CACHE_DIR"]) / "hung-once"
    if not marker.exists():
        marker.touch()
        time.sleep(3600)
    raise RuntimeError("built after all")


def spoiling_model(in_shape: tuple[int, ...], num_classes: int) -> torch.nn.Module:
    """Break the device's context the first time that it is built here."""
    marker = Path(os.environ["RUNCAST_CACHE_DIR"]) / "spoiled-once"
    if not marker.exists():
        marker.touch()
        raise torch.AcceleratorError("CUDA error: an illegal memory access")
    size = in_shape[0] * in_shape[1] * in_shape[2]
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size, num_classes))


def spoiling_grid(base: Profile) -> list[RunConfig]:
    """Return one run whose model breaks the device when it is first built."""
    model = Part("tests.harness.tiny:spoiling_model")
    return [dataclasses.replace(base.run(), model=model)]


def hanging_grid(base: Profile) -> list[RunConfig]:
    """Return one run whose model hangs when it is first built."""
    model = Part("tests.harness.tiny:hanging_model")
    return [dataclasses.replace(base.run(), model=model)]


def broken_grid(base: Profile) -> list[RunConfig]:
    """Return a sound run and one whose model fails."""
    sound = base.run()
    model = Part("tests.harness.tiny:broken_model")
    return [sound, dataclasses.replace(sound, model=model)]


def wild_grid(base: Profile) -> list[RunConfig]:
    """Return a run that diverges beside one that does not."""
    return [base.run(lr_mult=1e12), base.run()]
