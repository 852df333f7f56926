"""Knees of the epoch means: two segments, and the test that knows the learning rate."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.early.curves import EarlyCurves
from harness.early.estimates import of_epochs, put_together, with_reasons
from harness.fits.knee import MIN_BINS, THRESHOLD, find_knees
from harness.fits.two_segment import MIN_POINTS, fit_two_segment
from harness.measure import NOT_APPLICABLE, OK, Estimates
from harness.registry import CURVE_SIGNALS

JUMP: Final = 1.6
"""Factor of one step of the rate that is a jump: more than a linear warm-up's after its
first steps, less than that of any step schedule in use."""
DRIFT: Final = 0.01
"""Relative change of the rate over an epoch that counts as one."""


class RateChanges(NamedTuple):
    """When a learning rate changed, epochs."""

    jumps: tuple[float, ...]
    """Times between the two steps of each jump."""
    drifts: tuple[float, ...]
    """Mean times of the epochs in which it changed otherwise."""


@CURVE_SIGNALS.register("two_segment")
def two_segment(
    curves: EarlyCurves, *, skip_epochs: int = 2, min_points: int = MIN_POINTS
) -> Estimates:
    """Fit two power laws joined at a knee to the epoch means.

    `harness.fits.two_segment`, whatever the learning rate does; t in epochs.
    "too_short" below 12 epochs after those skipped.

    Args:
        curves: Curves up to the window.
        skip_epochs: Epochs left out at the start, where an epoch is wide in ln t.
        min_points: Epochs on either side of the knee.

    Example:
        t^-0.9 up to epoch 15 and 15^-0.4 t^-0.5 after it: t_knee near 15.
    """
    found = fit_two_segment(
        curves.epoch_axis(),
        curves.epoch_means(),
        window=(skip_epochs, np.inf),
        min_points=min_points,
    )
    return of_epochs(found, curves.steps_per_epoch)


@CURVE_SIGNALS.register("knee")
def knee(
    curves: EarlyCurves,
    *,
    skip_epochs: int = 2,
    min_bins: int = MIN_BINS,
    threshold: float = THRESHOLD,
    jump: float = JUMP,
    drift: float = DRIFT,
    near: float = 1.0,
    seed: int = 0,
) -> Estimates:
    """Test the epoch means for a knee that the learning rate's jumps do not explain.

    `harness.fits.knee`, t in epochs, with a free bend at each jump of the run's own
    recorded learning rate (`rate_changes`). `schedule` is 1 where the rate jumped or
    drifted within `near` epochs of the knee; under a cosine it drifts in nearly every
    epoch, and a knee says little. "too_short" below 12 epochs after those skipped;
    "not_applicable" where the rate was not recorded.

    Args:
        curves: Curves up to the window.
        skip_epochs: Epochs left out at the start, where an epoch is wide in ln t.
        min_bins: Epochs on either side of a knee.
        threshold: Evidence asked for, a difference of BIC.
        jump: Factor, up or down, above which one step of the rate is a jump.
        drift: Relative change of the rate over an epoch, jumps apart, that counts.
        near: How near a change of the rate is the schedule's, epochs.
        seed: Names the draws of RANSAC.

    Raises:
        ValueError: jump is not above 1, or drift is not above 0.

    Example:
        A power law whose exponent changes where the rate falls to a tenth: knee 0.
    """
    axis, means = curves.epoch_axis(), curves.epoch_means()
    used = curves.num_epochs * curves.steps_per_epoch
    changes = rate_changes(
        curves.rate[:, :used], curves.steps_per_epoch, jump=jump, drift=drift
    )
    groups: dict[RateChanges, list[int]] = {}
    for row, change in enumerate(changes):
        inner = tuple(t for t in change.jumps if axis[0] < t < axis[-1])
        groups.setdefault(change._replace(jumps=inner), []).append(row)
    parts = []
    for change, rows in groups.items():
        found = find_knees(
            axis,
            means[rows],
            window=(skip_epochs, np.inf),
            min_bins=min_bins,
            threshold=threshold,
            jumps=change.jumps,
            changes=change.drifts,
            near=near,
            seed=seed,
        )
        parts.append((np.array(rows), found))
    found = put_together(parts, len(curves), {}, absent=OK)
    lacks = np.isfinite(means).all(axis=1) & np.isnan(curves.rate[:, :used]).any(axis=1)
    known = np.where(lacks, NOT_APPLICABLE, OK)
    return of_epochs(with_reasons(found, known), curves.steps_per_epoch)


def rate_changes(
    rate: npt.NDArray[np.floating], steps_per_epoch: int, *, jump: float, drift: float
) -> list[RateChanges]:
    """Return when the learning rate of each run changed.

    With d_i = ln rate_i+1 - ln rate_i, a jump is a step with |d_i| > ln jump, at the
    time (i + 1/2) / S between the two updates; an epoch drifts if the |d_i| of its
    other steps add up to more than ln(1 + drift). The step into an epoch is its own.
    `JUMP` lies between the ratios that a linear warm-up and the last steps of a cosine
    pass through.

    Args:
        rate: `[N, T]`, whole epochs; NaN changes nothing.
        steps_per_epoch: S.
        jump: Factor above 1.
        drift: Relative change above 0.

    Raises:
        ValueError: jump is not above 1, or drift is not above 0.

    Example:
        1, 1, 1, 0.1 with S = 2: a jump at 1.75 and no drift.
    """
    if not jump > 1 or not drift > 0:
        raise ValueError(f"jump {jump}, drift {drift}; expected jump > 1 and drift > 0")
    if not rate.shape[1]:
        return [RateChanges((), ())] * len(rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.asarray(rate, np.float64))
        change = np.abs(np.diff(logs, axis=1, prepend=logs[:, :1]))
    change = np.where(np.isnan(change), 0.0, change)  # a rate of 0 throughout, too
    jumps = change > np.log(jump)
    smooth = np.where(jumps, 0.0, change)
    total = smooth.reshape(len(rate), -1, steps_per_epoch).sum(axis=2)
    drifts = total > np.log1p(drift)
    return [
        RateChanges(
            tuple(((np.flatnonzero(a) + 0.5) / steps_per_epoch).tolist()),
            tuple(
                (np.flatnonzero(b) + 0.5 + 0.5 / steps_per_epoch).tolist(),
            ),
        )
        for a, b in zip(jumps, drifts, strict=True)
    ]
