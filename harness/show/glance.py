"""Numbers behind text and figures: curves of a run, early losses."""

import difflib
import json
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.corpus import Corpus
from harness.foreign import FOREIGN

Array = npt.NDArray[np.float64]
Curves = Mapping[str, tuple[Array, Array]]
"""Steps and values by signal."""

GIVEN_ID = f"{FOREIGN}.run"
NO_VALUE = "no_value"
"""Kind of the events that say why a value is missing."""
EARLY_WINDOW = (0.15, 0.20)
"""Share of a run's steps over which its early training loss is averaged."""


def find_run(corpus: Corpus, prefix: str) -> str:
    """Return the one run id that starts with `prefix`; its "r-" may be left out.

    An imported run may also be named by the whole id that it was imported with.

    Raises:
        KeyError: No run or more than one starts so; names the nearest.
    """
    wanted = prefix if prefix.startswith("r-") else f"r-{prefix}"
    runs = corpus.runs()
    ids = runs["run_id"].sort().to_list()
    if GIVEN_ID in runs.columns:
        given = runs.filter(pl.col(GIVEN_ID) == prefix)["run_id"].to_list()
        if given:
            return str(given[0])
    found = [i for i in ids if i.startswith(wanted)]
    if len(found) == 1:
        return str(found[0])
    if found:
        some = ", ".join(found[:5])
        raise KeyError(
            f"{len(found)} runs of {corpus.name} start with {wanted}: {some}"
        )
    near = difflib.get_close_matches(wanted, ids, n=3, cutoff=0.0)
    raise KeyError(
        f"no run of {corpus.name} starts with {wanted}; nearest: {', '.join(near)}"
    )


def run_curves(corpus: Corpus, run_id: str) -> dict[str, tuple[Array, Array]]:
    """Return steps and values of every signal of a run, its segments joined."""
    rows = corpus.curves(run_ids=[run_id]).sort("signal", "segment")
    return {
        str(signal): (_joined(part["steps"]), _joined(part["values"]))
        for (signal,), part in rows.group_by("signal", maintain_order=True)
    }


def missing_values(corpus: Corpus, run_id: str) -> dict[str, dict[int, str]]:
    """Return for each signal the steps at which it has no value, and why not."""
    events = corpus.events().filter(
        (pl.col("run_id") == run_id) & (pl.col("kind") == NO_VALUE)
    )
    missing: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for step, detail in events.select("step", "detail_json").iter_rows():
        for signal, status in json.loads(detail)["signals"].items():
            missing[signal][step] = status
    return dict(missing)


def with_gaps(
    curves: Curves, missing: Mapping[str, Mapping[int, str]], signal: str
) -> tuple[Array, Array]:
    """Return a signal's steps and values with NaN where a value is missing.

    A standard error is missing where its signal is.
    """
    steps, values = curves[signal]
    lost = np.array(sorted(missing.get(signal.removesuffix("_se"), {})), np.float64)
    every = np.concatenate([steps, lost])
    order = np.argsort(every, kind="stable")
    return every[order], np.append(values, np.full(len(lost), np.nan))[order]


def ood_names(runs: pl.DataFrame) -> list[str]:
    """Return the out-of-distribution sets that some run was scored on."""
    return [
        name.removeprefix("ood.").removesuffix("_accuracy")
        for name in runs.columns
        if name.startswith("ood.") and runs[name].count()
    ]


def early_losses(corpus: Corpus) -> dict[str, float]:
    """Return each run's geometric mean training loss over `EARLY_WINDOW`.

    Runs that had no finite positive loss there are left out. Cost: reads the first
    20 % of one signal.
    """
    lengths = corpus.runs(["run_id", "num_steps"])
    low, high = EARLY_WINDOW
    early = (
        corpus.curves(["train_loss"], until=high)
        .explode("steps", "values")
        .join(lengths, on="run_id")
        .filter(pl.col("steps") > low * pl.col("num_steps"))
        .filter(pl.col("values").is_finite() & (pl.col("values") > 0))
        .group_by("run_id")
        .agg(pl.col("values").cast(pl.Float64).log().mean().exp())
    )
    return dict(early.rows())


def spearman(x: Array, y: Array) -> float | None:
    """Return Spearman's rank correlation, average ranks for ties; None if undefined.

    Example:
        (1, 2, 3) with (6, 5, 4) gives -1.
    """
    ranks = pl.DataFrame({"x": x, "y": y}).select(pl.all().rank())
    if len(ranks) < 3 or ranks["x"].n_unique() < 2 or ranks["y"].n_unique() < 2:
        return None
    return float(ranks.select(pl.corr("x", "y")).item())


def binned(steps: Array, values: Array, bins: int = 80) -> tuple[Array, Array]:
    """Return geometric means of positive values over logarithmic bins of steps.

    Values that are not finite or not positive are left out, and so are empty bins.
    """
    good = np.isfinite(values) & (values > 0) & (steps > 0)
    x, y = np.log(steps[good]), np.log(values[good])
    if not len(x):
        return x, y
    edges = np.linspace(x.min(), x.max() + 1e-9, bins + 1)
    which = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    full = count > 0
    means = [np.bincount(which, weights=w, minlength=bins)[full] for w in (x, y)]
    return np.exp(means[0] / count[full]), np.exp(means[1] / count[full])


def smoothed(values: Array, width: int) -> Array:
    """Return the running mean over `width` neighbours; NaN where any is not finite.

    Shorter windows at both ends keep the length.
    """
    ones = np.ones(max(1, min(width, len(values))))
    clean = np.where(np.isfinite(values), values, np.nan)
    weights = np.convolve(np.ones(len(values)), ones, mode="same")
    return np.asarray(np.convolve(clean, ones, mode="same") / weights)


def _joined(lists: pl.Series) -> Array:
    return lists.explode().to_numpy().astype(np.float64)
