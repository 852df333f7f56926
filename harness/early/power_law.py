"""Power laws of the epoch means: in fixed epochs, and from the end of burn-in on."""

from harness.early.curves import EarlyCurves
from harness.early.estimates import of_epochs, with_reasons
from harness.fits import power_law as law
from harness.fits import windows
from harness.measure import Estimates
from harness.registry import CURVE_SIGNALS


@CURVE_SIGNALS.register("power_law")
def power_law(
    curves: EarlyCurves, *, first: float = 5.0, last: float = 15.0
) -> Estimates:
    """Fit L = c t^-alpha to the epoch means in fixed epochs, cut at the window.

    `harness.fits.power_law`, t in epochs. The closed interval 5 to 15 holds the epochs
    6 to 15; "too_short" until five of them are over.

    Args:
        curves: Curves up to the window.
        first: Begin of the interval, epochs.
        last: End of the interval, epochs.

    Example:
        A window that ends with epoch 10 leaves the epochs 6 to 10: n = 5.
    """
    found = law.fit_power_law(
        curves.epoch_axis(), curves.epoch_means(), window=(first, last)
    )
    return of_epochs(found, curves.steps_per_epoch)


@CURVE_SIGNALS.register("burn_in")
def burn_in(
    curves: EarlyCurves, *, threshold: float = 1.0, consecutive: int = 3
) -> Estimates:
    """Find the end of burn-in: the first of 3 epochs with a mean loss of at most 1.

    `harness.fits.windows.burn_in` on `train_loss` as optimised, label smoothing
    included. `start` is the mean time of that epoch; "no_window" until all three are
    over.

    A corpus does not record its number of classes K, so the threshold is 1 nat, which
    is 0.434 ln K at K = 10; for another K set `windows.chance_threshold(K)`.

    Args:
        curves: Curves up to the window.
        threshold: Loss in nats.
        consecutive: How many epochs in a row.

    Example:
        Epoch means 2, 0.9, 0.8, 0.7: start is the mean time of the second epoch.
    """
    found = windows.burn_in(
        curves.epoch_means(),
        curves.epoch_axis(),
        threshold=threshold,
        consecutive=consecutive,
    )
    return of_epochs(found, curves.steps_per_epoch)


@CURVE_SIGNALS.register("burn_in_power_law")
def burn_in_power_law(
    curves: EarlyCurves, *, threshold: float = 1.0, consecutive: int = 3
) -> Estimates:
    """Fit L = c t^-alpha to the epoch means from the end of burn-in to the window's.

    `harness.fits.power_law` from the time that `burn_in` found; where it found none
    the reason is kept.

    Args:
        curves: Curves up to the window.
        threshold: Loss in nats, see `burn_in`.
        consecutive: How many epochs in a row.

    Example:
        A loss that stays above 1 has the status "no_window".
    """
    axis, means = curves.epoch_axis(), curves.epoch_means()
    start = windows.burn_in(means, axis, threshold=threshold, consecutive=consecutive)
    limits = start["start"][:, None] * (1.0, 1.0)
    limits[:, 1] = axis[-1] if len(axis) else 0.0
    found = law.fit_power_law(axis, means, window=limits)
    return of_epochs(with_reasons(found, start.status), curves.steps_per_epoch)
