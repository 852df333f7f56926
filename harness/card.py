"""The README of a corpus: Hub metadata and a summary, filled from the tables."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from harness.columns import percent
from harness.foreign import UNKNOWN

_CONFIGS = ("runs", "curves", "ood", "events", "signals")


def card_text(
    folder: Path,
    *,
    name: str,
    rows: dict[str, int],
    origin: Mapping[str, Any] | None = None,
) -> str:
    """Return the card of the corpus whose tables lie in `folder`.

    Args:
        folder: Corpus folder with the tables `runs` and `signals` in place.
        name: Name of the corpus.
        rows: Row counts a table.
        origin: Where imported runs come from; None for runs of this harness.
    """
    runs = pl.read_parquet(folder / "runs" / "*.parquet")
    return "\n".join(
        [
            _front_matter(name, rows, "cc-by-4.0" if origin is None else "unknown"),
            f"# {_plain(name)}\n",
            _summary(runs),
            *([] if origin is None else _origin(origin)),
            "\n## Tables\n",
            _markdown(["table", "rows"], [[k, f"{rows[k]:,}"] for k in _CONFIGS]),
            "\n## Final accuracy\n",
            _accuracies(runs),
            "\n## Signals\n",
            _signals(folder),
            _HOW_TO_READ,
        ]
    )


def _front_matter(name: str, rows: dict[str, int], licence: str) -> str:
    num_runs = rows["runs"]
    sizes = (("n<1K", 1000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000))
    size = next((label for label, edge in sizes if num_runs < edge), "100K<n<1M")
    lines = [
        "---",
        f"license: {licence}",
        f"pretty_name: {json.dumps(name)}",
        f"size_categories: [{size}]",
        "task_categories: [tabular-regression, time-series-forecasting]",
        "tags: [learning-curves, training-dynamics, benchmark]",
        "configs:",
    ]
    # `datasets` cannot load a table without rows, so none is offered to it
    for config in (config for config in _CONFIGS if rows[config]):
        lines.append(f"- config_name: {config}")
        if config == "runs":
            lines.append("  default: true")
        lines.append("  data_files:")
        lines.append(f"  - {{split: train, path: {config}/*.parquet}}")
    return "\n".join([*lines, "---", ""])


def _summary(runs: pl.DataFrame) -> str:
    if runs.is_empty():
        return "No run has finished yet."
    status = dict(runs["status"].value_counts().rows())
    counts = ", ".join(f"{n} {name}" for name, n in sorted(status.items()))
    data, models = (_listed(runs[f"{part}.name"]) for part in ("dataset", "model"))
    families = runs["family_id"].n_unique()
    return (
        f"{len(runs)} training runs ({counts}) in {families} families of equal "
        f"configuration and different seed. Data: {data}. Models: {models}. Written "
        "by runcast; every file is covered by the manifest `corpus.json`."
    )


def _listed(names: pl.Series) -> str:
    return ", ".join(_plain(name) for name in names.unique().sort())


def _origin(origin: Mapping[str, Any]) -> list[str]:
    """Return where the runs come from and what the import did to them."""
    files = ", ".join(_plain(name) for name in origin["files"][:_FILES])
    more = len(origin["files"]) - _FILES
    return [
        "\n## Where it comes from\n",
        f"Imported from {files}{f' and {more:,} more' if more > 0 else ''} (format "
        f"{origin['format']}). The licence is that of the source. A part called "
        f"`{UNKNOWN}` was not told. The column `foreign.run` has the ids as given.\n",
        *(f"- {_plain(note)}" for note in origin["notes"]),
        *(f"- left out: {n:,} {_plain(what)}" for what, n in origin["dropped"].items()),
    ]


_FILES = 5


def _plain(text: str) -> str:
    """Return foreign text without a meaning in Markdown or HTML."""
    text = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{c}" if c in "\\`*[]|" else c for c in text)


def _accuracies(runs: pl.DataFrame) -> str:
    done = runs.filter(pl.col("status") != "failed")
    if done.is_empty() or "final.test_accuracy" not in done.columns:
        return "Nothing to show."
    grouped = (
        done.group_by("optimizer.name", "schedule.name")
        .agg(
            pl.len().alias("runs"),
            *(
                getattr(pl.col("final.test_accuracy"), f)().alias(f)
                for f in ("min", "median", "max")
            ),
        )
        .sort("optimizer.name", "schedule.name")
    )
    body = [
        [
            "-" if v is None else f"{v:.3f}" if isinstance(v, float) else _plain(str(v))
            for v in row
        ]
        for row in grouped.rows()
    ]
    return _markdown(["optimizer", "schedule", "runs", "min", "median", "max"], body)


def _signals(folder: Path) -> str:
    table = pl.read_parquet(folder / "signals" / "*.parquet")
    body = [
        [
            _plain(row["name"]),
            row["unit"],
            _plain(row["meaning"]),
            row["probe"],
            percent(row["probe_share_of_train_passes"]),
            percent(row["probe_share_of_train_seconds"]),
        ]
        for row in table.iter_rows(named=True)
        if not row["name"].endswith("_se")
    ]
    header = ["signal", "unit", "meaning", "probe", "passes", "seconds"]
    return _markdown(header, body) + _PRICES


def _markdown(header: list[str], body: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (header, *body)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines)


_PRICES = """

Passes and seconds are what the whole probe cost, as a share of what training cost;
signals of one probe share its price. A signal `x_se` beside `x` is its standard error.
A value that could not be determined is left out of its curve, and an event `no_value`
says why.
"""

_HOW_TO_READ = """
## How to read it

```python
from datasets import load_dataset

runs = load_dataset("PATH_OR_REPO", "runs", split="train")
```

`runs` has a row a run: three ids (`run_id`; `trajectory_id`, the same with or without
probes; `family_id`, the same for every seed), the flattened configuration, final
scores as correct counts and n, and costs in seconds. `curves` has a row for each run,
signal and segment of the run (0-4-10-20-30-50-100 % of the steps), with two lists,
`steps` (updates completed; 0 is before the first) and `values`. Null means not
measured; NaN means measured and not finite. A diverged run keeps its curve up to the
first bad update and the accuracy of its last finite state; its final losses are null.
"""
