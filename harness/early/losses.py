"""Plain summaries of the running loss: its sums, its last epoch, its saw-tooth."""

import dataclasses

import numpy as np

from harness.early.curves import EarlyCurves
from harness.fits import sotl as sums
from harness.fits import windows
from harness.measure import DIVERGED, OK, TOO_SHORT, Estimates
from harness.registry import CURVE_SIGNALS


@CURVE_SIGNALS.register("sotl")
def sotl(curves: EarlyCurves) -> Estimates:
    """Sum the training loss over the window: SoTL, `harness.fits.sotl`.

    Example:
        A constant loss of c over T epochs: tse = c T.
    """
    return sums.sum_of_losses(curves.loss, curves.steps_per_epoch)


@CURVE_SIGNALS.register("sotl_e")
def sotl_e(curves: EarlyCurves, *, last_epochs: int = 1) -> Estimates:
    """Sum the training loss over the window's last epochs: SoTL-E, E = 1.

    The last E S steps of the window, also where it ends within an epoch.

    Args:
        curves: Curves up to the window.
        last_epochs: E.

    Example:
        Epoch means 1 / t at t = 1 ... 10: tse = 0.1.
    """
    return sums.sum_of_losses(
        curves.loss, curves.steps_per_epoch, last_epochs=last_epochs
    )


@CURVE_SIGNALS.register("tse_ema")
def tse_ema(curves: EarlyCurves, *, mu: float = 0.9, summed: bool = False) -> Estimates:
    """Average the epoch means exponentially: TSE-EMA, `harness.fits.sotl`.

    Args:
        curves: Curves up to the window.
        mu: Weight of the newest epoch.
        summed: Whether the averages of all epochs are added up.

    Example:
        Epoch means 1, 0.5: tse = 0.55.
    """
    return sums.moving_average_of_losses(
        curves.loss, curves.steps_per_epoch, mu=mu, summed=summed
    )


@CURVE_SIGNALS.register("last_loss")
def last_loss(curves: EarlyCurves) -> Estimates:
    """Return the mean training loss of the window's last whole epoch, in nats.

    Undefined: "too_short" before the first epoch is over, "diverged" where a loss of
    that epoch is not finite.

    Example:
        Losses 2, 2, 1, 0.5 and 7 with S = 2: 0.75.
    """
    size, num = curves.steps_per_epoch, len(curves)
    stop = curves.num_epochs * size
    means = windows.epoch_means(curves.loss[:, max(stop - size, 0) : stop], size)
    value = means[:, 0] if stop else np.full(num, np.nan)
    status = np.where(np.isfinite(value), OK, DIVERGED if stop else TOO_SHORT)
    ends = [stop - size + 1, stop] if stop else [np.nan, np.nan]
    return Estimates(
        estimator="last_loss",
        estimator_version="1",
        units={"last_loss": "nats"},
        values={"last_loss": np.where(status == OK, value, np.nan)},
        status=status,
        n=np.full(num, size if stop else 0),
        window=np.tile(np.array(ends, np.float64), (num, 1)),
    )


@CURVE_SIGNALS.register("saw_amplitude")
def saw_amplitude(curves: EarlyCurves) -> Estimates:
    """Measure the saw-tooth that repeats every epoch, `harness.fits.windows`.

    Example:
        A ramp 0, 1, 2, 3 repeated every 4 steps: 3.
    """
    found = windows.saw_amplitude(curves.loss, curves.steps_per_epoch)
    steps = np.rint(found.window * curves.steps_per_epoch)
    return dataclasses.replace(found, window=steps)
