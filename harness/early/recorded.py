"""Signals of what evaluations and probes recorded: last values, the plateau."""

import dataclasses

import numpy as np

from harness.early.curves import Curves32, EarlyCurves
from harness.early.estimates import put_together
from harness.fits.plateau import POINTS, SLOPE, STAY, find_plateau
from harness.measure import DIVERGED, NOT_APPLICABLE, OK, TOO_SHORT, Estimates, Floats
from harness.registry import CURVE_SIGNALS


@CURVE_SIGNALS.register("last")
def last(curves: EarlyCurves, *, signal: str) -> Estimates:
    """Return a signal's last value in the window, in the signal's own unit.

    The window holds the one step at which it was measured.

    Undefined: "too_short" where nothing was measured yet, "diverged" where the last
    value is not finite.

    Args:
        curves: Curves up to the window.
        signal: Name in the corpus's dictionary.

    Example:
        Values 3, 2 after the steps 0, 5 of a window of 7 steps: 2, window (5, 5).
    """
    curve = curves.recorded[signal]
    some = np.diff(curve.offsets) > 0
    at = curve.offsets[1:][some] - 1
    value, step = np.full(len(curves), np.nan), np.full(len(curves), np.nan)
    value[some], step[some] = curve.values[at], curve.steps[at]
    finite = np.isfinite(value)
    return Estimates(
        estimator="last",
        estimator_version="1",
        units={"last": curve.unit},
        values={"last": np.where(finite, value, np.nan)},
        status=np.select([~some, finite], [TOO_SHORT, OK], DIVERGED),
        n=some.astype(np.int64),
        window=np.stack([step, step], axis=1),
    )


@CURVE_SIGNALS.register("plateau")
def plateau(
    curves: EarlyCurves,
    *,
    curvature: str = "lambda_1",
    points: int = POINTS,
    slope: float = SLOPE,
    stay: int = STAY,
) -> Estimates:
    """Find when the largest curvature stops rising, `harness.fits.plateau`.

    t in epochs. Undefined: as there, and "not_applicable" where the corpus does not
    know the signal.

    Args:
        curves: Curves up to the window.
        curvature: Name of the signal.
        points: Measurements in a window.
        slope: Largest |slope| of a plateau, per epoch.
        stay: Windows in a row.

    Example:
        1 - exp(-t / 5) at t = 0.5, 1.5, ... epochs: t_plateau 13.5.
    """
    known = curves.recorded.get(curvature)

    def found(times: Floats, values: Curves32) -> Estimates:
        return find_plateau(times, values, points=points, slope=slope, stay=stay)

    nothing = found(np.empty(0), np.empty((0, 0), np.float32))
    parts = [(np.empty(0, np.int64), nothing)]
    size = curves.steps_per_epoch
    for rows, steps, values in known.alike() if known else ():
        parts.append((rows, found(steps / size, values)))
    everyone = put_together(
        parts,
        len(curves),
        {"curvature": curvature, **nothing.params},
        absent=TOO_SHORT if known else NOT_APPLICABLE,
    )
    units = {
        "t_plateau": "epochs",
        "t_known": "epochs",
        "slope": "1 / epoch",
        "lambda": known.unit if known else "unit of lambda",
    }
    window = np.rint(everyone.window * size)
    return dataclasses.replace(everyone, units=units, window=window)
