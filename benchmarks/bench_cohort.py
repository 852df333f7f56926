"""Cohort training of the digits profile against the plain loop a user would write.

Same network, data, batches, updates and optimizer on one thread; both record the loss
of every step and score the validation images once an epoch. The plain loop takes its
batches from a DataLoader, trains one run after the other and calls `.item()` each step.

Floor: an update of B images is about 3 x 74 kFLOP x B of matrix products; the last
column is the cohort's share of the rate that one large float32 product reaches here.
"""

import dataclasses
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from harness.datasets.source import find_source
from harness.executors.local import cpu_environment
from harness.feed import DeviceData
from harness.planning import PACK
from harness.profiles import digits
from harness.registry import DATASETS
from harness.spec import NONE, Recording, RunConfig
from harness.train import train

ROUNDS = 3
PLAIN_RUNS = 2
FLOP_AN_IMAGE = 3 * 74e3


def plain_loop(run: RunConfig, data: DeviceData) -> list[float]:
    """Train one run as a user would; return the losses."""
    torch.manual_seed(run.seed)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 2, 2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    images = data.normalise(data.train.inputs)
    held_out = data.normalise(data.validation.inputs)
    loader = DataLoader(
        TensorDataset(images, data.train.labels),
        batch_size=run.batch_size,
        shuffle=True,
        drop_last=True,
    )
    hyper = run.optimizer.params
    optimizer = torch.optim.SGD(
        model.parameters(), hyper["lr"], 0.9, nesterov=True, weight_decay=hyper["l2"]
    )
    steps = run.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(run.epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        with torch.no_grad():
            model(held_out).argmax(1).eq(data.validation.labels).sum().item()
    return losses


def seconds(action) -> float:  # type: ignore[no-untyped-def]
    """Return the processor seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def product_rate() -> float:
    """Return the FLOP/s of a large float32 matrix product on this thread."""
    a = torch.randn(1024, 1024)
    best = min(seconds(lambda: a @ a) for _ in range(10))
    return 2 * 1024**3 / best


def compare(batch_size: int, data: DeviceData) -> list[float]:
    """Print one line of the table and return the ratios."""
    profile = digits()
    recording = Recording(evals_per_epoch=1, train_subset=1)
    cohort = [
        dataclasses.replace(
            profile.run(batch_size=batch_size, lr_mult=0.1 + 0.05 * i, seed=i % 3),
            augmentation=NONE,
            recording=recording,
        ).resolve()
        for i in range(PACK)
    ]
    train(cohort, data)
    plain_loop(cohort[0], data)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: train(cohort, data)) / PACK)
        plain = seconds(lambda: [plain_loop(r, data) for r in cohort[:PLAIN_RUNS]])
        theirs.append(plain / PLAIN_RUNS)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    run = cohort[0]
    images = run.epochs * (len(data.train) // run.batch_size) * run.batch_size
    share = images * FLOP_AN_IMAGE / statistics.median(ours) / product_rate()
    print(
        f"{cohort[0].batch_size:5d}  {60 / statistics.median(theirs):9.0f}"
        f"  {60 / statistics.median(ours):10.0f}"
        f"  {statistics.median(ratios):5.1f} [{min(ratios):.1f}, {max(ratios):.1f}]"
        f"  {share:6.0%}"
    )
    return ratios


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    part = digits().dataset.resolve(DATASETS)
    dataset = DATASETS.get(part.name)(find_source(), **part.params)
    data = DeviceData(dataset, torch.device("cpu"))
    print(f"whole runs a minute on one core; load {os.getloadavg()[0]:.1f}")
    print("batch  plain/min  cohort/min  ratio [min, max]  of product rate")
    medians = [statistics.median(compare(b, data)) for b in (64, 128, 256)]
    print(f"mean over the batch sizes of T-4: {statistics.mean(medians):.1f}")


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":  # as the harness starts its workers
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | cpu_environment(1)
        )
    main()
