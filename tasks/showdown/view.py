"""The noise showdown as aligned text and as a forest plot."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from harness.columns import aligned, percent
from harness.errors import DataError
from harness.measure import OK
from tasks.showdown.correlations import NEGATIVE, STATISTICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALPHA: Final = 0.05
MOST: Final = 40
"""Signals in the figure; beyond that, rows cannot be told apart."""
_ROW_IN: Final = 0.205
_FRAME_IN: Final = 1.95
_HEAD: Final = (
    *("signal", "runs", "Spearman", "settings fixed", "levels fixed"),
    *("passes", "time"),
)
_LEGEND: Final = (
    f"settings fixed, levels fixed: partial correlations with 95 % intervals; *: Holm "
    f"p < {ALPHA:g}; passes, time: cost as a share of a run's training"
)
_DRAWN: Final = ("spearman", "levels", "partial", "partial_low", "partial_high")
_PRICES: Final = ("cost_passes", "cost_seconds")


def showdown_text(table: pl.DataFrame, limit: int = 20) -> str:
    """Return the strongest signals of each target, with controls and what is missing.

    Args:
        table: What `tasks.showdown.table.showdown` returned.
        limit: Signals to show for each target, by the size of `partial`.
    """
    parts = [
        _target_text(part, limit)
        for part in table.partition_by("target", maintain_order=True)
    ]
    return "\n".join([*(line for part in parts for line in [*part, ""]), _LEGEND])


def _target_text(table: pl.DataFrame, limit: int) -> list[str]:
    found = _strongest(table)
    rows = [_text_row(row) for row in found.head(limit).iter_rows(named=True)]
    lines = aligned([_HEAD, *rows], right=range(1, len(_HEAD))) if rows else []
    hidden = len(found) - len(rows)
    primary = " (primary hypothesis: Spearman)" if table["primary"].any() else ""
    return [
        f"{table['target'][0]} from {_window(table)}{primary}",
        *lines,
        *[f"and {hidden} weaker"] * (hidden > 0),
        *_negative(found),
        *_missing(table),
    ]


def _window(table: pl.DataFrame) -> str:
    return f"the first {100 * table['until'][0]:g} %"


def _strongest(table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with values, the largest partial correlation first."""
    found = table.filter(pl.col("status") == OK)
    order = pl.col("partial").abs()
    return found.sort(order, descending=True, maintain_order=True)


def _text_row(row: dict[str, Any]) -> list[str]:
    plain, *others = (_correlation(row, name) for name in STATISTICS)
    costs = (percent(row[price]) for price in _PRICES)
    return [row["signal"], f"{row['n']:,}", plain, *others, *costs]


def _correlation(row: dict[str, Any], name: str) -> str:
    value, low, high, p = (row[f"{name}{x}"] for x in ("", "_low", "_high", "_p_holm"))
    if value is None:
        return "-  "
    star = "*" if p is not None and p < ALPHA else " "
    interval = low is not None and name != "spearman"
    return f"{value:+.2f}{f' [{low:+.2f} {high:+.2f}]' * interval} {star}"


def _negative(found: pl.DataFrame) -> list[str]:
    """Return a line a negative control: none should stand out."""
    lines = []
    for name in NEGATIVE:
        size, p = found[name].abs().max(), found[f"{name}_p"].drop_nulls()
        if isinstance(size, float):
            lines.append(
                f"negative control {name}: |r| at most {size:.2f}, p < {ALPHA:g} for "
                f"{(p < ALPHA).sum()} of {len(p)} (chance: {ALPHA * len(p):.1f})"
            )
    return lines


def _missing(table: pl.DataFrame) -> list[str]:
    """Return which signals have no correlation, by what became of them."""
    lost = table.filter(pl.col("status") != OK)
    why = pl.concat_str("status", "missing", separator=", runs without: ")
    estimator = pl.col("signal").str.replace(r"\..*", "").unique(maintain_order=True)
    groups = lost.group_by(
        why.str.strip_suffix(", runs without: "), maintain_order=True
    ).agg(estimator, pl.len())
    return [
        f"{count} not compared ({reason}): {', '.join(names)}"
        for reason, names, count in groups.rows()
    ]


def showdown_figure(table: pl.DataFrame) -> "Figure":
    """Return a forest plot, a panel a target, the strongest signals at the top.

    Rows are in the order of the first target; blue intervals and filled diamonds are
    those whose Holm-adjusted p is below 0.05; the text at the right is the cost up to
    the window as a share of a run's training.

    Args:
        table: What `tasks.showdown.table.showdown` returned.

    Raises:
        DataError: No signal has a correlation.
    """
    from harness.show.style import dress, new_figure

    targets = table["target"].unique(maintain_order=True).to_list()
    found = _strongest(table)
    signals = found.sort(
        pl.col("target").replace_strict(targets, range(len(targets))),
        maintain_order=True,
    )["signal"].unique(maintain_order=True)
    if signals.is_empty():
        raise DataError("no signal has a correlation with a target: nothing to draw")
    shown = signals.head(MOST).to_list()
    some = f"the {MOST} strongest of " * (len(signals) > MOST)
    title = (
        f"What {_window(table)} of a run tell about its end: "
        f"{some}{len(signals)} signals"
    )
    figure = new_figure(title, _FRAME_IN + _ROW_IN * len(shown))
    panels = figure.subplots(1, len(targets), sharey=True, squeeze=False)[0]
    for axes, target in zip(panels, targets, strict=True):
        part = found.filter(pl.col("target") == target)
        _panel(axes, part, shown)
        primary = " (primary)" if part["primary"].any() else ""
        dress(axes, f"{target}{primary}", "rank correlation")
        axes.set_xlim(-1, 1)
    _label_rows(panels[0], found, shown)
    _costs(panels[-1], found, shown)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        fontsize=9,
        frameon=False,
    )
    return figure


def _panel(axes: "Axes", found: pl.DataFrame, shown: list[str]) -> None:
    """Draw one target: intervals, plain and stricter correlations, controls."""
    from harness.show.style import DARK, GREY, OKABE_ITO

    of = pl.DataFrame({"signal": shown}).join(
        found, on="signal", how="left", maintain_order="left"
    )
    value = {n: of[n].cast(pl.Float64).to_numpy() for n in (*_DRAWN, *NEGATIVE)}
    sure, firm = (
        (of[f"{name}_p_holm"] < ALPHA).fill_null(False).to_numpy()
        for name in ("partial", "levels")
    )
    rows = np.arange(len(shown))

    def dots(name: str, label: str, **look: Any) -> None:
        axes.scatter(value[name], rows, label=label, **look)

    axes.axvline(0, color=DARK, linewidth=1)
    for name, marker in zip(NEGATIVE, "x+", strict=True):
        label = f"negative control: {name.replace('_', ' ')}"
        dots(name, label, marker=marker, color="#b5b5b5", s=16, linewidths=0.9)
    blue = np.where(sure, OKABE_ITO[0], GREY)
    ends = value["partial_low"], value["partial_high"]
    axes.hlines(rows, *ends, color=blue, linewidth=1.8)
    dots(
        "partial",
        "settings fixed by rank, 95 % (grey: Holm p >= 0.05)",
        color=blue,
        s=26,
    )
    dots(
        "levels",
        "every level of the settings fixed (hollow: Holm p >= 0.05)",
        marker="D",
        s=26,
        facecolors=np.where(firm, OKABE_ITO[1], "white"),
        edgecolors=OKABE_ITO[1],
        zorder=3,
    )
    plain = {"facecolors": "none", "edgecolors": DARK, "linewidths": 1.0}
    dots("spearman", "plain Spearman", s=34, zorder=4, **plain)


def _label_rows(axes: "Axes", found: pl.DataFrame, shown: list[str]) -> None:
    """Name the rows at the left, with the number of runs where it is not the usual."""
    counts = dict(found.select("signal", "n").rows())
    usual = max(counts.values())
    labels = [
        name if counts[name] == usual else f"{name} ({counts[name]:,} runs)"
        for name in shown
    ]
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.4, -0.6)


def _costs(axes: "Axes", found: pl.DataFrame, shown: list[str]) -> None:
    """Write the cost of each row to the right of the axes."""
    from harness.show.style import DARK, GREY

    prices = {row[0]: row[1:] for row in found.select("signal", *_PRICES).rows()}
    transform = axes.get_yaxis_transform()
    look: dict[str, Any] = {"transform": transform, "ha": "right", "va": "center"}
    width = axes.get_position().width * 12  # inches
    for i, title in enumerate(("cost:\npasses", "\ntime")):
        x = 1 + (0.75 + 0.7 * i) / width
        axes.text(x, -1.35, title, color=DARK, fontsize=9, **look)
        for place, name in enumerate(shown):
            text = "free" if prices[name] == (0.0, 0.0) else percent(prices[name][i])
            axes.text(x, place, text, color=GREY, fontsize=8.5, **look)
