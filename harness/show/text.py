"""A corpus or a run as plain text of 80 columns."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.foreign import IMPORTED
from harness.manifest import TABLES
from harness.seed_noise import ACCURACY, seed_noise
from harness.show.glance import (
    Array,
    find_run,
    ood_names,
    run_curves,
)
from harness.show.probe_text import (
    PROBE_COSTS,
    corpus_probes,
    probe_signals,
    run_probes,
)
from harness.show.typeset import WIDTH, block_glyphs, curve_line, wrapped


def corpus_text(corpus: Corpus, *, blocks: bool | None = None) -> str:
    """Return what a corpus holds and how its runs ended.

    Args:
        corpus: A finished corpus.
        blocks: Whether to draw with block characters; None asks the terminal.
    """
    runs = corpus.runs()
    manifest = corpus.manifest
    lines = [
        f"{corpus.name}, version {manifest['version']} (schema "
        f"{manifest['schema_version']}, runcast {manifest['runcast_version']})",
        _statuses(runs),
        *wrapped("grids", manifest["grids"]),
        "",
        *_table_sizes(corpus),
        *corpus_probes(corpus),
        *wrapped("imported", _imported(corpus)),
    ]
    if runs.is_empty() or not runs[ACCURACY].count():
        return "\n".join([*lines, "", "no run has a final test accuracy"])
    drawn = block_glyphs(blocks)
    lines += ["", *_accuracies(runs, ACCURACY, "final test accuracy", drawn)]
    for name in ood_names(runs):
        title = f"final accuracy on {name}"
        lines += ["", *_accuracies(runs, f"ood.{name}_accuracy", title, drawn)]
    return "\n".join([*lines, "", *_noise(runs)])


def run_text(corpus: Corpus, run_id: str, *, blocks: bool | None = None) -> str:
    """Return one run: configuration, curves, final scores, costs.

    Args:
        corpus: A finished corpus.
        run_id: Its id or a unique start of it.
        blocks: Whether to draw with block characters; None asks the terminal.

    Raises:
        KeyError: No run or more than one is called so.
    """
    run_id = find_run(corpus, run_id)
    run = corpus.runs().row(by_predicate=pl.col("run_id") == run_id, named=True)
    ood = corpus.ood().filter(pl.col("run_id") == run_id)
    lines = [f"{run_id}  {run['status']}", f"family {run['family_id']}"]
    lines += wrapped("grids", run["grids"])
    if run["diverged_step"] is not None:
        lines.append(f"diverged at update {run['diverged_step']:,}")
    if run["error"]:
        lines += ["", run["error"].strip()]
    lines += ["", "configuration", *_configuration(json.loads(run["config_json"]))]
    curves, drawn = run_curves(corpus, run_id), block_glyphs(blocks)
    probed = [s for signals in probe_signals(corpus, run).values() for s in signals]
    plain = {k: v for k, v in curves.items() if k.removesuffix("_se") not in probed}
    if plain:
        lines += ["", *_curve_lines(run, plain, drawn)]
    lines += run_probes(corpus, run, curves, drawn)
    lines += _finals(run)
    for name in ood["set"].unique(maintain_order=True):
        lines += ["", *_ood_lines(name, ood.filter(pl.col("set") == name))]
    return "\n".join([*lines, "", *_costs(run)])


def _imported(corpus: Corpus) -> list[str]:
    signals = corpus.signals()
    return signals.filter(pl.col("probe") == IMPORTED)["name"].unique().sort().to_list()


def _statuses(runs: pl.DataFrame) -> str:
    counts = runs["status"].value_counts(sort=True).rows()
    listed = ", ".join(f"{n:,} {status}" for status, n in counts)
    families = runs["family_id"].n_unique()
    return f"{len(runs):,} runs in {families:,} families: {listed or 'none'}"


def _table_sizes(corpus: Corpus) -> Iterator[str]:
    yield f"{'table':10}{'rows':>12}{'bytes':>14}"
    for table in TABLES:
        files = corpus.manifest["files"].items()
        size = sum(e["bytes"] for name, e in files if name.startswith(f"{table}/"))
        yield f"{table:10}{corpus.manifest['rows'][table]:>12,}{size:>14,}"


def _accuracies(
    runs: pl.DataFrame, score: str, title: str, glyphs: str
) -> Iterator[str]:
    """Yield quartiles and a histogram by optimizer and schedule."""
    keys = ["optimizer.name", "schedule.name"]
    scored = runs.filter(pl.col(score).is_not_null()).sort(*keys)
    low, high = scored[score].min(), scored[score].max()
    assert isinstance(low, float)
    assert isinstance(high, float)
    labels = {key: " ".join(key) for key in scored.select(keys).unique().rows()}
    width = max(map(len, labels.values()))
    yield title
    ends = f"{low:.3f}{high:>{_BINS - 5}.3f}"
    columns = "".join(f"{q:>7}" for q in _QUANTILES)
    yield f"  {'':{width}} runs{columns}  {ends}"
    for key, part in scored.group_by(keys, maintain_order=True):
        values = part[score].to_numpy()
        cells = "".join(
            f"{q:7.3f}" for q in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
        )
        counts = np.histogram(values, _BINS, (low, high if high > low else low + 1))[0]
        bars = "".join(_bar(n, counts.max(), glyphs) for n in counts.tolist())
        label = " ".join(map(str, key))
        yield f"  {label:{width}} {len(part):>4}{cells}  {bars}".rstrip()


_QUANTILES: Final = ("min", "25%", "50%", "75%", "max")
_BINS: Final = 16


def _bar(count: int, most: int, glyphs: str) -> str:
    return glyphs[math.ceil(count / most * len(glyphs)) - 1] if count else " "


def _noise(runs: pl.DataFrame) -> Iterator[str]:
    scores = {"test": ACCURACY}
    scores |= {name: f"ood.{name}_accuracy" for name in ood_names(runs)}
    if seed_noise(runs) is not None:
        yield "sd of accuracy between the seeds of a family"
    width = max(map(len, scores))
    for name, score in scores.items():
        noise = seed_noise(runs, score)
        if noise is not None:
            spread = f"{noise.within:.4f}, median family {noise.typical:.4f}"
            means = f"between {noise.families:,} families {noise.between:.4f}"
            yield f"  {name:{width}}  {spread}; {means}"


def _configuration(config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, dict):
            rest = [f"{k}={_short(v)}" for k, v in value.items() if k != "name"]
            words = [*([value["name"]] if "name" in value else []), *rest]
        else:
            words = [_short(value)]
        if words not in (["none"], ["[]"]):
            yield from wrapped(f"  {name:14}", words)


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ",".join(str(item["name"]) for item in value)
    return str(value).replace(" ", "")


def _curve_lines(
    run: Mapping[str, Any], curves: Mapping[str, tuple[Array, Array]], glyphs: str
) -> Iterator[str]:
    header = f"curves of {run['num_steps']:,} updates"
    yield f"{header:22}{'values':>7}{'first':>10}{'lowest':>10}{'last':>10}"
    for name, (_, values) in curves.items():
        numbers = (values[0], _lowest(values), values[-1])
        cells = "".join(f"{number:>10.4g}" for number in numbers)
        line = curve_line(name, values, WIDTH - 61, glyphs)
        yield f"  {name:20}{len(values):>7,}{cells}  {line}"


def _lowest(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.min()) if finite.size else math.nan


def _finals(run: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for split in ("test", "validation", "train"):
        accuracy = run.get(f"final.{split}_accuracy")
        if accuracy is not None:
            loss = run.get(f"final.{split}_loss")
            shown = "-" if loss is None else f"{loss:.4f}"
            counts = _counts(accuracy, run.get(f"final.{split}_correct"), run, split)
            rows.append(f"  {split:18}{accuracy:9.4f}{counts:32}{shown:>8}")
    if rows:
        yield from (
            "",
            f"{'final':20}{'accuracy':>9}{'correct':>18}{'loss':>22}",
            *rows,
        )
    ece = run.get("final.test_ece")
    if ece is not None:
        yield f"  test calibration error {ece:.4f}"


def _counts(
    accuracy: float, correct: int | None, run: Mapping[str, Any], split: str
) -> str:
    """Return margin, correct answers and n of a score; of a foreign one if known."""
    if correct is None:
        return ""
    n = run[f"final.{split}_n"]
    margin = 1.96 * math.sqrt(accuracy * (1 - accuracy) / n)
    return f" +-{margin:.4f}{correct:>10,} of {n:<10,}"


def _ood_lines(name: str, cells: pl.DataFrame) -> Iterator[str]:
    """Yield accuracies of one set, a corruption a row and a severity a column."""
    share = (pl.col("correct") / pl.col("n")).alias("share")
    cells = cells.with_columns(share)
    severities = cells["severity"].unique().sort().to_list()
    mean, most = cells.select(pl.col("share").mean(), pl.col("n").max()).row(0)
    total = f"{name}: {mean:.4f}, n {most:,}"
    yield f"{total:30}{''.join(f'{s:>8}' for s in severities)}{'mean':>8}"
    for corruption in cells["corruption"].unique(maintain_order=True).to_list():
        part = cells.filter(pl.col("corruption") == corruption)
        known = dict(part.select("severity", "share").rows())
        row = [known.get(s) for s in severities] + [part["share"].mean()]
        shown = "".join(f"{'-':>8}" if v is None else f"{v:8.3f}" for v in row)
        yield f"  {corruption:28}{shown}"


def _costs(run: Mapping[str, Any]) -> Iterator[str]:
    for label, prefix, suffix in (
        ("seconds", "cost.", "_s"),
        ("environment", "environment.", ""),
    ):
        words = [
            f"{k.removeprefix(prefix).removesuffix('_s')}={_cost(v)}"
            for k, v in run.items()
            if k.startswith(prefix) and k.endswith(suffix) and v is not None
            if not k.startswith(PROBE_COSTS)
        ]
        yield from wrapped(f"{label:12}", words)


def _cost(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
