"""What probes measured and what that cost, as plain text of 80 columns."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.foreign import IMPORTED
from harness.show.glance import Curves, missing_values
from harness.show.typeset import WIDTH, curve_line, percent, wrapped

NO_PROBE: Final = ("train", "evaluate", IMPORTED)
"""Where the signals come from that need no probe."""
PROBE_COSTS: Final = "cost.probe."


def corpus_probes(corpus: Corpus) -> Iterator[str]:
    """Yield a table of the probes: their price in % of training, their signals."""
    rows = corpus.signals().filter(~pl.col("probe").is_in(NO_PROBE))
    if rows.is_empty():
        return
    yield ""
    yield f"{'price in % of training':26}{'passes':>8}{'seconds':>9}  signals"
    for (probe, _), part in rows.group_by("probe", "params_json", maintain_order=True):
        price = part.row(0, named=True)
        shares = (
            percent(price["probe_share_of_train_passes"], 8),
            percent(price["probe_share_of_train_seconds"], 9),
        )
        names = [n for n in part["name"] if not n.endswith("_se")]
        yield from wrapped(f"  {probe:24}{''.join(shares)} ", names)


def run_probes(
    corpus: Corpus, run: Mapping[str, Any], curves: Curves, glyphs: str
) -> Iterator[str]:
    """Yield for each probe of a run its signals with their last values, and its price.

    Args:
        corpus: The corpus.
        run: Row of the table `runs`.
        curves: Curves of the run.
        glyphs: Characters of sparklines.
    """
    missing = missing_values(corpus, run["run_id"])
    for probe, signals in probe_signals(corpus, run).items():
        known = [s for s in signals if s in curves or s in missing]
        if not known:
            continue
        header = f"probe {probe}"
        yield ""
        yield f"{header:26}{'values':>6}{'first':>10}{'last':>10}{'+-':>9}"
        for signal in known:
            yield _signal_line(signal, curves, glyphs)
        lost = [
            f"{signal} {status} {count:,}x"
            for signal in signals
            for status, count in Counter(missing.get(signal, {}).values()).items()
        ]
        if lost:
            yield from wrapped("  no value:", ", ".join(lost).split(" "))
    yield from _prices(run)


def probe_signals(corpus: Corpus, run: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the signals of each of a run's probes, without standard errors."""
    names = [probe["name"] for probe in json.loads(run["config_json"])["probes"]]
    table = corpus.signals().filter(~pl.col("name").str.ends_with("_se"))
    return {
        name: table.filter(pl.col("probe") == name)["name"]
        .unique(maintain_order=True)
        .to_list()
        for name in names
    }


def _signal_line(signal: str, curves: Curves, glyphs: str) -> str:
    """Return number, first and last value, standard error of the last, sparkline."""
    values = curves[signal][1] if signal in curves else np.empty(0)
    error = curves.get(f"{signal}_se", (np.empty(0), np.empty(0)))[1]
    cells = [values[0], values[-1]] if len(values) else [math.nan] * 2
    shown = "".join(f"{_number(cell):>10}" for cell in cells)
    last = _number(error[-1], 2) if len(error) else ""
    line = f"  {signal:24}{len(values):>6,}{shown}{last:>9}"
    return f"{line}  {curve_line(signal, values, WIDTH - 63, glyphs)}".rstrip()


def _number(value: float, digits: int = 4) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}g}"


def _prices(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield what training and the probes of a run cost."""
    probes = [
        name.removesuffix("_s")
        for name, value in run.items()
        if name.startswith(PROBE_COSTS) and name.endswith("_s") and value is not None
    ]
    if not probes:
        return
    seconds, images = run.get("cost.train_s"), run.get("cost.train_images")
    yield ""
    yield (
        f"{'price':26}{'seconds':>9}{'% of':>9}{'images':>11}{'images':>12}{'% of':>10}"
    )
    yield f"{'':35}{'training':>9}{'forward':>11}{'backward':>12}{'training':>10}"
    yield _price_line("training", (seconds, images, images), (seconds, images))
    for account in probes:
        ways = (f"{account}_{way}_images" for way in ("forward", "backward"))
        spent = (run[f"{account}_s"], *(run.get(way) for way in ways))
        name = account.removeprefix(PROBE_COSTS)
        yield _price_line(name, spent, (seconds, images))


def _price_line(
    name: str,
    spent: tuple[float | None, ...],
    training: tuple[float | None, float | None],
) -> str:
    """Return seconds, forward and backward images, and these as shares of training."""
    time, forward, backward = spent
    seconds, images = training
    share = time / seconds if time is not None and seconds else None
    work = None
    if forward is not None and backward is not None and images:
        work = (forward + 2 * backward) / (3 * images)
    shown = "-" if time is None else f"{time:.3g}"
    counts = ["-" if n is None else f"{n:,.0f}" for n in (forward, backward)]
    return (
        f"  {name:24}{shown:>9}{percent(share, 9)}{counts[0]:>11}{counts[1]:>12}"
        f"{percent(work, 10)}"
    )
