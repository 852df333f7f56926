"""One number a run, as curvature and noise probes hand it on to the record.

Estimators of whole curves return `harness.measure.Estimates`; those that work on a
cohort's tensors return readings, whose statuses are the same.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.measure import DIVERGED, OK, STATUSES, Floats


class Reading(NamedTuple):
    """A number a run, on the host; made by `reading`, which checks it."""

    value: Floats
    """`[S]` float64; NaN exactly where the status is not "ok"."""
    status: npt.NDArray[np.str_]
    """`[S]`, one of `harness.measure.STATUSES`."""
    se: Floats | None = None
    """`[S]` standard errors, NaN where not "ok"; None where there is none."""

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Return which runs have a value, `[S]`."""
        good: npt.NDArray[np.bool_] = self.status == OK
        return good


def reading(
    value: npt.ArrayLike,
    status: npt.ArrayLike | None = None,
    se: npt.ArrayLike | None = None,
) -> Reading:
    """Return a `Reading` in which NaN stands exactly where the status is not "ok".

    A value that is not finite although its status is "ok" becomes "diverged"; a value
    whose status is not "ok" becomes NaN, and its standard error with it.

    Args:
        value: `[S]`, or one number for S = 1.
        status: `[S]` or one for all; "ok" where omitted.
        se: `[S]`; a standard error that is not finite makes the run "diverged".

    Raises:
        ValueError: A status is unknown or the shapes differ.

    Example:
        >>> reading([1.0, float("inf")]).status.tolist()
        ['ok', 'diverged']
    """
    values = np.array(value, np.float64, ndmin=1)
    errors = None if se is None else np.array(se, np.float64, ndmin=1)
    states = np.array(OK if status is None else status, np.str_, ndmin=1)
    width = max(map(len, STATUSES))
    states = np.broadcast_to(states, values.shape).astype(f"<U{width}")
    if values.ndim != 1 or (errors is not None and errors.shape != values.shape):
        shape = None if errors is None else errors.shape
        raise ValueError(
            f"a reading has one value and one standard error a run, got shapes "
            f"{values.shape} and {shape}"
        )
    if unknown := set(states.tolist()) - set(STATUSES):
        raise ValueError(f"unknown statuses {sorted(unknown)}, expected {STATUSES}")
    finite = np.isfinite(values) & (errors is None or np.isfinite(errors))
    states[(states == OK) & ~finite] = DIVERGED
    values[states != OK] = np.nan
    if errors is not None:
        errors[states != OK] = np.nan
    return Reading(values, states, errors)
