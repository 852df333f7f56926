"""What a predictor consumed: the part of the run it watched, and the probes it read."""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from harness.corpus import Corpus
from tasks.base import Task
from tasks.prediction import Charge

TRAIN: Final = "train"
"""Probe of what training leaves behind anyway: free."""
EVALUATE: Final = "evaluate"
"""Probe of scores on fixed images: priced by the images of each set."""
SIZES: Final = (
    "dataset.validation_size",
    "dataset.train_size",
    "recording.train_subset",
)
"""Columns of `runs` that say how many images these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Compute as shares of the full training of the runs; None: not known."""

    observed: float | None = None
    """The part of the run that is watched."""
    passes: float | None = None
    """That and all probes, in images passed; a backward pass is two forward ones."""
    seconds: float | None = None
    """That and all probes, in time."""
    unknown: tuple[str, ...] = ()
    """What has no price: probes, such as "hessian (passes)"."""

    def columns(self) -> dict[str, Any]:
        """Return the columns of `tasks.evaluate`."""
        return {
            "cost_observed": self.observed,
            "cost_passes": self.passes,
            "cost_seconds": self.seconds,
            "cost_unknown": ", ".join(self.unknown) or None,
        }


def measurements(corpus: Corpus, until: float) -> pl.DataFrame:
    """Return how often each probed signal was measured: run_id, signal, n, n_early.

    Args:
        corpus: An open corpus.
        until: Share of each run's steps that counts for n_early.

    Cost: reads the curves of all signals but those of training.
    """
    probed = corpus.signals().filter(pl.col("probe") != TRAIN)
    names = probed["name"].unique().to_list()
    size = pl.col("steps").list.len().cast(pl.Int64).sum()
    whole, early = (
        corpus.curves(names, until=share).group_by("run_id", "signal").agg(n=size)
        for share in (1.0, until)
    )
    joined = whole.join(early, on=["run_id", "signal"], how="left", suffix="_early")
    return joined.with_columns(pl.col("n_early").fill_null(0)).sort("run_id", "signal")


def cost(
    task: Task,
    charge: Charge,
    *,
    runs: pl.DataFrame,
    signals: pl.DataFrame,
    counts: pl.DataFrame,
) -> Cost:
    """Return what a predictor consumed a run, as a share of the run's training.

    Formula: the window + a share for every probe behind a signal that is used, once
    however many of its signals are. A probe's share is its part of training in the
    table `signals`, times the share of its measurements that lie in the window (of the
    signal used that has most). Evaluations: measurements in the window x images of the
    set (validation, or the fixed training subset) forward, of 3 x images trained on; in
    seconds their whole account, which holds the final scores too, by measurements and
    images: an upper bound. Who reads no curve pays nothing; signals that training
    leaves behind are free, settings and the memory of other runs too. Unit: share;
    above 1 where probes cost more than training. A price that the corpus does not know
    makes the total None and is named.

    Args:
        task: Says the window and which signals are shown.
        charge: Says which of these are used; of None all.
        runs: Table `runs` of the scored runs.
        signals: Table `signals`.
        counts: `measurements` of the corpus for this window.
    """
    if not charge.curves:
        return Cost(observed=0.0, passes=0.0, seconds=0.0)
    used = signals.filter(pl.col("probe") != TRAIN)
    for names in (task.visibility.signals, charge.signals):
        if names is not None:
            used = used.filter(pl.col("name").is_in(list(names)))
    total = dict.fromkeys(("passes", "seconds"), task.visibility.until)
    unknown = []
    if len(used):
        counts = counts.join(runs.select("run_id"), on="run_id", how="semi")
        sums = counts.group_by("signal").agg(pl.col("n", "n_early").sum())
        measured = {name: (n, early) for name, n, early in sums.rows()}
        for part in used.partition_by("probe", "params_json", maintain_order=True):
            probe = part["probe"][0]
            values = [measured[name] for name in part["name"] if name in measured]
            if not any(early for _, early in values):
                continue
            if probe == EVALUATE:
                found = _evaluated(part, runs, counts, signals)
            else:
                found = _probed(part, values)
            for unit, price in found.items():
                if price is None:
                    unknown.append(f"{probe} ({unit})")
                else:
                    total[unit] += price
    return Cost(
        observed=task.visibility.until,
        passes=None if any("(passes)" in u for u in unknown) else total["passes"],
        seconds=None if any("(seconds)" in u for u in unknown) else total["seconds"],
        unknown=tuple(sorted(set(unknown))),
    )


def _probed(
    part: pl.DataFrame, values: list[tuple[int, int]]
) -> dict[str, float | None]:
    """Return the shares that one probe takes within the window.

    Args:
        part: Its signals that are used, rows of the table `signals`.
        values: Of each of them, how many there are and how many lie in the window.
    """
    done = max(early for _, early in values) / max(n for n, _ in values)
    prices = {
        unit: part[f"probe_share_of_train_{unit}"][0] for unit in ("passes", "seconds")
    }
    return {
        unit: None if price is None else price * done for unit, price in prices.items()
    }


def _evaluated(
    part: pl.DataFrame, runs: pl.DataFrame, counts: pl.DataFrame, signals: pl.DataFrame
) -> dict[str, float | None]:
    """Return the shares that evaluations take within the window.

    Args:
        part: The signals used, rows of the table `signals`.
        runs: The scored runs.
        counts: Measurements of these.
        signals: Table `signals`.
    """
    needed = (*SIZES, "batch_size", "num_steps")
    if not set(needed) <= set(runs.columns):
        return {"passes": None, "seconds": None}
    every = signals.filter(pl.col("probe") == EVALUATE)["name"].to_list()
    of_validation = pl.col("signal").str.starts_with("val_")
    subset = pl.min_horizontal("recording.train_subset", "dataset.train_size")
    images = pl.when(of_validation).then("dataset.validation_size").otherwise(subset)
    table = (
        counts.filter(pl.col("signal").is_in(every))
        .join(runs.select("run_id", *SIZES), on="run_id")
        .with_columns(
            set=of_validation,
            early=pl.col("n_early") * images,
            whole=pl.col("n") * images,
        )
    )
    # The signals of a set share its pass.
    used = pl.col("signal").is_in(part["name"].to_list())
    sets = table.group_by("run_id", "set").agg(
        early=pl.col("early").filter(used).max(), whole=pl.col("whole").max()
    )
    trained = 3 * float((runs["num_steps"] * runs["batch_size"]).sum())
    early, whole = float(sets["early"].sum()), float(sets["whole"].sum())
    seconds = part["probe_share_of_train_seconds"][0]
    return {
        "passes": early / trained if trained and early else None,
        "seconds": seconds * early / whole if seconds is not None and whole else None,
    }
