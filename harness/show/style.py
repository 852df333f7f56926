"""Colours and dress of figures: matplotlib figures of 1200 pixels, no global state.

Colours are those of Okabe and Ito (2008) and of cividis, which colour-blind readers
tell apart; optimizers differ in their markers too.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    FuncFormatter,
    Locator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

WIDTH_IN: Final = 12.0
DPI: Final = 100
OKABE_ITO: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS: Final = "osD^vP"
_LINE_IN: Final = 0.165
"""Height of a line of a legend."""
_PAD_IN: Final = 0.1
DASHED: Final = (0, (4, 3))
GREY: Final = "#6f6f6f"
DARK: Final = "#222222"
SEVERITIES: Final = ("#cfe3f1", "#9cc4e0", "#649fc9", "#3078ac", "#0b4f80")
"""Light to dark; a stronger corruption is darker."""


def literal(text: str) -> str:
    """Return text that is drawn as it is: matplotlib reads "$" as mathematics."""
    return text.replace("$", r"\$")


def new_figure(title: str, height_in: float) -> Figure:
    """Return an empty figure with a title."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, layout=layout)
    figure.suptitle(literal(title), fontsize=13.5, color=DARK, fontweight="bold")
    return figure


def dress(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Give axes their title and labels, a faint grid and no frame above and right."""
    axes.set_title(literal(title), fontsize=11.5, loc="left", color=DARK)
    axes.set_xlabel(literal(x), fontsize=10, color=DARK)
    axes.set_ylabel(literal(y), fontsize=10, color=DARK)
    axes.tick_params(labelsize=9, color=GREY, labelcolor=DARK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)


def logarithmic(axes: Axes, which: str) -> None:
    """Make the axes named in `which` ("x", "y" or both) logarithmic, plain numbers."""
    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        getattr(axes, f"set_{name}scale")("log")
        low, high = getattr(axes, f"get_{name}lim")()
        # numbers of updates are long: fewer of them fit beside one another
        wide = 50 if name == "x" else 500
        axis.set_major_locator(_ticks(high / max(low, 1e-300), wide))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _ticks(ratio: float, wide: float) -> Locator:
    if ratio < 5:
        return MaxNLocator(6)
    return LogLocator(subs=(1.0,) if ratio > wide else (1.0, 2.0, 5.0))


def updates(run: Mapping[str, Any]) -> str:
    """Return the label of an axis of updates that tells how many are an epoch."""
    return f"update ({run['steps_per_epoch']:,} an epoch)"


def legend_strip(axes: Axes, side: Literal["top", "bottom"]) -> None:
    """Give axes a legend, and room for it beyond all that is drawn."""
    labels = axes.get_legend_handles_labels()[1]
    if not labels:
        return
    lines = sum(label.count("\n") + 1 for label in labels)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    height = axes.get_position().height * figure.get_size_inches()[1]
    share = min((_LINE_IN * lines + _PAD_IN) / height, 0.6)
    transform = axes.yaxis.get_transform()
    low, high = transform.transform(axes.get_ylim())
    room = (high - low) * share / (1 - share)
    ends = (low - room, high) if side == "bottom" else (low, high + room)
    axes.set_ylim(*transform.inverted().transform(ends))
    if axes.get_yscale() == "log":
        logarithmic(axes, "y")
    legend = axes.legend(
        fontsize=8.5,
        frameon=False,
        loc="upper right" if side == "top" else "lower left",
        borderaxespad=0.2,
        handlelength=1.6,
    )
    legend.set_in_layout(False)  # a wide one must not shrink the columns


def upright(axes: Axes, x: float, **look: Any) -> None:
    """Draw a vertical line over the present height of the axes, and no further."""
    limits = axes.get_ylim()
    axes.plot([x, x], limits, **look)
    axes.set_ylim(limits)


def not_measured(axes: Axes, title: str, why: str) -> None:
    """Say in place of a panel why there is nothing in it."""
    dress(axes, title)
    axes.set_axis_off()
    axes.text(
        0.5,
        0.5,
        why,
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=10.5,
        color=GREY,
    )


def looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a marker for each distinct name, in sorted order."""
    return {
        name: (OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(sorted(set(names)))
    }
