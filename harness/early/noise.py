"""Spectra of what a power law leaves of the loss after burn-in."""

import numpy as np

from harness.early.curves import EarlyCurves
from harness.early.estimates import with_reasons
from harness.early.power_law import burn_in_power_law
from harness.fits import spectral
from harness.fits.residual import LOGS_PER_EPOCH, Residuals, resample, residual
from harness.measure import TOO_SHORT, Estimates, Floats
from harness.registry import CURVE_SIGNALS


@CURVE_SIGNALS.register("psd_slope")
def psd_slope(
    curves: EarlyCurves,
    *,
    logs_per_epoch: int | None = LOGS_PER_EPOCH,
    low_res: bool = True,
    threshold: float = 1.0,
    consecutive: int = 3,
) -> Estimates:
    """Measure the slope of the residuals' spectrum at 20 logs an epoch, dB / decade.

    Residuals r = ln L - ln L_hat of every step from the end of burn-in to the last
    whole epoch, L_hat the power law of `burn_in_power_law`, averaged to 20 logs an
    epoch, so that runs of different batch sizes compare (`harness.fits.residual`);
    their slope is that of `harness.fits.spectral`. 50 epochs have 1000 logs, early
    windows fewer: unless `low_res` is False, 32 will do, with the quantity `low_res` =
    1 and a standard error of some dB / decade.

    Undefined: "too_short" with fewer steps than logs an epoch, or too few logs; else
    as the power law is.

    Args:
        curves: Curves up to the window.
        logs_per_epoch: Logs an epoch; None takes every step as it is.
        low_res: Whether fewer than 1000 logs are enough.
        threshold: Of burn-in, nats.
        consecutive: Of burn-in, epochs.

    Example:
        White noise about a power law: 0.
    """
    left, ends = _residuals(curves, logs_per_epoch, threshold, consecutive)
    found = spectral.psd_slope(
        left.t,
        left.values,
        window=left.window,
        low_res=low_res,
        samples_per_epoch=logs_per_epoch or curves.steps_per_epoch,
    )
    return with_reasons(found, left.status, ends)


@CURVE_SIGNALS.register("psd_slope_steps")
def psd_slope_steps(
    curves: EarlyCurves,
    *,
    low_res: bool = True,
    threshold: float = 1.0,
    consecutive: int = 3,
) -> Estimates:
    """Measure the slope of the residuals' spectrum per step, dB / decade.

    `psd_slope` on every step, for runs with fewer than 20 steps an epoch; comparable
    between runs of equal steps per epoch only.

    Args:
        curves: Curves up to the window.
        low_res: Whether fewer than 1000 steps are enough.
        threshold: Of burn-in, nats.
        consecutive: Of burn-in, epochs.

    Example:
        White noise about a power law: 0.
    """
    return psd_slope(
        curves,
        logs_per_epoch=None,
        low_res=low_res,
        threshold=threshold,
        consecutive=consecutive,
    )


@CURVE_SIGNALS.register("band_power")
def band_power(
    curves: EarlyCurves,
    *,
    logs_per_epoch: int | None = LOGS_PER_EPOCH,
    threshold: float = 1.0,
    consecutive: int = 3,
) -> Estimates:
    """Measure the residuals' power between 0.2 and 0.5 cycles a log, 20 logs an epoch.

    Residuals as in `psd_slope`, power as in `harness.fits.spectral`.

    Undefined: as `psd_slope`; "too_short" below 32 logs.

    Args:
        curves: Curves up to the window.
        logs_per_epoch: Logs an epoch; None takes every step as it is.
        threshold: Of burn-in, nats.
        consecutive: Of burn-in, epochs.

    Example:
        White noise about a power law: fraction 0.6.
    """
    left, ends = _residuals(curves, logs_per_epoch, threshold, consecutive)
    found = spectral.band_power(
        left.t,
        left.values,
        window=left.window,
        samples_per_epoch=logs_per_epoch or curves.steps_per_epoch,
    )
    return with_reasons(found, left.status, ends)


def _residuals(
    curves: EarlyCurves,
    logs_per_epoch: int | None,
    threshold: float,
    consecutive: int,
) -> tuple[Residuals, Floats]:
    """Return the residuals, and their windows in steps `[N, 2]`."""
    size, num = curves.steps_per_epoch, len(curves)
    if not curves.num_epochs or (logs_per_epoch or 1) > size:
        nothing = Residuals(
            t=np.empty(0),
            values=np.empty((num, 0)),
            status=np.full(num, TOO_SHORT),
            window=np.full((num, 2), (-np.inf, np.inf)),
            params={},
        )
        return nothing, np.full((num, 2), np.nan)
    law = burn_in_power_law(curves, threshold=threshold, consecutive=consecutive)
    steps = np.arange(1, curves.num_epochs * size + 1)
    left = residual(
        steps / size, curves.loss[:, : len(steps)], law, window=law.window / size
    )
    if logs_per_epoch is not None:
        left = resample(left, size, per_epoch=logs_per_epoch)
    return left, law.window
