"""Scores as pictures: skill over all tasks, one task with intervals, skill by cost.

Each takes the rows of `tasks.evaluate` and returns a matplotlib figure.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.show.style import (
    DARK,
    DASHED,
    GREY,
    MARKERS,
    OKABE_ITO,
    dress,
    literal,
    logarithmic,
    new_figure,
)
from tasks.metrics.table import metric
from tasks.report import scale_of

ROW_IN: Final = 0.27
"""Height of a predictor's row."""
FREE: Final = 0.005
"""Where what costs nothing stands on a logarithmic axis of costs."""
SHOWN: Final = 1.5
"""Skills below minus this count as it where predictors are put in order."""
_BLUE, _RED, _GREEN = OKABE_ITO[:3]


def skill_figure(scores: pl.DataFrame) -> Figure:
    """Return the skill of every predictor at every task, as a table of colours.

    Bold where the interval excludes 0; "-" where all was declined.
    """
    rows = scores.filter("primary")
    tasks = rows["task"].unique(maintain_order=True).sort().to_list()
    order = _by_skill(rows)
    figure = new_figure(
        f"Skill over each task's reference, {rows['corpus'][0]}",
        2.6 + ROW_IN * len(order),
    )
    axes = figure.add_subplot()
    cells = {(row["predictor"], row["task"]): row for row in rows.to_dicts()}
    table = np.full((len(order), len(tasks)), np.nan)
    for i, predictor in enumerate(order):
        for j, task in enumerate(tasks):
            cell = cells.get((predictor, task))
            if cell is None or cell["skill"] is None:
                text, weight = ("-" if cell else ""), "normal"
            else:
                table[i, j] = cell["skill"]
                text, weight = _percent(cell["skill"]), _weight(cell)
            dark = np.isfinite(table[i, j]) and abs(table[i, j]) > 0.6
            axes.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=7.5,
                fontweight=weight,
                color="white" if dark else DARK,
            )
    axes.imshow(
        np.clip(table, -1, 1), cmap="BrBG", vmin=-1, vmax=1, aspect="auto", alpha=0.9
    )
    axes.set_xticks(range(len(tasks)), tasks, rotation=50, ha="right", fontsize=8.5)
    axes.set_yticks(range(len(order)), order, fontsize=9)
    axes.tick_params(length=0, labelcolor=DARK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(
        "percent; 0: as good as the reference, 100: perfect; bold: the 95 % interval "
        "over families excludes 0; -: declined",
        fontsize=9,
        color=DARK,
    )
    return figure


def task_figure(scores: pl.DataFrame, task: str) -> Figure:
    """Return one task: its main metric for every predictor, best first, with intervals.

    The dashed line is the reference, the dotted one what knowing the configuration
    allows at best.

    Raises:
        KeyError: No score of this task is among the rows.
    """
    rows = scores.filter(pl.col("primary") & (pl.col("task") == task))
    if rows.is_empty():
        raise KeyError(f"there are no scores of the task {task!r}")
    known = rows.filter(pl.col("value").is_not_null())
    down = metric(rows["metric"][0]).direction == "min"
    known = known.sort("value", descending=down)  # the best is drawn on top
    scale, unit = _shown(rows)
    figure = new_figure(
        f"{task}: {rows['metric'][0]} on {rows['corpus'][0]}",
        1.7 + ROW_IN * max(len(known), 4),
    )
    axes = figure.add_subplot()
    dress(axes, _subtitle(rows), f"{rows['metric'][0]} [{unit}]")
    y = np.arange(len(known))
    value, low, high = (
        scale * known[name].to_numpy() for name in ("value", "low", "high")
    )
    axes.hlines(y, low, high, color=_BLUE, linewidth=2.2, alpha=0.55)
    axes.plot(value, y, "o", color=_BLUE, markersize=6)
    axes.set_yticks(y, known["predictor"].to_list(), fontsize=9)
    for x, look, label in (
        (rows["reference_value"][0], DASHED, f"reference: {rows['reference'][0]}"),
        (rows["ceiling"][0], ":", "noise ceiling of the configuration"),
    ):
        if x is not None and np.isfinite(x):
            axes.axvline(scale * x, color=_RED, linestyle=look, linewidth=1.3)
            axes.plot([], [], color=_RED, linestyle=look, label=label)
    lines = [rows[name][0] for name in ("reference_value", "ceiling")]
    lines = [scale * x for x in lines if x is not None]
    axes.set_xlim(*_reach(value, np.concatenate([low, high, value, lines])))
    _right_text(axes, known)
    limit = axes.get_xlim()[1]
    for x, row in zip(value, y, strict=True):
        if x > limit:
            axes.annotate(
                f"{x:.3g} \u2192",
                (limit, row),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8.5,
                color=DARK,
            )
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def cost_figure(scores: pl.DataFrame, tasks: list[str]) -> Figure:
    """Return what a forecast costs against how good it is, over some tasks.

    Cost is the share of the passes of full training: the part that was seen, and the
    probes and evaluations that the predictor uses. The line joins what nothing cheaper
    beats; what reads no curve is free and stands at the left.

    Args:
        scores: Rows of scores.
        tasks: Tasks with one target and different windows.
    """
    rows = scores.filter(
        pl.col("primary")
        & pl.col("task").is_in(tasks)
        & pl.col("value").is_not_null()
        & pl.col("cost_passes").is_not_null()
    )
    scale, unit = _shown(rows)
    figure = new_figure(f"What a forecast costs, {rows['corpus'][0]}", 6.2)
    axes = figure.add_subplot()
    name = rows["metric"][0]
    dress(
        axes, "", "passes that are paid, in percent of a full run's", f"{name} [{unit}]"
    )
    paid = rows.with_columns(pl.col("cost_passes").clip(FREE) * 100)
    value = scale * paid["value"].to_numpy()
    for i, task in enumerate(tasks):
        of_task = (paid["task"] == task).to_numpy()
        axes.plot(
            paid["cost_passes"].to_numpy()[of_task],
            value[of_task],
            MARKERS[i % len(MARKERS)],
            color=OKABE_ITO[i % len(OKABE_ITO)],
            label=task,
            alpha=0.75,
            markersize=6,
        )
    front = _front(paid, down=metric(name).direction == "min")
    axes.step(
        front["cost_passes"],
        scale * front["value"].to_numpy(),
        where="post",
        color=GREY,
        linewidth=1.2,
        label="nothing cheaper is better",
    )
    for row in front.to_dicts():
        axes.annotate(
            literal(row["predictor"]),
            (row["cost_passes"], scale * row["value"]),
            xytext=(5, -11),
            textcoords="offset points",
            fontsize=8,
            color=DARK,
        )
    axes.set_ylim(*_reach(value, value))
    logarithmic(axes, "x")
    axes.legend(frameon=False, fontsize=9)
    return figure


def _by_skill(rows: pl.DataFrame) -> list[str]:
    """Return the predictors, the largest mean skill first; declining counts as 0."""
    middle = rows.group_by("predictor").agg(
        pl.col("skill").clip(-SHOWN, 1).fill_null(0.0).mean()
    )
    return middle.sort(["skill", "predictor"], descending=[True, False])[
        "predictor"
    ].to_list()


def _weight(cell: dict[str, Any]) -> str:
    low, high = cell["skill_low"], cell["skill_high"]
    if low is None or high is None:
        return "normal"
    return "bold" if low > 0 or high < 0 else "normal"


def _percent(skill: float) -> str:
    return f"{round(100 * skill):d}" if skill > -10 else "<-999"


def _shown(rows: pl.DataFrame) -> tuple[float, str]:
    """Return factor and label of the values' unit."""
    scale, unit = scale_of(rows["unit"][0])
    return scale, unit.strip() or "1"


def _subtitle(rows: pl.DataFrame) -> str:
    first = rows.row(0, named=True)
    return f"{first['n']} runs in {first['families']} families; bars: 95 % intervals"


def _reach(value: Any, ends: Any) -> tuple[float, float]:
    """Return limits that hold the ends, but for what is far off from most values."""
    ends = ends[np.isfinite(ends)]
    middle = float(np.nanmedian(value))
    reach = 8 * float(np.nanmedian(np.abs(value - middle))) or np.inf
    low, high = max(ends.min(), middle - reach), min(ends.max(), middle + reach)
    room = 0.04 * (high - low) or 0.04
    return low - room, high + room


def _right_text(axes: Axes, known: pl.DataFrame) -> None:
    """Write skill, declined and cost of each predictor at the right."""
    heads = ("skill %", "declined", "cost %")
    places = (1.05, 1.12, 1.19)
    for place, head in zip(places, heads, strict=True):
        axes.text(
            place,
            1.01,
            head,
            transform=axes.transAxes,
            ha="right",
            fontsize=8.5,
            color=GREY,
        )
    for i, row in enumerate(known.to_dicts()):
        cost = row["cost_passes"]
        cells = (
            "-" if row["skill"] is None else _percent(row["skill"]),
            str(row["declined"]),
            "-" if cost is None else f"{100 * cost:.0f}",
        )
        for place, cell in zip(places, cells, strict=True):
            axes.text(
                place,
                i,
                cell,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=8.5,
                color=DARK,
            )


def _front(rows: pl.DataFrame, *, down: bool) -> pl.DataFrame:
    """Return the rows that no cheaper one equals."""
    ordered = rows.sort(["cost_passes", "value"], descending=[False, not down])
    best = ordered["value"].cum_min() if down else ordered["value"].cum_max()
    before = best.shift(1)
    better = before.is_null() | (best != before)
    return ordered.filter(better)
