"""A board of three tasks made by hand, and a submission that answers it."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tomli_w

from harness.seeds import stream
from leaderboard.boards import Asked, Board
from leaderboard.intake.validate import validate
from leaderboard.problems import Problem, Rejected
from tasks.answering import quantile_name
from tasks.base import TASKS, Task

NAMES = ("curve/w20", "diverge/w04", "final-acc/w20")
FINAL = "predictions/final-acc/w20.csv"
IDS = [f"run-{number:02x}a{number}" for number in range(12)]


def task_of(name: str) -> Task:
    return TASKS.get(name)()


def asked_for(name: str, ids: list[str] | None = None) -> Asked:
    """Return what a task asks of some ids; curves from epoch 5 to 7 or more."""
    ids = sorted(IDS if ids is None else ids)
    curve = task_of(name).kind == "curve"
    examples = pl.DataFrame(
        {
            "id": ids,
            "first": [5 * curve] * len(ids),
            "last": [(7 + row % 3) * curve for row in range(len(ids))],
        },
        schema={"id": pl.String, "first": pl.Int64, "last": pl.Int64},
    )
    return Asked(task=task_of(name), examples=examples)


def a_board(**changes: Any) -> Board:
    said = {
        "name": "toy",
        "corpus": "toy",
        "version": "1.0.0",
        "sha256": "ab" * 32,
        "hidden": False,
        "tasks": {name: asked_for(name) for name in NAMES},
    }
    return Board(**said | changes)


def answers(name: str, seed: int = 0, ids: list[str] | None = None) -> pl.DataFrame:
    """Return a table that answers a task: float32, one example declined."""
    random = stream(seed, f"answers/{name}")
    asked = asked_for(name, ids)
    rows = [
        (example, epoch)
        for example, first, last in asked.examples.iter_rows()
        for epoch in range(first, last + 1)
    ]
    gone = rows[0][0]
    declined = np.array([example == gone for example, _ in rows])
    mean = random.uniform(0.1, 0.8, len(rows)).astype(np.float32)
    columns: dict[str, Any] = {"id": [example for example, _ in rows]}
    if asked.task.kind == "curve":
        columns["epoch"] = pl.Series([epoch for _, epoch in rows], dtype=pl.Int32)
    columns["prediction"] = _but(mean, declined)
    if name.startswith("final-acc"):
        for level in asked.task.levels:
            width = np.float32(0.2 * (level - 0.5))
            columns[quantile_name(level)] = _but(mean + width, declined)
    reasons = ["no curve" if row else None for row in declined.tolist()]
    columns["reason"] = pl.Series(reasons, dtype=pl.String)
    return pl.DataFrame(columns)


def _but(values: Any, gone: Any) -> pl.Series:
    return pl.Series(np.where(gone, np.nan, values), dtype=pl.Float32).fill_nan(None)


def a_card(**changes: Any) -> dict[str, Any]:
    """Return the card of a submission that is in order; None removes a field."""
    card = {
        "name": "My forest",
        "authors": ["A. Nother", "Zo\u00eb O'Neil"],
        "contact": "a@example.org",
        "code": "https://example.org/forest",
        "licence": "MIT",
        "description": "Trees.",
        "runcast": "0.7.0",
        "predictor": {
            "name": "forest",
            "arguments": {"trees": 100, "depth": [1, 2.5], "how": {"deep": True}},
            "reads_settings": True,
            "reads_curves": True,
            "uses": ["val_loss"],
        },
        "compute": {"hardware": "a laptop", "fit_s": 1.25, "predict_s": 0.1},
        "corpus": {"name": "toy", "version": "1.0.0", "sha256": "ab" * 32},
        "tasks": {name: {"version": task_of(name).version} for name in NAMES},
    }
    card |= changes
    return {key: value for key, value in card.items() if value is not None}


def toml(**changes: Any) -> bytes:
    return tomli_w.dumps(a_card(**changes)).encode()


def as_csv(table: pl.DataFrame) -> bytes:
    return table.write_csv().encode()


def as_parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def a_submission(**changes: bytes | None) -> dict[str, bytes]:
    """Return the files of a submission that is in order, CSV and Parquet.

    Changes are keyed by a file's name without folder and suffix: card, final, curve,
    diverge.
    """
    files = {
        "card": ("submission.toml", toml()),
        "curve": ("predictions/curve/w20.parquet", as_parquet(answers(NAMES[0]))),
        "diverge": ("predictions/diverge/w04.parquet", as_parquet(answers(NAMES[1]))),
        "final": (FINAL, as_csv(answers(NAMES[2]))),
    }
    found = {name: changes.get(key, data) for key, (name, data) in files.items()}
    return {name: data for name, data in found.items() if data is not None}


def laid_out(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def problems_of(
    files: Mapping[str, bytes], board: Board | None = None
) -> list[Problem]:
    """Return what is wrong with a submission; nothing if it is taken."""
    try:
        validate(files, board or a_board())
    except Rejected as rejected:
        return list(rejected.problems)
    return []


def codes(files: Mapping[str, bytes], board: Board | None = None) -> list[str]:
    return [problem.code for problem in problems_of(files, board)]


def final(**columns: Any) -> bytes:
    """Return the CSV of final-acc/w20 with columns changed, as text; None drops one."""
    table = answers(NAMES[2]).cast(pl.String)
    for name, values in columns.items():
        if values is None:
            table = table.drop(name)
        else:
            table = table.with_columns(pl.Series(name, values, dtype=pl.String))
    return as_csv(table)


def plain(**columns: Any) -> bytes:
    """Return the same without quantiles and nothing declined: id and prediction."""
    values = [f"0.{number + 10}" for number in range(len(IDS))]
    data = {"id": sorted(IDS), "prediction": values} | columns
    return as_csv(pl.DataFrame(data))
