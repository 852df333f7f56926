"""What law the training loss of one run follows, as numbers that can be drawn.

Epoch means of the loss are fitted from the end of burn-in on; the definitions are those
of `harness.fits`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from harness.early.knee import DRIFT, JUMP, RateChanges, rate_changes
from harness.fits.alternatives import (
    EXPONENTIAL,
    FAMILIES,
    MIN_POINTS,
    SHIFTED_POWER,
    TWO_SEGMENT,
    compare_families,
    winners,
)
from harness.fits.exponential import fit_exponential
from harness.fits.knee import find_knees
from harness.fits.power_law import fit_power_law
from harness.fits.shifted_power import fit_shifted_power
from harness.fits.two_segment import fit_two_segment
from harness.fits.windows import burn_in, epoch_axis, epoch_means
from harness.measure import OK, Estimates
from harness.show.glance import Array, Curves

BURN_IN: Final = 1.0
"""Epoch means in nats at which burn-in ends, three in a row."""
FIRST_EPOCHS: Final = 2.0
"""Epochs left out of every window: their means are wide in ln t."""
DECISIVE: Final = 6.0
"""Difference of BIC up to which nothing is decided."""


class Law(NamedTuple):
    """One fitted family."""

    family: str
    label: str
    """Name and parameters with standard errors."""
    curve: Callable[[Array], Array]
    """Loss in nats at times in epochs."""


class Knee(NamedTuple):
    """Where two power laws meet."""

    epoch: float
    before: float
    """Exponent before it."""
    after: float
    """Exponent after it."""
    schedule: bool
    """Whether the learning rate changes within an epoch of it; a jump of the rate is
    allowed for besides, as a bend that is no knee."""


class LossLaws(NamedTuple):
    """A loss, its epoch means and what fits them."""

    signal: str
    """The loss that was used: cross-entropy where smoothing makes that another one."""
    times: Array
    """Times `[E]` of the epoch means, in epochs."""
    means: Array
    """Epoch means `[E]` in nats, up to the first that is not finite and positive."""
    window: tuple[float, float] | None
    """First and last time fitted; None where nothing was."""
    laws: tuple[Law, ...]
    """The power law, then the family that beats it, if one does."""
    knee: Knee | None
    note: str
    """Why there is no law; empty where there is one."""


def loss_laws(run: Mapping[str, Any], curves: Curves) -> LossLaws | None:
    """Return the laws of a run's training loss; None if no loss was recorded.

    Args:
        run: Row of the table `runs`.
        curves: Curves of the run.
    """
    signal = "train_ce" if "train_ce" in curves else "train_loss"
    if signal not in curves:
        return None
    times, means = _epochs(*curves[signal], run["steps_per_epoch"])
    start = burn_in(means, times, threshold=BURN_IN)
    nothing = LossLaws(signal, times, means[0], None, (), None, "")
    if start.status[0] != OK:
        note = f"no law: never 3 epochs in a row at {BURN_IN:g} nat or less"
        return nothing._replace(note=note)
    window = (max(float(start["start"][0]), FIRST_EPOCHS), float(times[-1]))
    count = int(np.sum(times >= window[0]))
    if count < min(MIN_POINTS.values()):
        least = min(MIN_POINTS.values())
        note = f"no law: {count} epochs after burn-in, {least} are needed"
        return nothing._replace(note=note)
    changes = _rate_changes(curves, run["steps_per_epoch"], len(times))
    knees = find_knees(
        times,
        means,
        window=window,
        jumps=tuple(j for j in changes.jumps if times[0] < j < times[-1]),
        changes=changes.drifts,
    )
    fitted = tuple(_laws(times, means, window, count))
    return nothing._replace(window=window, laws=fitted, knee=_knee(knees))


def _rate_changes(curves: Curves, per_epoch: int, epochs: int) -> RateChanges:
    """Return when the learning rate changed, as the curve signal `knee` judges it."""
    if "lr" not in curves:
        return RateChanges((), ())
    rate = curves["lr"][1][: epochs * per_epoch]
    (changes,) = rate_changes(rate[None], per_epoch, jump=JUMP, drift=DRIFT)
    return changes


def plus_minus(value: float, error: float) -> str:
    """Return a value and its standard error, to two digits of the error.

    Three decimals are shown at most.

    Example:
        0.99353 and 0.0518 give 0.994 and 0.052.
    """
    digits = 2
    if math.isfinite(error) and error > 0:
        digits = min(max(1 - math.floor(math.log10(error)), 0), 3)
    return f"{value:.{digits}f} \u00b1 {error:.{digits}f}"


def _epochs(steps: Array, values: Array, per_epoch: int) -> tuple[Array, Array]:
    """Return times `[E]` and epoch means `[1, E]` as long as these can be logged."""
    every = len(steps) and np.array_equal(steps, np.arange(1, len(steps) + 1))
    means = epoch_means(values[None] if every else np.empty((1, 0)), per_epoch)
    good = np.isfinite(means[0]) & (means[0] > 0)
    count = len(good) if good.all() else int(good.argmin())
    return epoch_axis(count, per_epoch), means[:, :count]


def _laws(
    times: Array, means: Array, window: tuple[float, float], count: int
) -> list[Law]:
    """Return the power law and the winner among all families."""
    families = tuple(name for name in FAMILIES if count >= MIN_POINTS[name])
    table = compare_families(times, means, window=window, families=families)
    best = winners(table)[0]
    margin = float(table["margin"][0])
    only = "" if margin > DECISIVE else "only "
    lead = f"BIC {only}{margin:.1f} below the next family"
    found = fit_power_law(times, means, window=window)
    if found.status[0] != OK:
        return []
    label = f"power law: exponent {_pm(found, 'alpha')}"
    log_c, alpha = found["log_c"][0], found["alpha"][0]
    power = Law("power_law", label, lambda t: np.exp(log_c - alpha * np.log(t)))
    if best not in _RIVALS:
        return [power._replace(label=f"{label}\n{lead}") if best else power]
    rival = _RIVALS[best](times, means, window)
    if rival is None:
        return [power]
    return [power, rival._replace(label=f"{rival.label}\n{lead}")]


def _exponential(times: Array, means: Array, window: tuple[float, float]) -> Law | None:
    found = fit_exponential(times, means, window=window)
    if found.status[0] != OK:
        return None
    log_c, rate = found["log_c"][0], found["rate"][0]
    label = f"exponential: {_pm(found, 'rate')} per epoch"
    return Law(EXPONENTIAL, label, lambda t: np.exp(log_c - rate * t))


def _shifted(times: Array, means: Array, window: tuple[float, float]) -> Law | None:
    found = fit_shifted_power(times, means, window=window)
    if found.status[0] != OK:
        return None
    floor, scale, alpha = (found[name][0] for name in ("E", "A", "alpha"))
    widen = _widened(found["rho1"][0])
    label = f"power law: {_pm(found, 'alpha', widen)}, floor {_pm(found, 'E', widen)}"
    return Law(SHIFTED_POWER, label, lambda t: floor + scale * t**-alpha)


def _two_segment(times: Array, means: Array, window: tuple[float, float]) -> Law | None:
    found = fit_two_segment(times, means, window=window)
    if found.status[0] != OK:
        return None
    one, two = found["alpha_1"][0], found["alpha_2"][0]
    knee, height = found["t_knee"][0], found["loss_knee"][0]
    widen = _widened(found["rho"][0])
    label = (
        f"two segments: {_pm(found, 'alpha_1', widen)}, {_pm(found, 'alpha_2', widen)}"
    )

    def curve(t: Array) -> Array:
        return np.asarray(height * (t / knee) ** -np.where(t < knee, one, two))

    return Law(TWO_SEGMENT, label, curve)


_RIVALS: Final = {
    EXPONENTIAL: _exponential,
    SHIFTED_POWER: _shifted,
    TWO_SEGMENT: _two_segment,
}


def _pm(found: Estimates, name: str, widen: float = 1.0) -> str:
    return plus_minus(float(found[name][0]), widen * float(found.errors[name][0]))


def _widened(rho: float) -> float:
    """Return by how much correlated residuals widen a standard error for white ones."""
    rho = min(max(float(rho), 0.0), 0.99)
    return math.sqrt((1 + rho) / (1 - rho))


def _knee(found: Estimates) -> Knee | None:
    if found.status[0] != OK or not found["knee"][0]:
        return None
    place, before, after, schedule = (
        float(found[name][0]) for name in ("t_knee", "alpha_1", "alpha_2", "schedule")
    )
    return Knee(place, before, after, bool(schedule))
