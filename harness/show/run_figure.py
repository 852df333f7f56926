"""A run as one figure: loss, accuracy, learning rate, gradient norm and shifts."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.corpus import Corpus
from harness.show.glance import (
    Curves,
    find_run,
    missing_values,
    run_curves,
    smoothed,
)
from harness.show.law_panel import TITLE, draw_laws
from harness.show.laws import loss_laws
from harness.show.probe_panels import Seen, probe_panels
from harness.show.style import (
    DARK,
    DASHED,
    GREY,
    OKABE_ITO,
    SEVERITIES,
    dress,
    legend_strip,
    logarithmic,
    new_figure,
    not_measured,
    upright,
)

SMOOTHING: Final = 1 / 40
"""Width of the running mean as a share of the run."""
_BLUE, _RED, _GREEN = OKABE_ITO[:3]


def run_figure(corpus: Corpus, run_id: str) -> Figure:
    """Return one run; a panel whose numbers were not measured says so.

    Args:
        corpus: A finished corpus.
        run_id: Its id or a unique start of it.

    Raises:
        KeyError: No run or more than one is called so.
    """
    run_id = find_run(corpus, run_id)
    run = corpus.runs().row(by_predicate=pl.col("run_id") == run_id, named=True)
    curves = run_curves(corpus, run_id)
    seen = Seen(run, curves, missing_values(corpus, run_id))
    panels = probe_panels(seen)
    figure = new_figure(_title(run), 11.6 if panels else 7.8)
    grid = figure.add_gridspec(6 if panels else 4, 6)
    _losses(figure.add_subplot(grid[:2, :2]), run, curves)
    _laws(figure.add_subplot(grid[:2, 2:4]), run, curves)
    _accuracies(figure.add_subplot(grid[:2, 4:]), run, curves)
    for place, draw in zip(_places(len(panels)), panels, strict=True):
        draw(figure.add_subplot(grid[place]), seen)
    rate = figure.add_subplot(grid[-2, :2])
    norm = figure.add_subplot(grid[-1, :2], sharex=rate)
    _single(rate, curves, "lr", "Learning rate")
    _single(norm, curves, "grad_norm", "Gradient norm")
    norm.set_xlabel("update")
    cells = corpus.ood().filter(pl.col("run_id") == run_id)
    _shifted(figure.add_subplot(grid[-2:, 2:]), run, cells)
    return figure


def _places(count: int) -> list[tuple[slice | int, slice]]:
    """Return the cells of the panels of the probes; a fourth shares the last column."""
    both = slice(2, 4)
    if count == 4:
        thirds = [(both, slice(0, 2)), (both, slice(2, 4))]
        return [*thirds, (2, slice(4, 6)), (3, slice(4, 6))]
    width = 6 // max(count, 1)
    return [(both, slice(i * width, (i + 1) * width)) for i in range(count)]


def _title(run: Mapping[str, Any]) -> str:
    what = f"{run['model.name']} on {run['dataset.name']}"
    rate = run.get("optimizer.lr")
    how = run["optimizer.name"] + (f" lr {rate:g}" if rate is not None else "")
    end = f", {run['status']}" if run["status"] != "completed" else ""
    seed = f", seed {run['seed']}" if run.get("seed") is not None else ""
    return f"{run['run_id']}{end}: {what}, {how}, {run['schedule.name']}{seed}"


def _losses(axes: Axes, run: Mapping[str, Any], curves: Curves) -> None:
    title = "Loss"
    if "train_loss" not in curves:
        not_measured(axes, title, run["error"] or "no training loss was recorded")
        return
    steps, values = curves["train_loss"]
    axes.plot(steps, values, color=_BLUE, alpha=0.28, linewidth=0.8)
    smooth = smoothed(values, round(len(values) * SMOOTHING))
    axes.plot(steps, smooth, color=_BLUE, linewidth=1.8, label="training, minibatch")
    for name, colour, label in (
        ("train_loss_eval", _GREEN, "training, clean images"),
        ("val_loss", _RED, "validation"),
    ):
        if name in curves:
            axes.plot(*curves[name], color=colour, linewidth=1.5, label=label)
    dress(axes, title, "update", "nat")
    logarithmic(axes, "y")
    _mark_divergence(axes, run)
    legend_strip(axes, "top")


def _laws(axes: Axes, run: Mapping[str, Any], curves: Curves) -> None:
    found = loss_laws(run, curves)
    if found is None:
        not_measured(axes, TITLE, run["error"] or "no training loss was recorded")
    else:
        draw_laws(axes, found, *curves[found.signal], run)


def _accuracies(axes: Axes, run: Mapping[str, Any], curves: Curves) -> None:
    title = "Accuracy"
    shown = [
        (name, colour, label)
        for name, colour, label in (
            ("train_accuracy_eval", _GREEN, "training, clean images"),
            ("val_accuracy", _RED, "validation"),
        )
        if name in curves
    ]
    final = run["final.test_accuracy"]
    if not shown and final is None:
        not_measured(axes, title, "no accuracy was recorded")
        return
    for name, colour, label in shown:
        axes.plot(*curves[name], color=colour, linewidth=1.5, label=label)
    if final is not None:
        label = f"test at the end, {final:.4f}"
        axes.axhline(final, color=DARK, linewidth=1, linestyle=DASHED, label=label)
    dress(axes, title, "update")
    _mark_divergence(axes, run)
    axes.legend(fontsize=8.5, frameon=False, loc="best", handlelength=1.6)


def _single(axes: Axes, curves: Curves, name: str, title: str) -> None:
    if name not in curves:
        not_measured(axes, title, "not recorded")
        return
    steps, values = curves[name]
    if name == "lr":
        axes.plot(steps, values, color=DARK, linewidth=1.5)
        axes.set_ylim(bottom=0)
    else:
        axes.plot(steps, values, color=GREY, alpha=0.4, linewidth=0.8)
        smooth = smoothed(values, round(len(values) * SMOOTHING))
        axes.plot(steps, smooth, color=DARK, linewidth=1.5)
    dress(axes, title)


def _shifted(axes: Axes, run: Mapping[str, Any], cells: pl.DataFrame) -> None:
    """Draw a group of bars a corruption, darker for stronger ones."""
    title = "Accuracy under shift"
    if cells.is_empty():
        not_measured(axes, title, "no out-of-distribution set was scored")
        return
    names = cells["corruption"].unique(maintain_order=True).to_list()
    levels = cells["severity"].unique().sort().to_list()
    width = 0.84 / len(levels)
    shades = [SEVERITIES[min(i, 4)] for i in _spread(len(levels))]
    for i, (level, shade) in enumerate(zip(levels, shades, strict=True)):
        part = cells.filter(pl.col("severity") == level)
        places = np.array([names.index(name) for name in part["corruption"]])
        axes.bar(
            places + (i - (len(levels) - 1) / 2) * width,
            (part["correct"] / part["n"]).to_numpy(),
            width * 0.94,
            color=shade,
            label=f"{level}",
        )
    dress(axes, f"{title}: {', '.join(cells['set'].unique().sort())}")
    final = run["final.test_accuracy"]
    if final is not None:
        axes.axhline(final, color=DARK, linewidth=1, linestyle=DASHED)
    axes.set_ylim(0, 1)
    axes.grid(visible=False, axis="x")
    labels = [name.replace("_", "\n") for name in names]
    turned = len(names) > 12
    axes.set_xticks(range(len(names)), names if turned else labels)
    axes.tick_params(
        axis="x", labelsize=8.5, labelrotation=60 if turned else 0, length=0
    )
    axes.legend(
        title="severity",
        title_fontsize=8.5,
        fontsize=8.5,
        frameon=False,
        ncols=len(levels),
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        handlelength=1.0,
        columnspacing=0.8,
        borderaxespad=0.1,
    )


def _spread(count: int) -> list[int]:
    """Return `count` indices from 0 to 4, as far apart as possible."""
    return np.linspace(0, 4, count).round().astype(int).tolist() if count > 1 else [3]


def _mark_divergence(axes: Axes, run: Mapping[str, Any]) -> None:
    step = run["diverged_step"]
    if step is not None:
        look = {"color": _RED, "linewidth": 1.2, "linestyle": ":"}
        upright(axes, step, label="diverged", **look)
