"""The figure of `harness fit`: curves and their law above, what is left below."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.fitting.request import LOSS_TO_LOSS
from harness.fitting.result import GIVEN, TEST, TRAIN, Answer, Mask, Scored
from harness.measure import OK, Floats
from harness.show.style import (
    DARK,
    DASHED,
    GREY,
    OKABE_ITO,
    dress,
    legend_strip,
    logarithmic,
    new_figure,
    not_measured,
)

HEIGHT_IN: Final = 8.0
NAMED: Final = 9
"""Files that the legend names; the others are counted."""
ASTRAY: Final = 0.5
"""How far a law is followed beyond the losses, as a share of their range."""
_TITLES: Final = {TRAIN: "Training files", TEST: "Test files"}


def fit_figure(answer: Answer) -> Figure:
    """Return the figure: a column for training files and one for test files.

    Above: losses as points, the law as a dark line, dashed where it forecasts. Below:
    the loss beyond the law in percent, at the points that are scored.
    """
    parts = [p for p in _TITLES if any(s.part == p for s in answer.scored)]
    how = "given" if all(fit.status == GIVEN for fit in answer.fits) else "fitted"
    figure = new_figure(f"The law {answer.law}, {how}, and the losses", HEIGHT_IN)
    panels = figure.subplots(
        2, len(parts), sharex="col", squeeze=False, height_ratios=(2.2, 1)
    )
    for column, part in enumerate(parts):
        scored = [s for s in answer.scored if s.part == part]
        above, below = panels[:, column]
        _draw_losses(above, answer, scored, _TITLES[part])
        if any(s.scored.any() for s in scored):
            _draw_rest(below, answer, scored)
        else:
            not_measured(below, "", "nothing could be scored")
            above.set_xlabel(answer.x_label, fontsize=10, color=DARK)
            above.tick_params(labelbottom=True)
    return figure


def _draw_losses(
    axes: Axes, answer: Answer, scored: Sequence[Scored], title: str
) -> None:
    for i, s in enumerate(scored):
        axes.plot(
            s.x,
            s.loss,
            "o",
            color=OKABE_ITO[i % len(OKABE_ITO)],
            markersize=2.6,
            alpha=0.6,
            label=s.file if i < NAMED else None,
        )
    for s in scored:
        forecast = s.asked if s.part == TEST else np.zeros(len(s.x), dtype=np.bool_)
        _draw_law(axes, s, ~forecast, "-")
        _draw_law(axes, s, forecast, DASHED)
    for name, style in _law_names(scored):
        axes.plot([], [], color=DARK, linewidth=1.3, linestyle=style, label=name)
    if len(scored) > NAMED:
        more = f"and {len(scored) - NAMED} more files"
        axes.plot([], [], linestyle="none", label=more)
    unit = "L1 in nat" if answer.law == LOSS_TO_LOSS else "loss in nat"
    dress(axes, title, "", unit)
    logarithmic(axes, "xy")
    axes.set_ylim(*_limits(scored))
    logarithmic(axes, "y")
    legend_strip(axes, "top")


def _draw_law(axes: Axes, s: Scored, where: Mask, style: Any) -> None:
    """Draw the law at some of the points."""
    predicted: Floats = np.where(where, s.predicted, np.nan)
    if np.isfinite(predicted).any():
        axes.plot(s.x, predicted, color=DARK, linewidth=1.3, linestyle=style)


def _limits(scored: Sequence[Scored]) -> tuple[float, float]:
    """Return limits that hold all losses, and laws unless they go far astray."""
    losses = np.log(np.concatenate([s.loss for s in scored]))
    laws = np.concatenate([s.predicted for s in scored])
    laws = np.log(laws[np.isfinite(laws) & (laws > 0)])
    room = max(float(np.ptp(losses)), 0.01)
    low, high = losses.min() - ASTRAY * room, losses.max() + ASTRAY * room
    shown = np.concatenate([losses, np.clip(laws, low, high)])
    edge = 0.05 * room
    return float(np.exp(shown.min() - edge)), float(np.exp(shown.max() + edge))


def _law_names(scored: Sequence[Scored]) -> list[tuple[str, Any]]:
    """Return what the lines of the law are called, with their styles."""
    drawn = [s for s in scored if np.isfinite(s.predicted).any()]
    if not drawn:
        given = all(s.status in (OK, GIVEN) for s in scored)
        where = "at these points" if given else f"fitted: {scored[0].status}"
        return [(f"no law {where}", "none")]
    if drawn[0].part == TRAIN:
        return [("law", "-")]
    fitted = any((~s.asked).any() for s in drawn)
    return [("law, fitted part", "-")] * fitted + [("law, forecast", DASHED)]


def _draw_rest(axes: Axes, answer: Answer, scored: Sequence[Scored]) -> None:
    """Draw the losses beyond the law, in percent of the law."""
    for i, s in enumerate(scored):
        x, beyond = s.x[s.scored], s.loss[s.scored] / s.predicted[s.scored] - 1
        colour = OKABE_ITO[i % len(OKABE_ITO)]
        axes.plot(x, 100 * beyond, ".", color=colour, markersize=3.5)
    axes.axhline(0.0, color=GREY, linewidth=1)
    dress(axes, "Loss beyond the law", answer.x_label, "percent")
    logarithmic(axes, "x")
