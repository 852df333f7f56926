"""Scores as text and Markdown: a table a task, its main metric, best first."""

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from harness.columns import aligned
from tasks.metrics.table import metric

COLUMNS: Final = (
    "predictor",
    "value",
    "95 % interval",
    "skill",
    "95 % interval",
    "attainable",
    "beyond controls",
    "p",
    "declined",
    "cost",
)
LEGEND: Final = """\
value            the task's main metric; accuracies in percentage points (pp)
skill            1 - error / error of the reference, in percent; of scores that should
                 be large, the share of what the reference leaves to gain
attainable       share of the way from the reference to the noise ceiling, in percent;
                 the ceiling is what knowing the configuration allows, and who sees the
                 run itself, and so some of its seed's noise, may pass it
beyond controls  skill that the prediction adds to a ridge on hyper-parameters and the
                 last loss, in percent, * where its 95 % interval lies above 0
p                of the paired test against the reference over families, Holm-corrected
declined         examples that it did not answer; they are scored as the reference
cost             what it watches and its probes, in percent of the passes of a full run;
                 0: it reads no curve\
"""


def score_text(scores: pl.DataFrame) -> str:
    """Return the main scores as aligned text, a block a task, and what they mean."""
    blocks = [
        "\n".join(
            [
                _heading(rows),
                *aligned(_table(rows), right=range(1, len(COLUMNS))),
                *_silent(rows),
            ]
        )
        for rows in _by_task(scores)
    ]
    return "\n\n".join([*blocks, LEGEND])


def score_markdown(scores: pl.DataFrame) -> str:
    """Return the same as Markdown."""
    parts = []
    for rows in _by_task(scores):
        head, *body = _table(rows)
        lines = [
            f"### {rows['task'][0]}",
            "",
            _heading(rows),
            "",
            "| " + " | ".join(head) + " |",
            "|---" + "|--:" * (len(head) - 1) + "|",
            *("| " + " | ".join(row) + " |" for row in body),
            *(f"\n{line}" for line in _silent(rows)),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, f"```\n{LEGEND}\n```\n"])


def _by_task(scores: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for rows in scores.filter("primary").partition_by("task", maintain_order=True):
        down = metric(rows["metric"][0]).direction == "min"
        yield rows.sort("value", descending=not down, nulls_last=True)


def _heading(rows: pl.DataFrame) -> str:
    """Return one line: task, metric, size, ceiling."""
    first = rows.row(0, named=True)
    scale, unit = scale_of(first["unit"])
    ceiling = first["ceiling"]
    told = "no ceiling" if ceiling is None else f"ceiling {scale * ceiling:.4g}{unit}"
    return (
        f"{first['task']}@{first['task_version']}, {first['metric']}{unit and ' in'}"
        f"{unit}: {first['n']} runs, {first['families']} families, reference "
        f"{first['reference']}, {told}"
    )


def _table(rows: pl.DataFrame) -> list[tuple[str, ...]]:
    return [COLUMNS, *(_row(row) for row in rows.drop_nulls("value").to_dicts())]


def _silent(rows: pl.DataFrame) -> Iterator[str]:
    """Yield a line for the predictors without a score, those of one reason together."""
    groups: dict[str, list[str]] = {}
    for row in rows.filter(pl.col("value").is_null()).sort("predictor").to_dicts():
        why = row["reason"] if row["status"] == "declined" else "its score is undefined"
        groups.setdefault(why, []).append(row["predictor"])
    for why, names in groups.items():
        yield f"no score: {', '.join(names)}: {why}"


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    scale, _ = scale_of(row["unit"])
    adds = (row["incremental_low"] or 0) > 0
    return (
        row["predictor"],
        f"{scale * row['value']:.4g}",
        _interval(scale, row["low"], row["high"]),
        _percent(row["skill"]),
        _interval(100, row["skill_low"], row["skill_high"], whole=True),
        _percent(row["share_of_attainable"]),
        _percent(row["incremental"]) + ("*" if adds else ""),
        "-" if row["p_holm"] is None else f"{row['p_holm']:.3f}",
        str(row["declined"]),
        _percent(row["cost_passes"]),
    )


def scale_of(unit: str) -> tuple[float, str]:
    """Return factor and name under which numbers of a unit are shown.

    Example:
        >>> scale_of("accuracy"), scale_of("nat")
        ((100.0, ' pp'), (1.0, ' nat'))
    """
    if unit == "accuracy":
        return 100.0, " pp"
    return 1.0, "" if unit in ("1", "share") else f" {unit}"


def _interval(
    scale: float, low: float | None, high: float | None, *, whole: bool = False
) -> str:
    if low is None or high is None:
        return "-"
    if whole:
        return f"[{round(scale * low):d}, {round(scale * high):d}]"
    return f"[{scale * low:.4g}, {scale * high:.4g}]"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{round(100 * share):d}"
