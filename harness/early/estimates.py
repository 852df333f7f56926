"""Estimates of a block of runs: windows in steps, parts put together, reasons kept.

The fits speak in the unit of their abscissa; every curve signal speaks in steps.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.measure import OK, Estimates, Floats


def of_epochs(found: Estimates, steps_per_epoch: int) -> Estimates:
    """Return estimates made on epoch means with their windows in steps.

    The window runs from the first step of the first epoch used to the last step of the
    last one. Quantities in the unit of t are in epochs.

    Args:
        found: What a fit said on `EarlyCurves.epoch_axis`.
        steps_per_epoch: S.

    Example:
        With S = 4 the mean of the sixth epoch stands at 5.625 epochs, steps 21 to 24.
    """
    half = (steps_per_epoch - 1) / 2
    window = np.rint(found.window * steps_per_epoch + (-half, half))
    units = {k: u.replace("unit of t", "epochs") for k, u in found.units.items()}
    return dataclasses.replace(found, window=window, units=units)


def with_reasons(
    found: Estimates, status: npt.NDArray[np.str_], window: Floats | None = None
) -> Estimates:
    """Return estimates in which a run that failed before keeps its status.

    Args:
        found: Estimates of N runs.
        status: `[N]`, what became of the runs before; "ok" changes nothing.
        window: `[N, 2]` to put in place of the windows.
    """
    lost = status != OK
    return dataclasses.replace(
        found,
        values={k: np.where(lost, np.nan, v) for k, v in found.values.items()},
        errors={k: np.where(lost, np.nan, v) for k, v in found.errors.items()},
        status=np.where(lost, status, found.status),
        window=found.window if window is None else window,
    )


def put_together(
    parts: Iterable[tuple[npt.NDArray[np.int64], Estimates]],
    num: int,
    params: Mapping[str, Any],
    absent: str,
) -> Estimates:
    """Return the estimates of `num` runs from those of some of them.

    Args:
        parts: Rows and their estimates, at least one, all by the same estimator.
        num: N.
        params: Arguments to record, the same for every run.
        absent: Status of the runs that are in no part.
    """
    pieces = list(parts)
    first = pieces[0][1]
    values = {name: np.full(num, np.nan) for name in first.values}
    errors = {name: np.full(num, np.nan) for name in first.errors}
    status = np.full(num, absent, dtype="<U16")
    count = np.zeros(num, dtype=np.int64)
    window = np.full((num, 2), np.nan)
    for rows, found in pieces:
        for table, columns in ((values, found.values), (errors, found.errors)):
            for name, column in columns.items():
                table[name][rows] = column
        status[rows], count[rows], window[rows] = found.status, found.n, found.window
    return dataclasses.replace(
        first,
        params=params,
        values=values,
        errors=errors,
        status=status,
        n=count,
        window=window,
    )
