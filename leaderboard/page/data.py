"""A standing as the page reads it: JSON of a board and of a task.

Numbers are finite or null, rounded to five digits; texts are as they were given. A
hidden board has a standing when its version is closed; before, see
`leaderboard.hidden.announced`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.measure import Floats
from harness.release.notes import RELEASE
from leaderboard.boards import Board
from leaderboard.page.rounded import Row, number, skill_of, three
from leaderboard.page.spreadsheet import overall_csv
from leaderboard.ranking.controls import NAMES
from leaderboard.ranking.judged import REFERENCE
from leaderboard.ranking.overall import front
from leaderboard.ranking.pools import POOLS, Reads
from leaderboard.ranking.standing import Entrant, Standing
from tasks.metrics.table import metric

__all__ = ["about_board", "about_entry", "board_data", "overall_csv", "task_data"]

WIDEST: Final = POOLS[-1]
NOTHING: Final = [None, None, None]
"""Value, low and high of what is not told."""


def board_data(standing: Standing, board: Board, corpus: Corpus) -> dict[str, Any]:
    """Return what the page of a board reads.

    Args:
        standing: What the board says.
        board: What was asked.
        corpus: The corpus it is about.

    Raises:
        ValueError: The standing is of another board.
    """
    if (standing.board.name, standing.board.sha256) != (board.name, board.sha256):
        raise ValueError(
            f"the standing is of {standing.board.name}, the board is {board.name}: "
            "hand over those of one board"
        )
    main = standing.rows.filter("primary")
    ranked = standing.overall.filter(pool=WIDEST)
    unranked = [
        {"name": row["name"], "rank": None, "skill": skill_of(row)}
        | {"win_rate": NOTHING, "mean_rank": NOTHING, "tasks": row["tasks"]}
        for row in standing.controls_overall.to_dicts()
        if row["tasks"]
    ]
    return about_board(board, corpus) | {
        "tasks": [_task(board, name, main) for name in board.tasks],
        "entries": _entries(standing, main),
        "pools": {
            pool: [_ranked(r) for r in standing.overall.filter(pool=pool).to_dicts()]
            + unranked
            for pool in POOLS
        },
        "skills": _skills(standing, main),
        "pairs": _pairs(standing, ranked["name"].to_list()),
        "cost": _cost(ranked, _costs(standing, main)),
    }


def about_board(board: Board, corpus: Corpus) -> dict[str, Any]:
    """Return what the page says of a board whoever entered."""
    runs = corpus.runs(["family_id"])
    return {
        "name": board.name,
        "hidden": board.hidden,
        "corpus": {
            "name": board.corpus,
            "version": board.version,
            "sha256": board.sha256,
            "runs": len(runs),
            "families": runs["family_id"].n_unique(),
            "licence": corpus.manifest.get(RELEASE, {}).get("licence", ""),
        },
    }


def task_data(standing: Standing, task: str) -> dict[str, Any]:
    """Return what the page of a task reads.

    Raises:
        KeyError: The board does not ask it.
    """
    if task not in standing.board.tasks:
        known = ", ".join(standing.board.tasks)
        raise KeyError(f"{standing.board.name} does not ask {task!r} (it asks {known})")
    rows = standing.rows.filter(task=task)
    others: dict[str, dict[str, Any]] = {}
    for row in rows.filter(~pl.col("primary")).to_dicts():
        mine = others.setdefault(row["predictor"], {})
        mine[row["metric"]] = three(row, "value", "low", "high")
    main = [_scored(r, others) for r in rows.filter("primary").to_dicts()]
    main.sort(key=_place)
    return {
        "task": task,
        "rows": main,
        "slices": _slices(standing.slices.filter(task=task)),
        "controls": [
            {
                "by": row["by"],
                "value": number(row["value"]),
                "skill": skill_of(row),
            }
            for row in standing.controls.filter(task=task).to_dicts()
        ],
        "pairs": [
            {name: row[name] for name in ("first", "second")}
            | {name: number(row[name]) for name in ("difference", "low", "high")}
            | {name: number(row[name]) for name in ("p", "p_holm")}
            for row in standing.pairs.filter(task=task).to_dicts()
        ],
    }


def _task(board: Board, name: str, main: pl.DataFrame) -> dict[str, Any]:
    task = board.tasks[name].task
    row = main.row(
        by_predicate=(pl.col("task") == name) & (pl.col("predictor") == REFERENCE),
        named=True,
    )
    return {
        "name": name,
        "version": task.version,
        "question": task.question,
        "kind": task.kind,
        "unit": row["unit"],
        "metric": row["metric"],
        "direction": metric(row["metric"]).direction,
        "reference": task.reference,
        "ceiling": number(row["ceiling"]),
        "n": row["n"],
        "families": row["families"],
        "window": task.visibility.until,
    }


def _entries(standing: Standing, main: pl.DataFrame) -> list[dict[str, Any]]:
    costs = _costs(standing, main)
    bare: dict[str, Any] = {
        "folder": "",
        "authors": [],
        "contact": "",
        "code": "",
        "licence": "",
        "description": "",
        "predictor": "",
        "reads": [],
        "signals": None,
        "pool": POOLS[0],
        "compute": {"hardware": "", "fit_s": None, "predict_s": None},
        "submitted": None,
        "sha256": "",
        "copies": [],
        "cost_passes": None,
    }
    entries = [{"name": REFERENCE, "kind": "reference"} | bare]
    entries += [
        about_entry(
            one, standing.reads[one.name], _copied(standing, one), costs[one.name]
        )
        for one in standing.entrants
    ]
    tested = standing.controls_overall.filter(pl.col("tasks") > 0)["name"].to_list()
    entries += [
        {"name": name, "kind": "control"} | bare | {"predictor": by}
        for by, name in NAMES.items()
        if name in tested
    ]
    return entries


def about_entry(
    one: Entrant, read: Reads, copies: list[str], cost: float | None
) -> dict[str, Any]:
    """Return what the page says of an entrant.

    Args:
        one: The entrant.
        read: What it reads.
        copies: Others with the same predictions.
        cost: Mean price of a run, as a share of its training; None: not known.
    """
    said = one.submission
    return {
        "name": one.name,
        "folder": one.folder,
        "kind": "submission",
        "authors": list(said.about.authors),
        "contact": said.about.contact,
        "code": said.about.code,
        "licence": said.about.licence,
        "description": said.about.description,
        "predictor": said.predictor.name,
        "reads": list(read.kinds),
        "signals": None if said.charge.signals is None else list(said.charge.signals),
        "pool": read.pool,
        "compute": {
            "hardware": said.about.hardware,
            "fit_s": number(said.seconds.get("fit")),
            "predict_s": number(said.seconds.get("predict")),
        },
        "submitted": one.submitted,
        "sha256": one.sha256,
        "copies": copies,
        "cost_passes": cost,
    }


def _copied(standing: Standing, one: Entrant) -> list[str]:
    """Return who gives the same predictions at half of the tasks or more.

    Of the tasks of whoever answers fewer; methods that fall back on the same forecast
    where they have none of their own agree now and then.
    """
    size = {each.name: len(each.tables) for each in standing.entrants}
    return [
        other
        for other, count in standing.copies[one.name].items()
        if 2 * count >= min(size[one.name], size[other])
    ]


def _costs(standing: Standing, main: pl.DataFrame) -> dict[str, float | None]:
    """Return the mean price over an entrant's tasks; None if one has no known price."""
    found: dict[str, float | None] = {}
    for one in standing.entrants:
        mine = main.filter(predictor=one.name)["cost_passes"]
        known = len(mine) > 0 and mine.null_count() == 0
        found[one.name] = number(float(np.mean(mine.to_numpy()))) if known else None
    return found


def _ranked(row: Row) -> dict[str, Any]:
    found = {"name": row["name"], "rank": row["rank"]}
    for name in ("skill", "win_rate", "mean_rank"):
        found[name] = three(row, name, f"{name}_low", f"{name}_high")
    return found | {"tasks": row["tasks"]}


def _skills(standing: Standing, main: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return skill and interval of every entry at every task; null: none."""
    found: dict[str, dict[str, Any]] = {}
    names = [REFERENCE, *(one.name for one in standing.entrants)]
    empty = dict.fromkeys(standing.board.tasks)
    for name in names:
        found[name] = empty | {
            row["task"]: three(row, "skill", "skill_low", "skill_high")
            for row in main.filter(predictor=name).to_dicts()
            if row["skill"] is not None
        }
    for row in standing.controls.to_dicts():
        mine = found.setdefault(row["name"], dict(empty))
        if row["skill"] is not None:
            mine[row["task"]] = skill_of(row)
    return found


def _pairs(standing: Standing, order: Sequence[str]) -> dict[str, Any]:
    """Return everybody against everybody, in the order of the widest pool."""
    names = standing.matrix.names
    rows = [names.index(name) for name in order]
    found: dict[str, Any] = {"names": list(order)}
    for name, part in (
        ("win", standing.matrix.pairs.win),
        ("skill", standing.matrix.pairs.skill),
    ):
        found[name] = _cells(part.value, rows)
        found[f"{name}_low"] = _cells(part.low, rows)
        found[f"{name}_high"] = _cells(part.high, rows)
    return found


def _cells(table: Floats, rows: list[int]) -> list[list[float | None]]:
    cells = table[np.ix_(rows, rows)].tolist()
    return [[number(cell) for cell in row] for row in cells]


def _cost(
    ranked: pl.DataFrame, costs: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Return cost and skill of every entrant, and who is on the front."""
    mine = ranked.filter(pl.col("name").is_in(list(costs)))
    prices = [costs[name] for name in mine["name"]]
    best = front(prices, mine["skill"].to_list())
    names = ("skill", "skill_low", "skill_high")
    return [
        {
            "name": row["name"],
            "cost_passes": price,
            "skill": three(row, *names),
            "front": on_front,
        }
        for row, price, on_front in zip(mine.to_dicts(), prices, best, strict=True)
    ]


def _scored(row: Row, others: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a task's table."""
    found: dict[str, Any] = {
        "name": row["predictor"],
        "status": row["status"],
        "rank": row["rank"],
        "declined": row["declined"],
        "reason": row["reason"],
        "skill": None,
        "incremental": None,
    }
    found |= {
        name: number(row[name])
        for name in ("cost_observed", "cost_passes", "cost_seconds")
    }
    if row["skill"] is not None:
        found["skill"] = three(row, "skill", "skill_low", "skill_high")
    told = ("value", "low", "high", "p", "p_holm")
    if row["incremental"] is not None:
        names = ("incremental", "incremental_low", "incremental_high")
        found["incremental"] = three(row, *names)
    found |= {name: number(row[name]) for name in told}
    found["share"] = number(row["share_of_attainable"])
    return found | {"metrics": others.get(row["predictor"], {})}


def _place(row: Row) -> tuple[bool, int, float, str]:
    """Return what rows of a task are ordered by; those without a rank come last."""
    skill = row["skill"][0] if row["skill"] and row["skill"][0] is not None else 0.0
    return row["rank"] is None, row["rank"] or 0, -skill, row["name"]


def _slices(found: pl.DataFrame) -> list[dict[str, Any]]:
    keys = ["by", "level", "n", "families"]
    return [
        {name: part[name][0] for name in keys}
        | {
            "rows": [
                {"name": row["name"], "skill": skill_of(row)} for row in part.to_dicts()
            ]
        }
        for part in found.partition_by(keys, maintain_order=True)
    ]
