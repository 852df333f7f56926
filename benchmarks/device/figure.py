"""The figure: ratios to the plain recipe, shares of floors, packing, a run's cost."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.device.bench import Row

Tables = Mapping[str, Mapping[str, Any]]
COLOURS = ("#9aa5b1", "#616e7c", "#3e4c59", "#7cc4fa", "#2186eb", "#03449e", "#f7c948")
ACCOUNTS = {
    "train": "#2186eb",
    "eval": "#7cc4fa",
    "log": "#f7c948",
    "compile": "#cb6e17",
    "load": "#9aa5b1",
    "wait": "#616e7c",
    "default probes": "#8719e0",
}
"""What a run spends time on, from the foot up."""


def draw(tables: Tables, title: str, path: Path) -> None:
    """Draw what of the tables is there.

    Args:
        tables: As in a `Report`.
        title: Machine and size.
        path: Where the picture goes.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [
        row
        for name in ("steps", "compiled")
        for row in _rows(tables, name)
        if "ms" in row and (name == "steps" or "compiled" in row["step"])
    ]
    panels: list[tuple[str, Callable[[Any], None]]] = [
        ("update: times the plain float32 recipe", lambda a: _speed(a, steps)),
        ("update: share of the higher floor", lambda a: _floors(a, steps)),
        ("runs side by side: times one run", lambda a: _packed(a, tables)),
        ("50 epochs, seconds", lambda a: _run(a, tables)),
    ]
    figure = Figure(figsize=(12, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    for axes, (name, panel) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        axes.set_title(name, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        panel(axes)
        if not axes.has_data():
            axes.text(0.5, 0.5, "not measured", ha="center", fontsize=9)
    figure.savefig(path, dpi=130)


def _rows(tables: Tables, name: str) -> list[Row]:
    return list(tables[name]["rows"]) if name in tables else []


def _bars(axes: Any, rows: list[Row], height: Callable[[Row], float]) -> None:
    """Draw a group of bars a batch size, one a kind of update."""
    batches = sorted({row["batch"] for row in rows})
    names = list(dict.fromkeys(row["step"] for row in rows))
    wide = 0.8 / max(1, len(names))
    for i, name in enumerate(names):
        mine = [row for row in rows if row["step"] == name]
        places = [batches.index(row["batch"]) + wide * i - 0.4 for row in mine]
        colour = COLOURS[i % len(COLOURS)]
        values = [height(row) for row in mine]
        axes.bar(places, values, wide, align="edge", color=colour, label=name)
    axes.set_xticks(range(len(batches)), [f"batch {batch}" for batch in batches])


def _speed(axes: Any, rows: list[Row]) -> None:
    _bars(axes, rows, lambda row: row["x plain float32"].median)
    axes.axhline(1, color="#52606d", linewidth=0.8)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.45)  # room for the legend
    axes.legend(fontsize=7, loc="upper left", ncols=2, frameon=False)


def _floors(axes: Any, rows: list[Row]) -> None:
    names = ("of operations floor", "of memory floor")
    _bars(axes, rows, lambda row: max(row[name] for name in names))
    axes.axhline(1, color="#ba2525", linewidth=0.8)


def _packed(axes: Any, tables: Tables) -> None:
    rows = _rows(tables, "packed")
    for i, batch in enumerate(sorted({row["batch"] for row in rows})):
        mine = [row for row in rows if row["batch"] == batch]
        counts = [row["runs"] for row in mine]
        gains = [row["x one run"].median for row in mine]
        colour = COLOURS[3 + i]
        axes.plot(counts, gains, "o-", color=colour, label=f"ResNet, batch {batch}")
    if stacked := _rows(tables, "stacked"):
        few = stacked[0]["runs"]
        gains = [row[f"x {few} runs"].median for row in stacked]
        label = f"stacked, against {few} runs"
        axes.plot(
            [r["runs"] for r in stacked], gains, "s--", color="#cb6e17", label=label
        )
    if rows or stacked:
        axes.axhline(1, color="#52606d", linewidth=0.8)
        axes.set_xscale("log", base=2)
        ticks = sorted({row["runs"] for row in (*rows, *stacked)})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("runs", fontsize=8)
        axes.legend(fontsize=7, frameon=False)


def _run(axes: Any, tables: Tables) -> None:
    """Stack the accounts of a run of 50 epochs, with all default probes on top."""
    rows = _rows(tables, "whole run")
    spent = {(row["batch"], row["what"]): row["50 epochs s"] for row in rows}
    for row in _rows(tables, "probes"):
        if rows and row["probe"] == "all":  # measured at the first batch size only
            spent[rows[0]["batch"], "default probes"] = row["s a run"]
    batches = sorted({row["batch"] for row in rows})
    foot = [0.0] * len(batches)
    for name, colour in ACCOUNTS.items():
        values = [spent.get((batch, name), 0.0) for batch in batches]
        if any(values):
            axes.bar(range(len(batches)), values, 0.4, foot, color=colour, label=name)
        foot = [a + b for a, b in zip(foot, values, strict=True)]
    for place, batch in enumerate(batches):
        floor = [spent[batch, "operations floor"]] * 2
        label = None if place else "operations floor"
        axes.plot([place - 0.3, place + 0.3], floor, color="#ba2525", label=label)
    axes.set_xticks(range(len(batches)), [f"batch {batch}" for batch in batches])
    if batches:
        axes.set_xlim(-0.5, len(batches) + 0.3)  # room for the legend
        axes.legend(fontsize=7, loc="upper right", frameon=False)
