"""Curvature of a small residual network: what products cost and what errors they leave.

Three tables, each by its name on the command line (all by default):

cost      A product with the Hessian in gradients of the same images, ours and
          curvlinops', and what the allocator's settings do to ours.
together  lambda_1 and the trace at equal error: Lanczos, whose basis deflates the
          trace, against curvlinops' operator with eigsh and Hutchinson or Hutch++.
error     Errors by products, images and precision.

The network is ResNet-20 at half width after 240 updates; images are the digits, blown
up to 32 x 32, or those of the data set in RUNCAST_BENCH_DATASET. Floor: a product from
a kept graph is 6.8 / 3.3 = 2.0 times a gradient in operations.
"""

import copy
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn

from harness.cohort import CohortNet
from harness.curvature.lanczos import extremes, lanczos
from harness.curvature.trace import deflated_hutchinson, hutch_plus_plus, hutchinson
from harness.curvature.vectors import gaussian, rademacher
from harness.datasets import DataSet
from harness.datasets.source import find_source
from harness.executors.local import cpu_environment
from harness.landscape import Landscape
from harness.registry import DATASETS
from harness.seeds import stream
from harness.spec import Part

IMAGES = 128
ROUNDS = 5
UPDATES, BATCH, RATE = 240, 64, 0.05
LANCZOS, PROBES = 8, 8
ALLOCATOR = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")

Images = tuple[Tensor, Tensor]


def load() -> Images:
    """Return normalised images `[n, C, 32, 32]` in random order, and labels."""
    name = os.environ.get("RUNCAST_BENCH_DATASET", "digits")
    part = Part(name, {} if name == "digits" else {"subset": 8192}).resolve(DATASETS)
    data: DataSet = DATASETS.get(name)(find_source(), **part.params)
    order = stream(0, "bench-images").permutation(len(data.train.labels))
    images = torch.from_numpy(data.train.inputs[order]).float()
    images = images.repeat_interleave(32 // images.shape[2], 2)
    images = images.repeat_interleave(32 // images.shape[3], 3)
    images = (images - images.mean()) / images.std()
    print(f"{name}: {len(images)} images {list(images.shape[1:])}")
    return images, torch.from_numpy(data.train.labels[order])


def trained(images: Tensor, labels: Tensor) -> CohortNet:
    """Return the network after some updates."""
    net = CohortNet(
        Part("resnet20", {"width": 0.5}),
        [0],
        tuple(images.shape[1:]),
        10,
        device=torch.device("cpu"),
    )
    for step in range(UPDATES):
        chosen = torch.from_numpy(stream(0, "bench", step).choice(len(images), BATCH))
        logits = net.train_logits(images[None, chosen], step)
        loss = nn.functional.cross_entropy(logits[0], labels[chosen])
        net.params.sub_(net.gradients(loss[None]), alpha=RATE)
    return net


def curvlinops_operator(net: CohortNet, images: Tensor, labels: Tensor) -> Any:
    """Return curvlinops' Hessian of the same loss."""
    from curvlinops import HessianLinearOperator

    module = copy.deepcopy(net.modules()[0][0]).eval()
    return HessianLinearOperator(
        module,
        nn.CrossEntropyLoss(),
        list(module.parameters()),
        [(images, labels)],
        check_deterministic=False,
    )


def seconds(action: Callable[[], Any]) -> float:
    """Return the processor seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def spread(values: list[float]) -> str:
    """Return the median and the quartiles."""
    first, middle, last = statistics.quantiles(values, n=4)
    return f"{middle:5.2f} [{first:.2f}, {last:.2f}]"


def cost(net: CohortNet, images: Tensor, labels: Tensor) -> None:
    """Print what a product costs."""
    x, y = images[:IMAGES], labels[:IMAGES]
    there, theirs = Landscape(net, x, y), curvlinops_operator(net, x, y)
    v = gaussian([0], there.shape[1], 0)
    error = (there.hvp(v)[0] - theirs @ v[0]).norm() / (theirs @ v[0]).norm()
    actions: dict[str, Callable[[], Any]] = {
        "gradient": lambda: there.gradient_at(torch.zeros_like(v)),
        "set-up": lambda: (there.release(), there.gradient()),
        "product": lambda: there.hvp(v),
        "covariance product": lambda: there.covariance_product(v),
        "curvlinops product": lambda: theirs @ v[0],
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, action in actions.items():
            times[name].append(seconds(action))
    print(f"\n{IMAGES} images, in gradients; the products differ by {error:.1e}")
    for name, found in times.items():
        ratios = [a / b for a, b in zip(found, times["gradient"], strict=True)]
        print(f"  {name:20s} {spread(ratios)}   {statistics.median(found):.3f} s")
    ratios = [
        a / b
        for a, b in zip(times["curvlinops product"], times["product"], strict=True)
    ]
    print(f"  {'curvlinops / ours':20s} {spread(ratios)}")


def allocator(net: CohortNet, images: Tensor, labels: Tensor) -> None:
    """Print the seconds of one product, for the comparison of settings."""
    for chunk in (64, IMAGES):
        there = Landscape(net, images[:IMAGES], labels[:IMAGES], chunk=chunk)
        v = gaussian([0], there.shape[1], 0)
        there.hvp(v)
        found = [seconds(lambda: there.hvp(v)) for _ in range(ROUNDS)]  # noqa: B023
        print(f"  micro-batch {chunk:4d}: {statistics.median(found):.3f} s")


def settings() -> None:
    """Print the seconds of a product with the allocator as set by us and as it is."""
    plain = {k: v for k, v in os.environ.items() if k not in ALLOCATOR}
    for label, environment in (("set as by the harness", os.environ), ("plain", plain)):
        print(f"allocator {label}", flush=True)
        subprocess.run(
            [sys.executable, __file__, "allocator"], env=environment, check=True
        )


def sd_of(estimates: list[float]) -> float:
    """Return the standard deviation."""
    return float(np.std(estimates, ddof=1))


def together(net: CohortNet, images: Tensor, labels: Tensor) -> None:
    """Print the cost of lambda_1 and trace at equal error."""
    x, y = images[:IMAGES], labels[:IMAGES]
    there, theirs = Landscape(net, x, y), curvlinops_operator(net, x, y)
    dim = there.shape[1]

    def draw(seed: int) -> Callable[[int], Tensor]:
        return lambda index: rademacher([seed], dim, index, purpose="probe")

    def ours(seed: int) -> tuple[float, float]:
        found = lanczos(there.hvp, gaussian([seed], dim, 0), LANCZOS)
        traces = deflated_hutchinson(there.hvp, found, draw(seed), PROBES)
        top = extremes(found, 1.0).largest.value[0]
        return float(top), float(traces.trace.value[0])

    reference = lanczos(there.hvp, gaussian([99], dim, 0), 40)
    top = extremes(reference).largest.value[0]
    exact = deflated_hutchinson(there.hvp, reference, draw(99), 60).trace
    size = exact.value[0]
    found = [ours(seed) for seed in range(8)]
    aim = sd_of([trace for _, trace in found]) / size
    miss = max(abs(value / top - 1) for value, _ in found)
    print(f"\nlambda_1 {top:.4g}, trace {size:.4g} +- {exact.se[0]:.2g}")
    print(
        f"ours, {LANCZOS} + {PROBES} products: trace sd {aim:.1%}, lambda_1 {miss:.0e}"
    )

    single = hutchinson(there.hvp, draw(7), 96).trace.se[0] * 96**0.5 / size
    plain = max(2, round((single / aim) ** 2))
    print(f"Hutchinson: sd {single:.1%} a probe, so {plain} probes")
    better = 0
    for budget in (12, 15, 18, 21, 24, 36, 48):
        estimates = [
            float(hutch_plus_plus(there.hvp, draw(s), budget).trace.value[0])
            for s in range(8)
        ]
        deviation = sd_of(estimates) / size
        print(f"Hutch++: sd {deviation:.1%} at {budget}")
        better = budget
        if deviation <= aim:
            break
    race(there, theirs, ours, plain, better)


def race(
    there: Landscape,
    theirs: Any,
    ours: Callable[[int], tuple[float, float]],
    plain: int,
    better: int,
) -> None:
    """Print seconds of ours and of curvlinops' three parts, interleaved."""
    from curvlinops import hutchinson_trace, hutchpp_trace

    start = gaussian([0], there.shape[1], 0)[0].numpy()
    sample = min(plain, 24)

    def mine() -> None:
        there.release()
        ours(0)

    def top(**tuned: int) -> None:
        eigsh(theirs.to_scipy(), k=1, which="LA", v0=start, tol=1e-3, **tuned)

    parts: dict[str, Callable[[], Any]] = {
        "ours": mine,
        "eigsh": top,
        "eigsh with a small basis": lambda: top(ncv=6),
        "Hutchinson": lambda: hutchinson_trace(theirs, sample),
        "Hutch++": lambda: hutchpp_trace(theirs, better),
    }
    torch.manual_seed(0)
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(3):
        for name, part in parts.items():
            times[name].append(seconds(part))
    times["Hutchinson"] = [t * plain / sample for t in times["Hutchinson"]]
    for name, found in times.items():
        print(f"  {name:25s} {statistics.median(found):7.2f} s")
    for first in ("eigsh", "eigsh with a small basis"):
        for second in ("Hutchinson", "Hutch++"):
            rows = zip(times[first], times[second], times["ours"], strict=True)
            ratios = [(a + b) / c for a, b, c in rows]
            print(f"  ({first} + {second}) / ours: {spread(ratios)}")


def estimate(there: Landscape, seed: int, products: int) -> tuple[float, float]:
    """Return lambda_1 and the trace from half the products each."""
    dim = there.shape[1]
    found = lanczos(there.hvp, gaussian([seed], dim, 0), products // 2)
    traces = deflated_hutchinson(
        there.hvp,
        found,
        lambda index: rademacher([seed], dim, index, purpose="probe"),
        products - products // 2,
    )
    top = extremes(found, 1.0).largest.value[0]
    return float(top), float(traces.trace.value[0])


def error(net: CohortNet, images: Tensor, labels: Tensor) -> None:
    """Print errors by products, by images and by precision."""
    x, y = images[:IMAGES], labels[:IMAGES]
    there = Landscape(net, x, y)
    top, size = estimate(there, 99, 80)
    print(
        f"\n{IMAGES} images: mean absolute errors over 8 seeds, half the products each"
    )
    for products in (6, 8, 12, 16):
        found = np.array([estimate(there, s, products) for s in range(8)])
        off = np.abs(found / [top, size] - 1).mean(0)
        print(f"  {products:3d} products: lambda_1 {off[0]:.1e}, trace {off[1]:.1%}")
    rough = Landscape(net, x, y, precision="bfloat16")
    exact, noisy = estimate(there, 0, 12), estimate(rough, 0, 12)
    print(
        f"  bfloat16, same probes: lambda_1 {noisy[0] / exact[0] - 1:+.1%}, "
        f"trace {noisy[1] / exact[1] - 1:+.1%}"
    )
    rough.release()
    many = 1024
    top, size = estimate(Landscape(net, images[:many], labels[:many]), 0, 24)
    print(f"disjoint subsets of {many} images against all of them, 16 products")
    for count in (64, 128, 256, 512):
        parts = range(0, min(many, 8 * count), count)
        found = np.array(
            [
                estimate(
                    Landscape(net, images[i : i + count], labels[i : i + count]), 0, 16
                )
                for i in parts
            ]
        )
        ratio = found / [top, size] - 1
        print(
            f"  {count:4d} images: lambda_1 {ratio[:, 0].mean():+.1%} "
            f"sd {ratio[:, 0].std(ddof=1):.1%}, trace {ratio[:, 1].mean():+.1%} "
            f"sd {ratio[:, 1].std(ddof=1):.1%}"
        )


def main() -> None:
    """Print the tables asked for."""
    torch.set_num_threads(1)
    # curvlinops 3.0.1 calls torch.jit, which torch deprecates.
    warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
    tables = {"cost": cost, "together": together, "error": error}
    asked = sys.argv[1:] or [*tables, "settings"]
    images, labels = load()
    net = trained(images, labels)
    for name in asked:
        if name == "settings":
            settings()
        else:
            (tables | {"allocator": allocator})[name](net, images, labels)


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":  # as the harness starts its workers
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | cpu_environment(1)
        )
    main()
