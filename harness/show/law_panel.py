"""The panel of a run's training loss on logarithmic axes, with its law and its knee."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from harness.show.glance import Array
from harness.show.laws import Knee, Law, LossLaws
from harness.show.style import (
    DARK,
    DASHED,
    OKABE_ITO,
    dress,
    legend_strip,
    logarithmic,
    updates,
    upright,
)

TITLE: Final = "Loss, log-log"
_BLUE, _RED, _, _PINK = OKABE_ITO[:4]
_ROOM: Final = 1.5
"""Factor between the axis's beginning and the first epoch mean."""
_POINTS: Final = 60
_NAMES: Final = {"train_loss": "training loss", "train_ce": "training cross-entropy"}


def draw_laws(
    axes: Axes, found: LossLaws, steps: Array, values: Array, run: Mapping[str, Any]
) -> None:
    """Draw the loss at each update, its epoch means, its laws and its knee.

    A law is solid on the window it was fitted on and dashed beyond it.

    Args:
        axes: Empty axes.
        found: Epoch means and laws.
        steps: Updates at which the loss was recorded.
        values: The loss in nats.
        run: Row of the table `runs`.
    """
    per_epoch = run["steps_per_epoch"]
    good = np.isfinite(values) & (values > 0)
    if len(found.times):
        good &= steps >= found.times[0] * per_epoch / _ROOM
    axes.plot(steps[good], values[good], color=_BLUE, alpha=0.28, linewidth=0.8)
    axes.plot(
        found.times * per_epoch,
        found.means,
        "o",
        color=_BLUE,
        markersize=3.2,
        label=f"{_NAMES[found.signal]}, epoch means",
    )
    dress(axes, TITLE, updates(run), "nat")
    logarithmic(axes, "xy")
    limits = axes.get_ylim()
    for law, colour in zip(found.laws, (DARK, _RED), strict=False):
        _draw(axes, law, found, run, colour)
    axes.set_ylim(limits)
    if found.knee is not None:
        _mark_knee(axes, found.knee, per_epoch)
    if found.note:
        axes.plot([], [], linestyle="none", label=found.note)
    legend_strip(axes, "bottom")


def _draw(
    axes: Axes, law: Law, found: LossLaws, run: Mapping[str, Any], colour: str
) -> None:
    """Draw a law on its window, and dashed from the first epoch on to the last."""
    assert found.window is not None
    first, last = found.window
    scale = run["steps_per_epoch"]
    end = run["num_steps"] / scale
    t = np.geomspace(first, last, _POINTS)
    axes.plot(t * scale, law.curve(t), color=colour, linewidth=1.8, label=law.label)
    for low, high in ((found.times[0], first), (last, end)):
        t = np.geomspace(low, high, _POINTS)
        axes.plot(
            t * scale, law.curve(t), color=colour, linewidth=1.1, linestyle=DASHED
        )


def _mark_knee(axes: Axes, knee: Knee, per_epoch: int) -> None:
    label = f"knee at epoch {knee.epoch:.1f}: {knee.before:.2f}, then {knee.after:.2f}"
    if knee.schedule:
        label += "\nwhere the learning rate changes"
    upright(
        axes,
        knee.epoch * per_epoch,
        color=_PINK,
        linewidth=1.6,
        linestyle=":",
        label=label,
    )
