"""Signals of a corpus: which runs have them, and what their probes cost."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from harness.corpus import Corpus


class SignalFacts(NamedTuple):
    """A signal and how many runs have it."""

    name: str
    unit: str
    meaning: str
    probe: str
    passes: float | None
    """Price of its probe: share of the passes of training."""
    seconds: float | None
    """Price of its probe: share of the seconds of training."""
    runs: int
    """Runs with at least one value."""


class Price(NamedTuple):
    """What the signals of a probe cost together."""

    probe: str
    signals: int
    passes: float | None
    """Share of the passes of training; None if they were not counted."""
    seconds: float | None
    """Share of the seconds of training."""


def signals(corpus: Corpus) -> tuple[SignalFacts, ...]:
    """Return the dictionary of signals, less the standard errors of others.

    Cost: reads two columns of all curves.
    """
    having = _runs_of_signals(corpus)
    return tuple(
        SignalFacts(
            row["name"],
            row["unit"],
            row["meaning"],
            row["probe"],
            row["probe_share_of_train_passes"],
            row["probe_share_of_train_seconds"],
            having.get(row["name"], 0),
        )
        for row in corpus.signals().iter_rows(named=True)
        if not row["name"].endswith("_se")
    )


def _runs_of_signals(corpus: Corpus) -> dict[str, int]:
    """Return how many runs have each signal, a block of runs at a time.

    Files that end alike, "segment-K-NNNNN.parquet", hold the same runs.
    """
    blocks: dict[str, list[str]] = {}
    for name in sorted(corpus.manifest["files"]):
        if name.startswith("curves/"):
            blocks.setdefault(name.rpartition("-")[2], []).append(name)
    counts: dict[str, int] = {}
    for names in blocks.values():
        pairs = pl.concat(
            pl.read_parquet(
                corpus.path(name), columns=["run_id", "signal"], glob=False
            ).unique()
            for name in names
        )
        for signal, n in pairs.unique().group_by("signal").len().rows():
            counts[signal] = counts.get(signal, 0) + n
    return counts


def prices(signals: Iterable[SignalFacts]) -> list[Price]:
    """Return the prices of the signals that some run has, once for each probe."""
    paid = [s for s in signals if s.runs and s.seconds is not None]
    counts = Counter((s.probe, s.passes, s.seconds) for s in paid)
    return [
        Price(probe, n, passes, seconds)
        for (probe, passes, seconds), n in counts.items()
    ]
