"""How fast a device multiplies matrices, with which the speed of training compares."""

import statistics
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Final

import torch

from harness.seeds import derive

SIZES: Final = (128, 256, 512, 1024, 2048, 4096, 8192)
"""Sides of the matrices; the largest that the budget allows decides."""
PRODUCTS: Final = 5
"""Products timed at least, after one that is not."""
BUDGET_S: Final = 0.3
"""Seconds that a size may take, about."""


@cache
def matmul_rate(device: torch.device, precision: str) -> float:
    """Return the operations a second of a square matrix product.

    This is the denominator of utilisation, as nothing reaches the peak of a data
    sheet. Formula: 2 n^3 / t, with t the median time of several products of random
    matrices (zeros would draw less power and run faster) and n the largest of `SIZES`
    that the budget allows: 1024 on one core, 8192 on a data-centre GPU. Products use
    the threads and the float32 setting (TF32 or not) of the process, and share the
    device with whatever else runs on it.

    Range: more than 0, operations a second. Cost: about `BUDGET_S` seconds and three
    matrices of memory, once a process, device and precision.

    Args:
        device: Where.
        precision: float32 or bfloat16.

    Example:
        A core of 32 float32 operations a cycle at 3 GHz reaches at most 9.6e10.
    """
    dtype: torch.dtype = getattr(torch, precision)
    size = SIZES[0]
    seconds = _seconds_of_product(size, device, dtype, PRODUCTS)
    for larger in SIZES[1:]:
        if 8 * (PRODUCTS + 1) * seconds > BUDGET_S:  # eight times the work
            break
        size = larger
        seconds = _seconds_of_product(size, device, dtype, PRODUCTS)
    if (more := int(BUDGET_S / 2 / seconds)) > PRODUCTS:  # its clock was still rising
        seconds = _seconds_of_product(size, device, dtype, more)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # hundreds of megabytes, which others may need
    return 2 * size**3 / seconds


def _seconds_of_product(
    size: int, device: torch.device, dtype: torch.dtype, count: int
) -> float:
    """Return the median seconds of a product, the first one apart."""
    random = torch.Generator(device).manual_seed(derive(0, "matmul-rate"))
    left, right = torch.randn(
        2, size, size, generator=random, device=device, dtype=dtype
    )
    out = torch.empty_like(left)

    def multiply() -> None:
        torch.mm(left, right, out=out)

    multiply()
    if device.type == "cuda":
        return statistics.median(_event_seconds(multiply, count, device))
    return statistics.median(_host_seconds(multiply, count))


def _host_seconds(action: Callable[[], None], count: int) -> list[float]:
    marks = [time.perf_counter()]
    for _ in range(count):
        action()
        marks.append(time.perf_counter())
    return [end - start for start, end in pairwise(marks)]


def _event_seconds(
    action: Callable[[], None], count: int, device: torch.device
) -> list[float]:
    """Time by events between the products, which the host does not wait for."""
    marks = [
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(count + 1)
    ]
    stream = torch.cuda.current_stream(device)
    marks[0].record(stream)
    for mark in marks[1:]:
        action()
        mark.record(stream)
    marks[-1].synchronize()
    return [start.elapsed_time(end) / 1000 for start, end in pairwise(marks)]
