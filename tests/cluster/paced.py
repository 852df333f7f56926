"""Grids whose runs take as long as a file is there; their numbers are the same."""

import dataclasses
import os
import time
from pathlib import Path

from torch import Tensor

from harness.models.mlp import Mlp
from harness.profiles import Profile
from harness.spec import Part, RunConfig

STEP_S = 0.05


class Paced(Mlp):
    """Perceptrons that are slow while the file BRAKE is there."""

    def forward(self, x: Tensor) -> Tensor:
        if Path(os.environ["BRAKE"]).exists():
            time.sleep(STEP_S)
        return super().forward(x)


def model(num_runs: int, in_shape: tuple[int, ...], num_classes: int) -> Paced:
    """Return small ones."""
    return Paced(num_runs, in_shape, num_classes, width=16, depth=1)


def grid(base: Profile) -> list[RunConfig]:
    """Return 8 runs in 4 cohorts; with the brake, a cohort takes some 30 s."""
    runs = [
        base.run(optimizer=optimizer, batch_size=batch_size, seed=seed)
        for optimizer in ("sgd", "adamw")
        for batch_size in (64, 128)
        for seed in range(2)
    ]
    slow = Part("tests.cluster.paced:model")
    return [dataclasses.replace(run, model=slow, epochs=60) for run in runs]


def one(base: Profile) -> list[RunConfig]:
    """Return the first of them."""
    return grid(base)[:1]
