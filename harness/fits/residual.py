"""What a fitted law leaves of a loss curve: the raw material of the noise spectra."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.fits.blocks import READ_ELEMENTS, Window, check_curves
from harness.measure import (
    DIVERGED,
    NO_WINDOW,
    NOT_APPLICABLE,
    OK,
    STATUSES,
    Estimates,
    Floats,
)

LOGS_PER_EPOCH: Final = 20
"""The fixed density at which residuals of different runs are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Residuals r = ln L - ln L_hat of N curves on one grid.

    The spectra take `t`, `values` and `window` as they stand.
    """

    t: Floats
    """`[T]`, times in the unit that the residuals were made with."""
    values: Floats
    """`[N, T]`, unit 1; NaN outside the window and in rows that are not "ok"."""
    status: npt.NDArray[np.str_]
    """`[N]`, one of `harness.measure.STATUSES`."""
    window: Floats
    """`[N, 2]`, first and last time with a residual; NaN if there is no window."""
    params: Mapping[str, Any]
    """The law that was taken out, and the grid: "step" or logs per epoch."""

    def __post_init__(self) -> None:
        """Hold the promise that a missing residual has a reason."""
        assert set(np.unique(self.status)) <= set(STATUSES), "unknown status"
        assert self.values.shape == (len(self.status), len(self.t)), "shapes"


def residual(
    t: npt.ArrayLike,
    loss: npt.ArrayLike,
    law: Estimates | npt.ArrayLike,
    *,
    window: Window = None,
    label: str | None = None,
) -> Residuals:
    """Take a fitted law out of loss curves, step by step.

    Formula: r = ln L - ln L_hat at every t in the window; for a power law
    ln L_hat = log_c - alpha ln t. Unit 1 (a relative deviation, where small); any real
    number. A single power law leaves whatever the learning rate's schedule did in r;
    pass the values of a law that knows the schedule to take that out too.

    Undefined: where the law is, "no_window", "diverged" (a loss in the window not
    finite or <= 0), "not_applicable" (a fitted value so). Cost: one pass, a logarithm
    or two a point. Source: the definition is this project's own.

    Args:
        t: Times `[T]`, increasing, in the unit the law was fitted in.
        loss: `[N, T]`.
        law: What `fit_power_law` returned for these N curves, or the fitted values
            `[T]` or `[N, T]` of any law.
        window: (first, last), both included, for all curves, or `[N, 2]`; by default
            the window of a power-law fit, else everything.
        label: Name of the law whose values are given, for the record.

    Raises:
        ValueError: Shapes that do not match, or estimates without alpha and log_c.

    Example:
        L = 2 against L_hat = 1 leaves ln 2 = 0.693.
    """
    times, curves = check_curves(t, loss)
    num = len(curves)
    if isinstance(law, Estimates):
        _check_law(law, num)
        status = law.status.astype("U16")
        inside = _inside(times, law.window if window is None else window, num)
        name = label or law.estimator
    else:
        law = np.asanyarray(law)
        if law.shape not in (curves.shape, times.shape):
            raise ValueError(
                f"law has the shape {law.shape}; expected {curves.shape} like loss or "
                f"{times.shape} like t"
            )
        status = np.full(num, OK, dtype="U16")
        inside = _inside(times, window, num)
        name = label or "values"
    status[(status == OK) & ~inside.any(axis=1)] = NO_WINDOW
    return Residuals(
        t=times,
        values=_differences(times, curves, law, inside, status),
        status=status,
        window=_ends(times, inside),
        params={"law": name, "grid": "step"},
    )


def resample(
    residuals: Residuals, steps_per_epoch: int, *, per_epoch: int = LOGS_PER_EPOCH
) -> Residuals:
    """Average residuals of every step to a fixed number of logs an epoch.

    Formula: with S steps and E logs an epoch block k holds the steps after
    round(k S / E) up to round((k + 1) S / E), so that no block straddles two epochs,
    and its value is the mean of r over them: a mean of logarithms, not the logarithm
    of a mean loss. Blocks differ by one step where E does not divide S. Averaging m
    steps multiplies the power at f cycles per step by (sin(pi m f) / (m sin(pi f)))^2
    and folds what is left above the new Nyquist frequency; it divides the variance of
    white noise by m. Only blocks wholly inside a curve's window have a value; their
    time is the mean of their steps' times. Cost: one pass.

    Args:
        residuals: On the grid of steps; column i belongs to the optimiser step i + 1.
        steps_per_epoch: S.
        per_epoch: E, 1 <= E <= S.

    Raises:
        ValueError: Residuals not per step, or fewer steps than logs an epoch.

    Example:
        0, 1, 2, 3 with S = 4 and E = 2 become 0.5, 2.5.
    """
    if residuals.params["grid"] != "step":
        raise ValueError(f"residuals are already at {residuals.params['grid']}")
    if not 1 <= per_epoch <= steps_per_epoch:
        raise ValueError(
            f"per_epoch is {per_epoch} with {steps_per_epoch} steps an epoch; expected "
            "1 <= per_epoch <= steps_per_epoch"
        )
    count = int((len(residuals.t) + 0.5) * per_epoch / steps_per_epoch) + 1
    edges = np.rint(np.arange(count + 1) * steps_per_epoch / per_epoch).astype(int)
    edges = edges[edges <= len(residuals.t)]
    if len(edges) < 2:
        raise ValueError(f"{len(residuals.t)} steps do not fill one block")
    lengths, used = np.diff(edges), slice(0, edges[-1])
    blocks = np.add.reduceat(residuals.values[:, used], edges[:-1], axis=1) / lengths
    t = np.add.reduceat(residuals.t[used], edges[:-1]) / lengths
    # A block counts when its first and last step lie in the window of the curve.
    first, last = residuals.t[edges[:-1]], residuals.t[edges[1:] - 1]
    low, high = residuals.window[:, :1], residuals.window[:, 1:]
    inside = (first >= low) & (last <= high)
    status = residuals.status.copy()
    status[(status == OK) & ~inside.any(axis=1)] = NO_WINDOW
    return Residuals(
        t=t,
        values=blocks,
        status=status,
        window=_ends(t, inside),
        params={
            **residuals.params,
            "grid": f"{per_epoch} logs/epoch",
            "steps_per_epoch": steps_per_epoch,
        },
    )


def _differences(
    times: Floats,
    curves: npt.NDArray[np.floating],
    law: Estimates | npt.NDArray[Any],
    inside: npt.NDArray[np.bool_],
    status: npt.NDArray[np.str_],
) -> Floats:
    """Return ln L - ln L_hat block by block and note in `status` where it fails."""
    values = np.full(curves.shape, np.nan)
    size = max(READ_ELEMENTS // max(len(times), 1), 1)
    for start in range(0, len(curves), size):
        rows = slice(start, start + size)
        part = inside[rows]
        with np.errstate(all="ignore"):
            fitted = _log_fitted(law, times, rows)
            logs = np.log(np.asarray(curves[rows], dtype=np.float64))
            left = logs - fitted
        broken = (part & ~np.isfinite(logs)).any(axis=1)
        lost = (part & ~np.isfinite(fitted)).any(axis=1)
        found = np.select([broken, lost], [DIVERGED, NOT_APPLICABLE], OK)
        status[rows] = np.where(status[rows] == OK, found, status[rows])
        values[rows] = np.where(part & (status[rows] == OK)[:, None], left, np.nan)
    return values


def _check_law(law: Estimates, num: int) -> None:
    if not {"alpha", "log_c"} <= set(law.values):
        raise ValueError(
            f"estimates of {law.estimator!r} hold {', '.join(law.values)}; expected "
            "alpha and log_c of fit_power_law, or pass the fitted values themselves"
        )
    if len(law) != num:
        raise ValueError(f"law has {len(law)} rows for {num} curves")


def _log_fitted(
    law: Estimates | npt.NDArray[Any], times: Floats, rows: slice
) -> Floats:
    """Return ln L_hat of some rows, `[B, T]` or `[1, T]`."""
    if isinstance(law, Estimates):
        slope, height = law["alpha"][rows, None], law["log_c"][rows, None]
        return np.asarray(height - slope * np.log(times))
    part = law[None] if law.ndim == 1 else law[rows]
    return np.asarray(np.log(np.asarray(part, dtype=np.float64)))


def _inside(times: Floats, window: Window, num: int) -> npt.NDArray[np.bool_]:
    """Return which points lie in each curve's window, `[N, T]`."""
    limits = np.asarray((-np.inf, np.inf) if window is None else window, np.float64)
    if limits.shape not in ((2,), (num, 2)):
        raise ValueError(
            f"window has the shape {limits.shape}; expected (first, last) or [{num}, 2]"
        )
    limits = np.broadcast_to(limits, (num, 2))
    return np.asarray((times >= limits[:, :1]) & (times <= limits[:, 1:]))


def _ends(times: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """Return the first and last time inside, `[N, 2]`; NaN where there is none."""
    some = inside.any(axis=1, keepdims=True)
    if not len(times):
        return np.full((len(inside), 2), np.nan)
    first = inside.argmax(axis=1)
    last = len(times) - 1 - inside[:, ::-1].argmax(axis=1)
    return np.where(some, np.stack([times[first], times[last]], axis=1), np.nan)
