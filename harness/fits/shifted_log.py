"""Power law with a floor, by least squares on logarithms: for comparing families.

The other families are fitted on ln L; only this one needs a search for that.
"""

from typing import Final, NamedTuple

import numpy as np

from harness.measure import Floats

STEPS: Final = 60
"""Damped Gauss-Newton steps at most."""
CONVERGED: Final = 1e-10
"""Relative gain of a step below which the search ends."""


class ShiftedLog(NamedTuple):
    """ln L = log_c + ln(floor + t^-alpha) fitted to B curves."""

    floor: Floats
    """E / A `[B]`, >= 0."""
    alpha: Floats
    """`[B]`."""
    residual: Floats
    """`[B, n]`, of ln L."""


class _State(NamedTuple):
    """Where the search stands for each curve."""

    floor: Floats
    alpha: Floats
    residual: Floats
    rss: Floats


def shifted_log(
    times: Floats, y: Floats, floor: Floats, alpha: Floats, highest: float
) -> ShiftedLog:
    """Fit curves y = ln L `[B, n]` on times `[n]` from the given floor and alpha `[B]`.

    Formula: minimise sum (y - log_c - ln(floor + t^-alpha))^2 over log_c, floor >= 0
    and 0 <= alpha <= highest; log_c is linear and projected out, the other two move by
    Levenberg-Marquardt steps, so rss never exceeds that of the start.

    Cost: an exponential and a logarithm a point and step, some 10 to 20 steps.

    Example:
        ln(0.3 + 0.9 t^-0.5) from floor 0, alpha 0.4 gives floor 1/3, alpha 0.5.
    """
    log_t = np.log(times)
    middle = log_t.mean()
    s = log_t - middle
    scale = np.exp(alpha * middle)  # the search measures t from its middle
    state = _evaluate(s, y, np.maximum(floor, 0) * scale, alpha)
    damping = np.full(len(y), 1e-3)
    active = np.arange(len(y))
    for _ in range(STEPS):
        now = _State(*(part[active] for part in state))
        new_floor, new_alpha = _step(s, now, damping[active], highest)
        new = _evaluate(s, y[active], new_floor, new_alpha)
        better = new.rss < now.rss
        gain = now.rss - new.rss
        for old, fresh in zip(state, new, strict=True):
            old[active[better]] = fresh[better]
        damping[active] *= np.where(better, 0.1, 10.0)
        done = better & (gain <= CONVERGED * now.rss)
        active = active[~done & (damping[active] < 1e8)]
        if not len(active):
            break
    return ShiftedLog(
        state.floor * np.exp(-state.alpha * middle), state.alpha, state.residual
    )


def _evaluate(s: Floats, y: Floats, floor: Floats, alpha: Floats) -> _State:
    """Return the residuals at these parameters."""
    shape = np.log(floor[:, None] + np.exp(-alpha[:, None] * s))
    residual = y - shape
    residual -= residual.mean(axis=1, keepdims=True)
    return _State(floor, alpha, residual, np.linalg.vecdot(residual, residual))


def _step(
    s: Floats, now: _State, damping: Floats, highest: float
) -> tuple[Floats, Floats]:
    """Return the next floor and alpha: a damped step, kept inside the bounds.

    A floor at 0 that would fall stays there, and alpha alone moves.
    """
    p = np.exp(-now.alpha[:, None] * s)
    by_floor = 1 / (now.floor[:, None] + p)
    by_alpha = -s * p * by_floor
    by_floor -= by_floor.mean(axis=1, keepdims=True)
    by_alpha -= by_alpha.mean(axis=1, keepdims=True)
    dot = np.linalg.vecdot
    ff = dot(by_floor, by_floor) * (1 + damping)
    aa = dot(by_alpha, by_alpha) * (1 + damping)
    fa = dot(by_floor, by_alpha)
    f, a = dot(by_floor, now.residual), dot(by_alpha, now.residual)
    determinant = ff * aa - fa**2
    d_floor, d_alpha = (aa * f - fa * a) / determinant, (ff * a - fa * f) / determinant
    held = now.floor + d_floor < 0
    d_floor = np.where(held, -now.floor, d_floor)
    d_alpha = np.where(held, (a - fa * d_floor) / aa, d_alpha)
    return now.floor + d_floor, np.clip(now.alpha + d_alpha, 0.0, highest)
