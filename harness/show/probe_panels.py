"""Panels of what a run's probes measured: curvature, noise scale, variances.

Each panel exists only where its signals were recorded; a missing value is a gap.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from harness.fits.plateau import find_plateau
from harness.measure import OK
from harness.show.glance import Array, Curves, with_gaps
from harness.show.style import (
    DARK,
    DASHED,
    GREY,
    OKABE_ITO,
    dress,
    legend_strip,
    logarithmic,
    updates,
)

_BLUE, _RED, _GREEN, _PINK = OKABE_ITO[:4]
_ROOM: Final = 1.4
"""Factor between the outermost values and the ends of a logarithmic axis."""
_MOST_MARKERS: Final = 120
"""Values up to which each is marked; without, one between two gaps is not seen."""
_MAX_WINDOW: Final = 64
"""Updates of `update_direction` at most; its default is an epoch up to these."""
_UNEVEN: Final = 3.0
"""Largest over median distance of measurements that call for a logarithmic axis."""


class Seen(NamedTuple):
    """What the panels of a run are drawn from."""

    run: Mapping[str, Any]
    """Row of the table `runs`."""
    curves: Curves
    """All curves of the run."""
    missing: Mapping[str, Mapping[int, str]]
    """Steps without a value, see `glance.missing_values`."""

    @property
    def probes(self) -> list[dict[str, Any]]:
        """Name and arguments of each probe of the run."""
        return list(json.loads(self.run["config_json"])["probes"])

    def has(self, *signals: str) -> bool:
        """Tell whether some of the signals has values."""
        return any(signal in self.curves for signal in signals)


Panel = Callable[[Axes, Seen], None]


def probe_panels(seen: Seen) -> list[Panel]:
    """Return the functions that draw what there is to draw, in order."""
    return [draw for draw, signals in _PANELS.items() if seen.has(*signals)]


def curvature(axes: Axes, seen: Seen) -> None:
    """Draw lambda_1, its plateau and the Hessian's trace.

    For SGD also the largest curvature at which full-batch training with this learning
    rate and momentum is stable (`stability_edge`), as far as the axis reaches.
    """
    _lines(
        axes,
        seen,
        {
            "hessian_trace": (_GREEN, "trace"),
            "lambda_1": (_BLUE, "largest eigenvalue lambda_1"),
        },
    )
    dress(axes, "Curvature", updates(seen.run), "nat / unit\u00b2")
    _mark_plateau(axes, seen)
    _mark_edge(axes, seen)
    legend_strip(axes, "top")


def noise_scale(axes: Axes, seen: Seen) -> None:
    """Draw the noise scale beside the batch size."""
    size = seen.run["batch_size"]
    _lines(axes, seen, {"noise_scale": (_BLUE, "noise scale")}, level=size)
    label = f"batch size {size}"
    axes.axhline(size, color=DARK, linewidth=1, linestyle=DASHED, label=label)
    dress(axes, "Gradient noise scale", updates(seen.run), "images")
    legend_strip(axes, "top")


def gradient_variance(axes: Axes, seen: Seen) -> None:
    """Draw the variance of single images' gradients."""
    _lines(axes, seen, {"gradient_variance": (_BLUE, "")})
    title = "Gradient variance, one image"
    dress(axes, title, updates(seen.run), "(nat / unit)\u00b2")


def direction(axes: Axes, seen: Seen) -> None:
    """Draw the variance of the updates' directions beside that of independent ones."""
    _lines(axes, seen, {"dirvar": (_BLUE, "")}, factors=False)
    axes.set_ylim(0, 1)
    windows = [p["window"] for p in seen.probes if p["name"] == "update_direction"]
    for window in windows:
        count = window or min(seen.run["steps_per_epoch"], _MAX_WINDOW)
        label = f"{count} independent updates"
        floor = 1 - count**-0.5
        axes.axhline(floor, color=DARK, linewidth=1, linestyle=DASHED, label=label)
    dress(axes, "Variance of update directions", updates(seen.run))
    legend_strip(axes, "top")


_PANELS: Final[dict[Panel, tuple[str, ...]]] = {
    curvature: ("lambda_1", "hessian_trace"),
    noise_scale: ("noise_scale",),
    gradient_variance: ("gradient_variance",),
    direction: ("dirvar",),
}


def stability_edge(seen: Seen) -> tuple[Array, Array] | None:
    """Return updates and the largest stable curvature there; None but for SGD.

    Formula: on a quadratic loss of curvature h, gradient descent at the rate r with
    heavy-ball momentum m and an L2 penalty w is stable for h + w < 2 (1 + m) / r, with
    Nesterov's momentum for h + w < 2 (1 + m) / (r (1 + 2 m)); without momentum 2 / r.
    Minibatch noise lowers it, and networks train at it or below.

    Source: Cohen et al. 2021, arXiv 2103.00065, appendix B.

    Example:
        Rate 0.1, momentum 0.9 and no penalty: 38, with Nesterov's momentum 13.57.
    """
    optimizer = json.loads(seen.run["config_json"])["optimizer"]
    if optimizer["name"] != "sgd" or not seen.has("lr"):
        return None
    m = optimizer.get("momentum", 0.0)
    factor = 2 * (1 + m) / (1 + 2 * m if optimizer.get("nesterov", False) else 1)
    steps, rate = seen.curves["lr"]
    on = rate > 0
    if not on.any():
        return None
    return steps[on], factor / rate[on] - optimizer.get("l2", 0.0)


def _mark_edge(axes: Axes, seen: Seen) -> None:
    """Draw the edge of stability as far as it lies on the axes; if it does."""
    edge = stability_edge(seen)
    if edge is None:
        return
    limits = axes.get_ylim()
    begin = min(np.min(line.get_xdata()) for line in axes.lines)
    steps, most = (part[edge[0] >= begin] for part in edge)
    most = np.where(most < limits[1], most, np.nan)
    if np.isnan(most).all():
        return
    label = "edge of stability, full batch"
    axes.plot(steps, most, color=GREY, linewidth=1.2, linestyle=DASHED, label=label)
    axes.set_ylim(limits)


def _mark_plateau(axes: Axes, seen: Seen) -> None:
    """Draw the level of lambda_1 over the measurements that establish its plateau."""
    if not seen.has("lambda_1"):
        return
    steps, values = seen.curves["lambda_1"]
    found = find_plateau(steps / seen.run["steps_per_epoch"], values[None])
    if found.status[0] != OK:
        return
    last = int(found.n[0]) - 1
    first = last + 2 - found.params["points"] - found.params["stay"]
    start, level = found["t_plateau"][0], found["lambda"][0]
    axes.plot(
        steps[[first, last]],
        [level, level],
        color=_RED,
        linewidth=2,
        label=f"plateau from epoch {start:.1f}: {level:.3g}",
    )


def _lines(
    axes: Axes,
    seen: Seen,
    looks: Mapping[str, tuple[str, str]],
    *,
    factors: bool = True,
    level: float | None = None,
) -> None:
    """Draw signals with bands of one standard error, those that were recorded.

    Args:
        axes: The axes.
        seen: What there is.
        looks: Colour and label of each signal.
        factors: Whether to draw positive values on a logarithmic axis.
        level: A number that the axis must reach.
    """
    shown = {name: look for name, look in looks.items() if seen.has(name)}
    for name, (colour, label) in shown.items():
        steps, values = with_gaps(seen.curves, seen.missing, name)
        size = 2.6 if len(steps) <= _MOST_MARKERS else 0.0
        axes.plot(steps, values, "-o", color=colour, linewidth=1.5, markersize=size)
        axes.lines[-1].set_label(label or "_")
        _time_axis(axes, steps)
    if factors:
        _factors(axes, level)
    low, high = axes.get_ylim()
    for name, (colour, _) in shown.items():
        if seen.has(f"{name}_se"):
            steps, values = with_gaps(seen.curves, seen.missing, name)
            _, error = with_gaps(seen.curves, seen.missing, f"{name}_se")
            ends = np.clip([values - error, values + error], low, high)
            axes.fill_between(steps, *ends, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylim(low, high)


def _factors(axes: Axes, level: float | None) -> None:
    """Make the axis of values logarithmic if all that is drawn is positive."""
    drawn = [np.asarray(line.get_ydata(), np.float64) for line in axes.lines]
    values = np.concatenate([*drawn, [np.nan if level is None else level]])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0:
        axes.set_ylim(values.min() / _ROOM, values.max() * _ROOM)
        logarithmic(axes, "y")


def _time_axis(axes: Axes, steps: Array) -> None:
    """Make the axis of updates logarithmic where the measurements are spaced so."""
    gaps = np.diff(steps)
    if len(gaps) > 2 and steps[0] > 0 and gaps.max() > _UNEVEN * np.median(gaps):
        logarithmic(axes, "x")
