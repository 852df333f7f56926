"""Seconds a call of something that a device does while the host goes on."""

import time
from collections.abc import Callable

import torch


def seconds_per_call(
    action: Callable[[int], object],
    device: torch.device,
    *,
    seconds: float,
    settled: Callable[[], bool] = lambda: True,
) -> tuple[float, float]:
    """Return the mean seconds of a call, and what the calls before took.

    At least one call comes before, and as many as it takes until `settled`; they and
    the timed ones are numbered from 0.

    Args:
        action: Called with its number.
        device: Waited for before and after.
        seconds: Timed calls go on for so long.
        settled: Whether later calls compile, choose and record nothing.
    """
    wait(device)
    began, number = time.perf_counter(), 0
    while number == 0 or not settled():
        action(number)
        number += 1
    wait(device)
    start, first = time.perf_counter(), number
    while number == first or time.perf_counter() - start < seconds:
        action(number)
        number += 1
        if (number - first) % 32 == 0:
            wait(device)  # the host must not run seconds ahead of the device
    wait(device)
    return (time.perf_counter() - start) / (number - first), start - began


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
