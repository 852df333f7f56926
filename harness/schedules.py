"""Learning-rate schedules: multipliers of the peak rate for updates 1 .. num_steps.

With t = k - 1 updates completed before update k, and W = warmup_epochs *
steps_per_epoch rounded to an integer (half to even), update k is multiplied by
min(1, (t + 1) / W) * decay(t). The first multiplier is 1 / W (1 without warm-up), the
peak is reached at update W. A decay to 0 is 0 at t = num_steps, after the last update:
no update is wasted.
"""

import itertools
import math

import numpy as np
import numpy.typing as npt

from harness.registry import SCHEDULES

Factors = npt.NDArray[np.float64]
"""Multipliers `[num_steps]` of the peak learning rate, each in (0, 1]."""


@SCHEDULES.register("constant")
def constant(
    num_steps: int, steps_per_epoch: int, *, warmup_epochs: float = 1.0
) -> Factors:
    """Return warm-up, then 1; the last value is 1.

    Raises:
        ValueError: The warm-up is negative or longer than the run.

    Example:
        >>> constant(4, 2).tolist()
        [0.5, 1.0, 1.0, 1.0]
    """
    num_warmup = _warmup_steps(num_steps, steps_per_epoch, warmup_epochs)
    return _warmup(num_steps, num_warmup)


@SCHEDULES.register("cosine")
def cosine(
    num_steps: int, steps_per_epoch: int, *, warmup_epochs: float = 1.0
) -> Factors:
    """Return warm-up, then half a cosine from 1 to 0.

    Formula: decay(t) = (1 + cos(pi * (t - W) / (num_steps - W))) / 2 for t >= W
    (Loshchilov and Hutter, arXiv 1608.03983, eq. 5, without restarts). The last value
    is (1 - cos(pi / (num_steps - W))) / 2, or 1 if the run is all warm-up.

    Raises:
        ValueError: The warm-up is negative or longer than the run.

    Example:
        >>> cosine(4, 1, warmup_epochs=0).round(4).tolist()
        [1.0, 0.8536, 0.5, 0.1464]
    """
    num_warmup = _warmup_steps(num_steps, steps_per_epoch, warmup_epochs)
    t = np.arange(num_steps, dtype=np.float64)
    share = np.maximum(t - num_warmup, 0) / max(num_steps - num_warmup, 1)
    decay: Factors = (1 + np.cos(np.pi * share)) / 2
    return _warmup(num_steps, num_warmup) * decay


@SCHEDULES.register("const_cool")
def const_cool(
    num_steps: int,
    steps_per_epoch: int,
    *,
    warmup_epochs: float = 1.0,
    cooldown_frac: float = 0.2,
) -> Factors:
    """Return warm-up, then 1, then a straight line to 0 over the last updates.

    Formula: decay(t) = min(1, (num_steps - t) / C) with C = cooldown_frac * num_steps
    rounded (half to even). The last value is 1 / C. Haegele et al., arXiv 2405.18392.

    Raises:
        ValueError: A length is out of range, or warm-up and cool-down overlap.

    Example:
        >>> const_cool(10, 1, warmup_epochs=2, cooldown_frac=0.4).tolist()
        [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if not 0 <= cooldown_frac <= 1:
        raise ValueError(f"cooldown_frac is {cooldown_frac}, expected 0 to 1")
    num_warmup = _warmup_steps(num_steps, steps_per_epoch, warmup_epochs)
    num_cool = round(cooldown_frac * num_steps)
    if num_warmup + num_cool > num_steps:
        raise ValueError(
            f"warm-up of {num_warmup} and cool-down of {num_cool} updates overlap in a "
            f"run of {num_steps}: lower warmup_epochs or cooldown_frac"
        )
    left = np.arange(num_steps, 0, -1, dtype=np.float64)
    decay = np.minimum(1.0, left / max(num_cool, 1))
    return _warmup(num_steps, num_warmup) * decay


@SCHEDULES.register("step")
def step(
    num_steps: int,
    steps_per_epoch: int,
    *,
    warmup_epochs: float = 1.0,
    milestones: tuple[float, ...] = (0.5, 0.75),
    factor: float = 0.1,
) -> Factors:
    """Return warm-up, then a constant that is cut at each milestone.

    Formula: decay(t) = factor^n with n the number of milestones m for which
    t >= m * num_steps rounded (half to even). The last value is
    factor^len(milestones).

    Raises:
        ValueError: The warm-up is longer than the run, milestones are not increasing
            in (0, 1), or the factor is not in (0, 1].

    Example:
        >>> step(4, 1, warmup_epochs=0, factor=0.5).tolist()
        [1.0, 1.0, 0.5, 0.25]
    """
    edges = (0.0, *milestones, 1.0)
    if not all(a < b for a, b in itertools.pairwise(edges)):
        raise ValueError(
            f"milestones is {milestones}, expected increasing shares between 0 and 1"
        )
    if not 0 < factor <= 1:
        raise ValueError(f"factor is {factor}, expected above 0 and at most 1")
    num_warmup = _warmup_steps(num_steps, steps_per_epoch, warmup_epochs)
    cuts = np.array([round(m * num_steps) for m in milestones], dtype=np.int64)
    passed = np.searchsorted(cuts, np.arange(num_steps), side="right")
    return _warmup(num_steps, num_warmup) * np.power(float(factor), passed)


def _warmup_steps(num_steps: int, steps_per_epoch: int, warmup_epochs: float) -> int:
    if not (warmup_epochs >= 0 and math.isfinite(warmup_epochs)):
        raise ValueError(f"warmup_epochs is {warmup_epochs}, expected 0 or more")
    num_warmup = round(warmup_epochs * steps_per_epoch)
    if num_warmup > num_steps:
        raise ValueError(
            f"a warm-up of {warmup_epochs} epochs is {num_warmup} updates, but the run "
            f"has {num_steps}: lower warmup_epochs or train longer"
        )
    return num_warmup


def _warmup(num_steps: int, num_warmup: int) -> Factors:
    done = np.arange(1, num_steps + 1, dtype=np.float64)
    return np.minimum(1.0, done / max(num_warmup, 1))
