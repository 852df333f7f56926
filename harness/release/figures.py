"""Figures of a release: at a glance, the ends by learning rate, and who tells early."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.schema import WINDOW_EDGES
from harness.seed_noise import ACCURACY
from harness.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE: Final = "optimizer.lr"
MOST_RUNS: Final = 2000
"""Runs whose curves are read for the figure of signals; of more, every k-th."""
MOST_SIGNALS: Final = 18
MOST_PANELS: Final = 6
MOST_TICKS: Final = 6
LEAST_ERROR: Final = 1e-4
FEWEST_RUNS: Final = 12
"""Below so many runs a rank correlation is not shown."""
_DPI: Final = 130
_WINDOWS: Final = WINDOW_EDGES[:-1]


class Picture(NamedTuple):
    """A figure of a release."""

    name: str
    """File name."""
    caption: str
    """What it shows, for those who see it and for those who do not."""


def write_figures(corpus: Corpus, folder: Path) -> list[Picture]:
    """Write the figures of a corpus as PNG; return those that it has numbers for.

    The same corpus, matplotlib and fonts give the same bytes.

    Raises:
        CorpusError: A table has changed.
        StorageError: A file could not be written.

    Cost: reads the training loss of every run, and all curves of at most `MOST_RUNS`.
    """
    from harness.show import corpus_figure

    runs = corpus.runs()
    scored = runs.filter(
        (pl.col("status") != "failed") & pl.col(ACCURACY).is_not_null()
    )
    if scored.is_empty():
        return []
    drawn: list[tuple[Picture, Callable[[], Figure | None]]] = [
        (Picture("glance.png", _GLANCE), lambda: corpus_figure(corpus)),
        (Picture("rates.png", _RATES), lambda: rate_figure(scored)),
        (Picture("signals.png", _SIGNALS), lambda: signal_figure(corpus, scored)),
    ]
    kept = []
    for picture, draw in drawn:
        figure = draw()
        if figure is not None:
            # no date and no version: the bytes are those of the corpus
            with replacing(folder / picture.name) as path:
                figure.savefig(
                    path, dpi=_DPI, format="png", metadata={"Software": None}
                )
            kept.append(picture)
    return kept


_GLANCE: Final = (
    "The corpus at a glance: training loss of every run coloured by final accuracy, "
    "accuracy under shift, spread of the ends, and early loss as a forecast."
)
_RATES: Final = (
    "Final test error against the learning rate: a point is a run, a line joins the "
    "seeds of a configuration, and the configurations of one rate stand side by side, "
    "sorted. How wide the good range of each optimizer is, and how far seeds lie apart."
)
_SIGNALS: Final = (
    "Rank correlation (Spearman) of each signal's last value in a window with the "
    "final test accuracy: which signal knows the end, and how early. Sorted by "
    "the first fifth of the run."
)


def rate_figure(scored: pl.DataFrame) -> "Figure | None":
    """Return the final test error against the learning rate, a panel an optimizer.

    Args:
        scored: Rows of the table of runs that have a final test accuracy.

    Returns:
        None where fewer than two learning rates were recorded.
    """
    from matplotlib.ticker import NullLocator

    from harness.show.style import dress, literal, logarithmic, looks, new_figure

    if RATE not in scored.columns or not scored[RATE].dtype.is_numeric():
        return None
    known = scored.filter(pl.col(RATE) > 0).sort("schedule.name", RATE, "run_id")
    if known[RATE].n_unique() < 2:
        return None
    names = known["optimizer.name"].unique().sort().to_list()[:MOST_PANELS]
    schedules = looks(known["schedule.name"])
    figure = new_figure("Final test error against the learning rate", 4.6)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        placed = side_by_side(known.filter(pl.col("optimizer.name") == name))
        for (schedule,), part in placed.group_by("schedule.name", maintain_order=True):
            _errors(axes, part, *schedules[str(schedule)], label=str(schedule))
        label = "final test error" if axes is panels[0] else ""
        dress(axes, literal(str(name)), "peak learning rate", label)
        logarithmic(axes, "x")
        rates = placed[RATE].unique().sort().to_list()
        if len(rates) <= MOST_TICKS:
            axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.legend(fontsize=9, frameon=False, handletextpad=0.2)
    logarithmic(panels[0], "y")
    return figure


def side_by_side(runs: pl.DataFrame) -> pl.DataFrame:
    """Return runs with columns `x` and `error`: families of one rate do not overlap.

    Families of a rate are placed about it in the order of their mean error, over at
    most half of the way to the next rate on a logarithmic axis.
    """
    runs = runs.with_columns(error=(1 - pl.col(ACCURACY)).clip(LEAST_ERROR))
    families = (
        runs.group_by("family_id", RATE)
        .agg(pl.col("error").mean())
        .sort(RATE, "error", "family_id")
        .with_columns(
            rank=pl.int_range(pl.len()).over(RATE), of=pl.len().over(RATE).cast(float)
        )
    )
    rates = np.log(families[RATE].unique().sort().to_numpy())
    gap = np.diff(rates).min() if len(rates) > 1 else 1.0
    step = 0.5 * gap / families["of"].to_numpy().max()
    shift = (step * (pl.col("rank") - (pl.col("of") - 1) / 2)).exp()
    places = families.select("family_id", RATE, x=pl.col(RATE) * shift)
    return runs.join(places, on=["family_id", RATE], maintain_order="left")


def _errors(
    axes: "Axes", part: pl.DataFrame, colour: str, marker: str, *, label: str
) -> None:
    """Draw the runs of a schedule, and a line between the seeds of each family."""
    from harness.show.style import literal

    low, high = pl.col("error").min(), pl.col("error").max()
    ranges = part.group_by("x").agg(low=low, high=high).sort("x")
    x, bottom, top = (ranges[name].to_numpy() for name in ("x", "low", "high"))
    axes.vlines(x, bottom, top, color=colour, alpha=0.45, linewidth=1)
    axes.scatter(
        part["x"].to_numpy(),
        part["error"].to_numpy(),
        s=15,
        marker=marker,
        color=colour,
        alpha=0.6,
        linewidths=0,
        label=literal(label),
    )


def signal_figure(corpus: Corpus, scored: pl.DataFrame) -> "Figure | None":
    """Return the rank correlations of signals with the end, by window, as a table.

    Args:
        corpus: The corpus.
        scored: Rows of its table of runs that have a final test accuracy.

    Returns:
        None where no signal varies over enough runs.
    """
    from harness.show.style import DARK, dress, literal, new_figure

    found = early_correlations(corpus, scored)
    if not found:
        return None
    names = sorted(found, key=lambda name: (-_strength(found[name]), name))
    names = names[:MOST_SIGNALS]
    values = np.array([found[name] for name in names])
    figure = new_figure("Which signal knows the end, and when", 1.6 + 0.3 * len(names))
    axes = figure.subplots()
    image = axes.imshow(values, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}"
        colour = "white" if abs(value) > 0.7 else DARK
        axes.text(x, y, text, ha="center", va="center", fontsize=9.5, color=colour)
    dress(axes, "Spearman correlation with the final test accuracy", _AXIS)
    axes.set_xticks(range(len(_WINDOWS)), [f"{edge} %" for edge in _WINDOWS])
    axes.set_yticks(range(len(names)), [literal(name) for name in names])
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9)
    return figure


_AXIS: Final = "share of the run that was seen"


def early_correlations(
    corpus: Corpus, scored: pl.DataFrame
) -> dict[str, tuple[float, ...]]:
    """Return Spearman's correlation of signals with the final accuracy, by window.

    A signal's value in a window is the last one recorded up to its end, if finite.
    The learning rate and standard errors are left out, and so is a signal without
    `FEWEST_RUNS` different values in every window; NaN stands for too few.
    """
    from harness.show.glance import spearman

    chosen = scored.sort("run_id").gather_every(-(-len(scored) // MOST_RUNS))
    last = (
        corpus.curves(until=0.5, run_ids=chosen["run_id"].to_list())
        .filter(~pl.col("signal").str.ends_with("_se") & (pl.col("signal") != "lr"))
        .select("run_id", "signal", "segment", value=pl.col("values").list.last())
        .filter(pl.col("value").is_finite())
        .join(chosen.select("run_id", ACCURACY), on="run_id")
    )
    found = {}
    for (signal,), part in last.group_by("signal"):
        row = []
        for segment in range(len(_WINDOWS)):
            seen = part.filter(pl.col("segment") <= segment).sort("segment")
            ends = seen.group_by("run_id").agg(pl.col("value", ACCURACY).last())
            rho = None
            if ends["value"].n_unique() >= FEWEST_RUNS:
                rho = spearman(ends["value"].to_numpy(), ends[ACCURACY].to_numpy())
            row.append(np.nan if rho is None else rho)
        if not np.isnan(row).all():
            found[str(signal)] = tuple(row)
    return found


def _strength(row: tuple[float, ...]) -> float:
    """Return how strongly a signal is correlated in the first fifth, 0 if unknown."""
    value = abs(row[_WINDOWS.index(20)])
    return 0.0 if np.isnan(value) else value
