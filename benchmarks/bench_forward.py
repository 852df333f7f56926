"""Time a stacked model's loss and gradient against an ordinary one, a run at a time.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_forward.py
Set MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=8000000000 as for training.
Both sides are timed in turn, in CPU seconds, and medians are printed.
"""

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models import Mlp, PatchNet

SHAPE, CLASSES, ROUNDS = (1, 8, 8), 10, 15


def plain_mlp() -> nn.Module:
    """Return the ordinary twin of `mlp`."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, CLASSES),
    )


def plain_patchnet() -> nn.Module:
    """Return the ordinary twin of `patchnet`."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 2, 2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, CLASSES),
    )


def gradient(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], object]:
    """Return a function that computes every parameter's gradient of the mean loss."""
    parameters = list(model.parameters())
    scale = 1 / x.shape[-4]

    def step() -> object:
        logits = model(x).reshape(-1, CLASSES)
        loss = F.cross_entropy(logits, y, reduction="sum") * scale
        return torch.autograd.grad(loss, parameters)

    return step


def microseconds(step: Callable[[], object], repeats: int) -> float:
    """Return the CPU time of one call."""
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats * 1e6


def main() -> None:
    """Print one line a setting."""
    torch.set_num_threads(1)
    twins = {"mlp": (Mlp, plain_mlp), "patchnet": (PatchNet, plain_patchnet)}
    print("model     B   S  plain us  stacked us/run  ratio [min, max]")
    for name, (stacked, plain) in twins.items():
        for batch in (16, 32, 64):
            labels = torch.randint(CLASSES, (batch,))
            ordinary = gradient(plain(), torch.randn(batch, *SHAPE), labels)
            for num_runs in (1, 8, 24, 32, 48):
                x = torch.randn(num_runs, batch, *SHAPE)
                model = stacked(num_runs, SHAPE, CLASSES)
                many = gradient(model, x, labels.repeat(num_runs))
                many(), ordinary()
                rows = [
                    (
                        microseconds(ordinary, 10),
                        microseconds(many, 1 + 20 // num_runs) / num_runs,
                    )
                    for _ in range(ROUNDS)
                ]
                a, b = (statistics.median(column) for column in zip(*rows, strict=True))
                ratios = [one / two for one, two in rows]
                ends = f"[{min(ratios):.1f}, {max(ratios):.1f}]"
                ratio = statistics.median(ratios)
                print(
                    f"{name:8} {batch:3} {num_runs:3} {a:8.0f} {b:11.0f} "
                    f"{ratio:11.1f} {ends}"
                )


if __name__ == "__main__":
    main()
