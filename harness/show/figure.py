"""A corpus as one figure: loss curves, accuracy under shift, spread, forecast."""

from typing import Final

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import FuncNorm, ListedColormap
from matplotlib.figure import Figure

from harness.corpus import Corpus
from harness.foreign import UNKNOWN
from harness.seed_noise import ACCURACY, seed_noise
from harness.seeds import stream
from harness.show.glance import (
    EARLY_WINDOW,
    Array,
    binned,
    early_losses,
    ood_names,
    spearman,
)
from harness.show.style import (
    DARK,
    DASHED,
    GREY,
    dress,
    literal,
    logarithmic,
    looks,
    new_figure,
    not_measured,
)

MOST_CURVES: Final = 1500
"""Loss curves drawn; of a larger corpus every k-th."""
_JITTER: Final = 0.26
_LEAST_ERROR: Final = 1e-4
_CURVES, _SHIFT, _SPREAD, _FORECAST = (
    "Training loss, coloured by final test accuracy",
    "Accuracy under shift",
    "Final test accuracy",
    "Early training loss as a forecast",
)


def corpus_figure(corpus: Corpus) -> Figure:
    """Return four panels; one whose numbers were not measured says so.

    Cost: reads the training loss of every run.
    """
    runs = corpus.runs().filter(pl.col("status") != "failed")
    scored = runs.filter(pl.col(ACCURACY).is_not_null()).sort("run_id")
    names = set(scored["dataset.name"]) if len(scored) else set()
    data = ", ".join(sorted(names - {UNKNOWN}))
    count = f"{len(scored):,} run{'s' * (len(scored) != 1)}"
    figure = new_figure(f"{corpus.name}: {count} on {data}".removesuffix(" on "), 8.8)
    axes = figure.subplots(2, 2)
    if scored.is_empty():
        for panel, title in zip(
            axes.flat, (_CURVES, _SHIFT, _SPREAD, _FORECAST), strict=True
        ):
            not_measured(panel, title, "no run has a final test accuracy")
        return figure
    _loss_curves(figure, axes[0, 0], corpus, scored)
    _shift(axes[0, 1], scored)
    _spread(axes[1, 0], scored)
    _forecast(axes[1, 1], corpus, scored)
    return figure


def _loss_curves(
    figure: Figure, axes: Axes, corpus: Corpus, scored: pl.DataFrame
) -> None:
    shown = scored.gather_every(-(-len(scored) // MOST_CURVES))
    accuracy = dict(shown.select("run_id", ACCURACY).rows())
    rows = corpus.curves(["train_loss"], run_ids=list(accuracy)).sort("segment")
    joined = rows.group_by("run_id", maintain_order=True).agg(
        pl.col("steps", "values").list.explode()
    )
    lines, colours = [], []
    for run_id, *lists in zip(*joined.sort("run_id").get_columns(), strict=True):
        x, y = binned(*(part.to_numpy().astype(np.float64) for part in lists))
        if len(x):
            lines.append(np.column_stack([x, y]))
            colours.append(accuracy[run_id])
    if not lines:
        not_measured(axes, _CURVES, "no training loss was recorded")
        return
    worst_last = np.argsort(colours)[::-1]
    drawn = LineCollection(
        [lines[i] for i in worst_last],
        array=np.asarray(colours)[worst_last],
        cmap=_accuracy_colours(),
        norm=FuncNorm((_halvings, _from_halvings)),
        linewidths=1.1 if len(lines) < 300 else 0.7,
        alpha=0.75,
        rasterized=True,
    )
    axes.add_collection(drawn)
    axes.autoscale_view()
    title = _CURVES if len(shown) == len(scored) else f"{_CURVES} ({len(shown):,} runs)"
    dress(axes, title, "update", "training loss (nat)")
    logarithmic(axes, "xy")
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=30)
    bar.set_alpha(1.0)
    bar.ax.tick_params(labelsize=9, color=GREY, labelcolor=DARK)
    bar.outline.set_visible(False)


def _accuracy_colours() -> ListedColormap:
    """Return viridis without its pale end, the best runs darkest."""
    return ListedColormap(colormaps["viridis"](np.linspace(0.93, 0.0, 256)))


def _halvings(accuracy: Array) -> Array:
    """Return how often the error was halved: equal steps of colour for each."""
    return np.asarray(-np.log2(np.maximum(1 - np.asarray(accuracy), _LEAST_ERROR)))


def _from_halvings(halvings: Array) -> Array:
    return np.asarray(1 - 2.0 ** -np.asarray(halvings))


def _shift(axes: Axes, scored: pl.DataFrame) -> None:
    names = ood_names(scored)
    if not names:
        not_measured(axes, _SHIFT, "no out-of-distribution set was scored")
        return
    shift = f"ood.{names[0]}_accuracy"
    pairs = scored.filter(pl.col(shift).is_not_null())
    tested, shifted = pairs[ACCURACY].to_numpy(), pairs[shift].to_numpy()
    ends = np.array([min(tested.min(), shifted.min()), 1.0])
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=DASHED)
    _scatter(axes, pairs, tested, shifted)
    axes.annotate(
        "nothing lost under shift",
        (ends.mean(), ends.mean()),
        xytext=(-6, 4),
        textcoords="offset points",
        fontsize=9,
        color=GREY,
        ha="right",
    )
    dress(axes, _SHIFT, "final test accuracy", f"final accuracy on {names[0]}")


def _spread(axes: Axes, scored: pl.DataFrame) -> None:
    keys = ["optimizer.name", "schedule.name"]
    colours = looks(scored["optimizer.name"])
    labels = []
    for place, ((optimizer, schedule), part) in enumerate(
        scored.sort(*keys, "run_id").group_by(keys, maintain_order=True)
    ):
        values = part[ACCURACY].to_numpy()
        colour, marker = colours[str(optimizer)]
        spots = place + _JITTER * stream(0, "show", place).uniform(-1, 1, len(values))
        axes.scatter(
            spots, values, s=16, marker=marker, color=colour, alpha=0.45, linewidths=0
        )
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.plot([place + 0.4] * 2, [low, high], color=DARK, linewidth=2.2)
        axes.plot([place + 0.4], [middle], "o", color="white", ms=5, mec=DARK, mew=1.4)
        labels.append(literal(f"{optimizer}\n{schedule}"))
    noise = seed_noise(scored)
    title = _SPREAD
    if noise:
        title += f" (seed sd {noise.typical:.3f})"
    dress(axes, title, "", "final test accuracy")
    axes.set_xlim(-0.55, len(labels) - 0.35)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(visible=False, axis="x")


def _forecast(axes: Axes, corpus: Corpus, scored: pl.DataFrame) -> None:
    early = early_losses(corpus)
    known = scored.filter(pl.col("run_id").is_in(list(early)))
    if known.is_empty():
        not_measured(axes, _FORECAST, "no run has a finite early training loss")
        return
    losses = np.array([early[i] for i in known["run_id"]])
    accuracy = known[ACCURACY].to_numpy()
    _scatter(axes, known, losses, accuracy)
    rho = spearman(losses, accuracy)
    title = _FORECAST if rho is None else f"{_FORECAST} (Spearman {rho:.2f})"
    low, high = (f"{100 * share:.0f}" for share in EARLY_WINDOW)
    dress(
        axes,
        title,
        f"mean training loss at {low}-{high} % of the updates (nat)",
        "final test accuracy",
    )
    logarithmic(axes, "x")


def _scatter(
    axes: Axes,
    rows: pl.DataFrame,
    x: Array,
    y: Array,
) -> None:
    """Draw one point a run; hollow where the run diverged."""
    names = rows["optimizer.name"].to_numpy()
    diverged = (rows["status"] == "diverged").to_numpy()
    for name, (colour, marker) in looks(names).items():
        for chosen, face, label in (
            ((names == name) & ~diverged, colour, name),
            ((names == name) & diverged, "none", f"{name}, diverged"),
        ):
            if chosen.any():
                axes.scatter(
                    x[chosen],
                    y[chosen],
                    s=22,
                    marker=marker,
                    label=literal(label),
                    facecolors=face,
                    edgecolors=colour,
                    alpha=0.65,
                    linewidths=1,
                )
    legend = axes.legend(fontsize=9, frameon=False, handletextpad=0.2)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
