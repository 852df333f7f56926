"""Made-up data of a site after the contract of the page: seeded, any size."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

Json = dict[str, Any]
POOLS = ("curve", "noise", "curvature", "settings")
TASKS = {
    "ckpt-prune/w20": (
        "How far can a run be pruned, seen 20 % of it?",
        "sparsity",
        0.2,
    ),
    "curve/w20": ("How does the loss go on, seen 20 % of a run?", "loss", 0.2),
    "diverge/w04": ("Does a run diverge, seen 4 % of it?", "probability", 0.04),
    "final-acc/w04": ("How accurate is a run in the end?", "accuracy", 0.04),
    "final-acc/w10": ("How accurate is a run in the end?", "accuracy", 0.1),
    "final-acc/w20": ("How accurate is a run in the end?", "accuracy", 0.2),
    "final-acc/w50": ("How accurate is a run in the end?", "accuracy", 0.5),
    "final-valce/w30": ("What loss does a run end at?", "nats", 0.3),
    "loss2loss/val": ("What is the loss on other images?", "nats", 0.2),
    "ood-acc/digits-corrupted/w20": (
        "How accurate on corrupted images?",
        "accuracy",
        0.2,
    ),
    "plateau/w30": ("When does a run stop getting better?", "epochs", 0.3),
    "prune/w20": ("How accurate is a run after pruning?", "accuracy", 0.2),
    "rank/pairs/w20": ("Which run of two ends better?", "probability", 0.2),
    "seed-residual/w20": ("How far from its family does a run end?", "accuracy", 0.2),
    "shift/bs=max": ("How accurate at the largest batch size?", "accuracy", 0.2),
    "shift/lr=max": ("How accurate at the largest rate?", "accuracy", 0.2),
    "shift/opt=lion": ("How accurate with an optimizer never seen?", "accuracy", 0.2),
    "shift/sched=step": ("How accurate with a schedule never seen?", "accuracy", 0.2),
    "curve/w20/sched=step": ("How does the loss go on past a drop?", "loss", 0.2),
    "loss2loss/digits-corrupted": (
        "What is the loss on corrupted images?",
        "nats",
        0.2,
    ),
}
NAMES = (
    "stacked forest", "gradient boosting", "curve + settings ridge", "power law",
    "multi-power law", "neural process", "freeze-thaw GP", "last value",
    "noise-scale regression", "sharpness ridge", "kNN on curves", "SoTL-E",
    "LC-PFN transfer", "TSE-EMA", "median", "settings only", "learning rate only",
    "Bayesian ensemble with an unusually long name of its own", "shifted power law",
)  # fmt: skip
KINDS = {
    "median": "reference",
    "settings only": "control",
    "learning rate only": "control",
}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} {% raw %} ${7*7}",
    "[x](javascript:alert(1))",
    "\u202egnirts desrever \u2066x",
    "__proto__",
    "constructor",
    "%00%ff ../../etc #/?q=&",
    "\u2028\u2029\u0000\ud7ff\uffff</script><!--",
    "w" * 10_000,
)  # fmt: skip


def triple(rng: np.random.Generator, value: float, width: float) -> list[float]:
    """Return a value and an interval about it."""
    low, high = rng.uniform(0.4, 1.0, 2) * width
    return [round(float(v), 4) for v in (value, value - low, value + high)]


def digest(*of: object) -> str:
    """Return something that looks like a SHA-256."""
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()


def entry(rng: np.random.Generator, name: str, place: int) -> Json:
    """Return what a submission says of itself."""
    widest = int(rng.integers(0, 4))
    reads = ["curve", *POOLS[1 : widest + 1]] if widest < 3 else ["curve", "settings"]
    if name in KINDS:
        reads = ["settings"] if KINDS[name] == "control" else []
    return {
        "name": name,
        "folder": f"t4-digits-{place}",
        "kind": KINDS.get(name, "submission"),
        "authors": ["A. Nother", "B. Sample", "C. Third"][: 1 + place % 3],
        "contact": "a@example.org",
        "code": f"https://example.org/predictors/{place}",
        "licence": ["MIT", "Apache-2.0", "BSD-3-Clause"][place % 3],
        "description": "Reads the first part of a run and extrapolates it.",
        "predictor": f"package.module:Predictor{place}",
        "reads": reads,
        "signals": None if place % 4 == 0 else ["val_loss", "grad_norm"][: place % 3],
        "pool": POOLS[max([POOLS.index(one) for one in reads], default=0)],
        "compute": {
            "hardware": "8 cores" if place % 2 else "",
            "fit_s": round(float(rng.uniform(0.1, 900)), 1),
            "predict_s": round(float(rng.uniform(0.01, 9)), 2),
        },
        "submitted": None if name in KINDS else f"2026-{1 + place % 11:02d}-14",
        "sha256": digest(name, place),
        "copies": [],
        "cost_passes": round(float(rng.uniform(0.04, 0.6)), 3) if reads else None,
    }


def ranked(entries: Sequence[Json], skills: Json, pool: str) -> list[Json]:
    """Return the rows of a pool: overlapping intervals share a rank."""
    inside = [e for e in entries if POOLS.index(e["pool"]) <= POOLS.index(pool)]
    rows = []
    for one in inside:
        known = [t for t in skills[one["name"]].values() if t is not None]
        skill = [round(float(v), 4) for v in np.mean(known, axis=0)]
        win = 0.5 + 0.45 * float(np.tanh(3 * (skill[0] - 0.2)))
        mean_rank = 1 + (1 - win) * len(inside)
        rows.append(
            {
                "name": one["name"],
                "skill": skill,
                "win_rate": [win, max(0.0, win - 0.07), min(1.0, win + 0.06)],
                "mean_rank": [mean_rank, max(1.0, mean_rank - 1.2), mean_rank + 1.4],
                "tasks": len(known),
            }
        )
    rows.sort(key=lambda row: -row["skill"][0])
    rank, leader = 1, None
    for place, row in enumerate(rows, 1):
        if leader is None or row["skill"][2] < leader["skill"][0]:
            rank, leader = place, row
        row["rank"] = rank
    return rows


def matrix(values: np.ndarray) -> list[list[float | None]]:
    """Return rows of numbers, null on the diagonal."""
    lines: list[list[float | None]]
    lines = [[round(float(v), 3) for v in line] for line in values]
    for place, line in enumerate(lines):
        line[place] = None
    return lines


def pairs(names: Sequence[str], levels: np.ndarray) -> Json:
    """Return everybody against everybody."""
    gap = levels[:, None] - levels[None, :]
    win, skill = 0.5 + 0.48 * np.tanh(2.5 * gap), np.clip(gap * 1.3, -1, 0.95)
    return {
        "names": list(names),
        "win": matrix(win),
        "win_low": matrix(np.clip(win - 0.08, 0, 1)),
        "win_high": matrix(np.clip(win + 0.07, 0, 1)),
        "skill": matrix(skill),
        "skill_low": matrix(skill - 0.1),
        "skill_high": matrix(skill + 0.08),
    }


def rounded(board: Json) -> Json:
    """Return a board as one about hidden runs shows it: rounded, without intervals."""

    def step(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: step(v, k) for k, v in value.items()}
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], float):
            return [round(value[0], 2), None, None]
        if isinstance(value, list):
            return [step(v) for v in value]
        return value

    kept = {"corpus": board["corpus"], "tasks": board["tasks"], "pairs": board["pairs"]}
    return step(board) | kept | {"name": f"{board['name']}-hidden", "hidden": True}


def is_first(costs: Json, better: Sequence[Json], name: str) -> bool:
    """Tell whether nobody of those who are better is as cheap."""
    cost = costs[name]
    others = [costs[row["name"]] for row in better if costs[row["name"]] is not None]
    return cost is not None and all(cost < other for other in others)


def make_board(
    names: Sequence[str] = NAMES, num_tasks: int = 19, seed: int = 0
) -> Json:
    """Return a board about public runs."""
    rng = np.random.default_rng(seed)
    tasks = list(TASKS)[:num_tasks]
    entries = [entry(rng, name, place) for place, name in enumerate(names)]
    levels = rng.uniform(-0.25, 0.72, len(names))
    for place, one in enumerate(entries):
        if one["kind"] == "reference":
            levels[place] = 0.0
    skills: Json = {}
    for one, level in zip(entries, levels, strict=True):
        values = np.clip(level + rng.normal(0, 0.12, len(tasks)), -1.4, 0.97)
        skills[one["name"]] = {
            task: None if rng.random() < 0.05 else triple(rng, value, 0.09)
            for task, value in zip(tasks, values, strict=True)
        }
    if len(entries) > 5:
        entries[5]["copies"] = [entries[2]["name"]]
    everybody = ranked(entries, skills, "settings")
    costs = {one["name"]: one["cost_passes"] for one in entries}
    return {
        "name": "t4-digits",
        "hidden": False,
        "corpus": {
            "name": "t4-digits", "version": "1.0.0", "sha256": digest("corpus"),
            "runs": 432, "families": 144, "licence": "CC-BY-4.0",
        },
        "tasks": [
            {
                "name": name, "version": "1", "kind": "value",
                "question": TASKS[name][0],
                "unit": TASKS[name][1],
                "metric": "mae", "direction": "min",
                "reference": "median", "ceiling": 0.0041, "n": 432, "families": 144,
                "window": TASKS[name][2],
            }
            for name in tasks
        ],
        "entries": entries,
        "pools": {pool: ranked(entries, skills, pool) for pool in POOLS},
        "skills": skills,
        "pairs": pairs(names, levels),
        "cost": [
            {"name": row["name"], "cost_passes": costs[row["name"]],
             "skill": row["skill"],
             "front": is_first(costs, everybody[:place], row["name"])}
            for place, row in enumerate(everybody)
        ],
    }  # fmt: skip


def make_task(board: Json, name: str, seed: int = 1) -> Json:
    """Return a task's scores, slices, controls and pairs."""
    rng = np.random.default_rng(seed)
    rows = []
    known = [(e, board["skills"][e["name"]][name]) for e in board["entries"]]
    order = sorted(known, key=lambda one: -(one[1][0] if one[1] else -9))
    for rank, (one, skill) in enumerate(order, 1):
        value, low, high = (
            (0.05 * (1 - skill[0]), 0.05 * (1 - skill[2]), 0.05 * (1 - skill[1]))
            if skill
            else (None, None, None)
        )
        p = round(float(rng.beta(0.4, 3)), 5)
        rows.append(
            {
                "name": one["name"], "status": "ok" if skill else "declined",
                "value": value, "low": low, "high": high,
                "rank": rank if skill else None,
                "skill": skill, "share": skill[0] * 1.08 if skill else None,
                "incremental": triple(rng, skill[0] - 0.25, 0.1) if skill else None,
                "p": p if skill else None, "p_holm": min(1, 9 * p) if skill else None,
                "declined": 0 if skill else 432,
                "reason": None if skill else "the window holds no evaluation",
                "cost_observed": 0.2, "cost_passes": one["cost_passes"],
                "cost_seconds": 0.21,
                "metrics": {"rmse": triple(rng, 0.07, 0.01)} if skill else {},
            }
        )  # fmt: skip
    names = [row["name"] for row in rows if row["skill"]]
    levels = {
        "optimizer.name": ["sgd", "adamw", "lion"],
        "schedule.name": ["cosine", "step", "constant"],
        "batch_size": ["32", "128", "512"],
        "diverged": ["no", "yes"],
    }
    return {
        "task": name,
        "rows": rows,
        "slices": [
            {
                "by": by, "level": level, "n": 144, "families": 48,
                "rows": [
                    {"name": one, "skill": triple(rng, rng.uniform(-0.3, 0.8), 0.12)}
                    for one in names
                ],
            }
            for by, several in levels.items()
            for level in several
        ],
        "controls": [
            {"by": by, "value": 0.04, "skill": triple(rng, rng.uniform(0, 0.2), 0.05)}
            for by in levels
        ],
        "pairs": [
            {"first": names[0], "second": other, "difference": -0.01 * place,
             "low": -0.012 * place, "high": -0.006 * place, "p": 0.001 * place,
             "p_holm": 0.008 * place}
            for place, other in enumerate(names[1:], 1)
        ],
    }  # fmt: skip


def make_site(boards: Sequence[Json]) -> Json:
    """Return what the site says of itself."""
    return {
        "format": 1, "title": "runcast leaderboard", "built": "2026-11-22T02:00:00Z",
        "runcast": "0.7.0", "commit": "abc1234",
        "boards": [
            {
                "name": board["name"], "corpus": board["corpus"]["name"],
                "version": board["corpus"]["version"], "hidden": board["hidden"],
                "entries": len(board["entries"]), "tasks": len(board["tasks"]),
                "explorer": not board["hidden"],
            }
            for board in boards
        ],
    }  # fmt: skip


def make_arguments(names: Sequence[str] = NAMES, num_tasks: int = 19) -> Json:
    """Return all that `render_site` is given, but where to write."""
    board = make_board(names, num_tasks)
    boards = {one["name"]: one for one in (board, rounded(board))}
    tasks = {
        key: {task["name"]: make_task(one, task["name"]) for task in one["tasks"]}
        for key, one in boards.items()
        if not one["hidden"]
    }
    return {
        "site": make_site(list(boards.values())),
        "boards": boards,
        "tasks": tasks | {"t4-digits-hidden": hidden_tasks(tasks["t4-digits"])},
        "downloads": {
            name: {"csv": b"name,skill\n", "json": b"{}", "parquet": b"PAR1"}
            for name in boards
        },
    }


def hidden_tasks(tasks: Json) -> Json:
    """Return the scores of tasks as a hidden board shows them: no slices, no pairs."""
    shown: Json = {}
    for name, task in tasks.items():
        rows = []
        for row in task["rows"]:
            skill = row["skill"] and [round(row["skill"][0], 2), None, None]
            gone = {
                "low": None,
                "high": None,
                "incremental": None,
                "p": None,
                "p_holm": None,
            }
            rows.append(row | gone | {"skill": skill, "metrics": {}})
        shown[name] = {
            "task": name,
            "rows": rows,
            "slices": [],
            "controls": [],
            "pairs": [],
        }
    return shown
