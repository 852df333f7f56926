"""Which family of decay the epoch means belong to."""

from typing import Final

from harness.early.curves import EarlyCurves
from harness.early.estimates import of_epochs
from harness.fits.alternatives import (
    EXPONENTIAL,
    POWER_LAW,
    SHIFTED_POWER,
    compare_families,
)
from harness.measure import Estimates
from harness.registry import CURVE_SIGNALS

FAMILIES: Final = (POWER_LAW, EXPONENTIAL, SHIFTED_POWER)
"""What windows too short for two segments can tell apart."""


@CURVE_SIGNALS.register("alternatives")
def alternatives(
    curves: EarlyCurves,
    *,
    skip_epochs: int = 2,
    families: tuple[str, ...] = FAMILIES,
) -> Estimates:
    """Compare power law, exponential and power law with a floor by BIC.

    `harness.fits.alternatives` on the epoch means after the first two; `winner` is the
    position in `families`. "two_segment" may be added to them where the window has 12
    epochs more than are skipped: with it, shorter ones are "too_short".

    Args:
        curves: Curves up to the window.
        skip_epochs: Epochs left out at the start, where an epoch is wide in ln t.
        families: Two or more of `harness.fits.alternatives.FAMILIES`.

    Example:
        A curve 0.9 t^-0.5 with a little noise: winner 0, the power law.
    """
    found = compare_families(
        curves.epoch_axis(),
        curves.epoch_means(),
        window=(skip_epochs, float("inf")),
        families=tuple(families),
    )
    return of_epochs(found, curves.steps_per_epoch)
