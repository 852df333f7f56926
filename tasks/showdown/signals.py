"""What the noise showdown compares: early signals, what is missing, what they cost.

Every registered curve signal, and the last and the mean value of every recorded one.
"""

import json
import re
from typing import Any, Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import EarlyCurves
from harness.early.table import early_signals
from harness.measure import DIVERGED, OK, TOO_SHORT, Estimates
from harness.registry import CURVE_SIGNALS

MEAN: Final = f"{__name__}:mean"
LEFT_OUT: Final = re.compile(
    r".*(_se|_se_white|_residual)"  # errors of another signal
    r"|.*\.(predictor|n_eff)"  # another quantity of the same estimator, rescaled
    r"|.*\.(winner|low_res|band_low|band_high|schedule|robust)"  # no measurement
)
"""Quantities that stand for no signal of their own."""
FREE: Final = "train"
"""Signals of this probe are curves that training itself leaves behind."""
_SHARES: Final = {
    "cost_passes": "probe_share_of_train_passes",
    "cost_seconds": "probe_share_of_train_seconds",
}


def showdown_signals(corpus: Corpus, until: float) -> pl.DataFrame:
    """Return a row a run and signal: run_id, signal, value, status and source.

    Args:
        corpus: An open corpus.
        until: Share of each run's steps, in (0, 1].

    Returns:
        Rows in the order of runs, then of signals. `value` is null unless the status is
        "ok"; `source` is the recorded signal that the number was computed from, null
        where it is the training loss.
    """
    found = early_signals(corpus, until, [*CURVE_SIGNALS.names(), MEAN])
    name = pl.col("signal").str.replace(rf"^{MEAN}(/.*)\.mean$", "mean$1")
    found = found.with_columns(name).filter(
        ~pl.col("signal").str.contains(f"^(?:{LEFT_OUT.pattern})$")
    )
    sources = {text: _source(text) for text in found["params_json"].unique()}
    return found.select(
        "run_id",
        "signal",
        "value",
        "status",
        source=pl.col("params_json").replace_strict(sources, return_dtype=pl.String),
    )


def mean(curves: EarlyCurves, *, signal: str) -> Estimates:
    """Return the mean of a signal's values in the window, in the signal's own unit.

    Formula: arithmetic mean over the times of measurement. Undefined: "too_short" where
    nothing was measured yet, "diverged" where a value is not finite. Cost: none beside
    reading.

    Args:
        curves: Curves up to the window.
        signal: Name in the corpus's dictionary.

    Example:
        Values 3, 2 after the steps 0, 5 of a window of 7 steps: 2.5, window (0, 5).
    """
    curve = curves.recorded[signal]
    counts = np.diff(curve.offsets)
    some = counts > 0
    window = np.full((len(curves), 2), np.nan)
    window[some, 0] = curve.steps[curve.offsets[:-1][some]]
    window[some, 1] = curve.steps[curve.offsets[1:][some] - 1]
    rows = np.repeat(np.arange(len(curves)), counts)
    values = np.full(len(curves), np.nan)
    np.divide(
        np.bincount(rows, curve.values, minlength=len(curves)),
        counts,
        out=values,
        where=some,
    )
    finite = np.isfinite(values)
    return Estimates(
        estimator="mean",
        estimator_version="1",
        units={"mean": curve.unit},
        values={"mean": np.where(finite, values, np.nan)},
        status=np.select([~some, finite], [TOO_SHORT, OK], DIVERGED),
        n=counts,
        window=window,
    )


def signal_costs(corpus: Corpus, until: float) -> pl.DataFrame:
    """Return what recorded signals cost up to a window: source, two shares.

    Formula: the probe's share of a run's training, from the table `signals`, times the
    share of its measurements that lie in the window. `cost_passes` counts images
    (a backward pass is two forward ones), null where passes were not counted;
    `cost_seconds` is time. Unit: share of the training of the whole run. A probe of
    several signals is charged to each of them; of two sets of arguments the dearer
    counts. What training leaves behind anyway is free.

    Args:
        corpus: An open corpus.
        until: Share of each run's steps, in (0, 1].
    """
    signals = corpus.signals()
    probed = signals.filter(pl.col("probe") != FREE)
    names = probed["name"].unique().to_list()
    # Not every measurement yields every signal of a probe: the fullest one is counted.
    counts = _measurements(corpus, names, 1.0).join(
        _measurements(corpus, names, until), on="signal", how="left", suffix="_early"
    )
    shares = (
        probed.select("probe", "name")
        .unique()
        .join(counts, left_on="name", right_on="signal")
        .group_by("probe")
        .agg(done=pl.col("n_early").fill_null(0).max() / pl.col("n").max())
    )
    done = pl.when(pl.col("probe") == FREE).then(0.0).otherwise(pl.col("done"))
    free = pl.col("probe") == FREE
    return (
        signals.join(shares, on="probe", how="left")
        .group_by(source="name")
        .agg(
            pl.when(free).then(0.0).otherwise(pl.col(column) * done).max().alias(name)
            for name, column in _SHARES.items()
        )
        .sort("source")
    )


def _measurements(corpus: Corpus, names: list[str], until: float) -> pl.DataFrame:
    """Return how many values each signal has in all runs together: signal, n."""
    curves = corpus.curves(names, until=until)
    size = pl.col("steps").list.len().cast(pl.Int64).sum()
    return curves.group_by("signal").agg(n=size)


def _source(params_json: str) -> str | None:
    """Return the recorded signal named in an estimator's arguments."""
    params: dict[str, Any] = json.loads(params_json)
    source = params.get("signal", params.get("curvature"))
    return None if source is None else str(source)
