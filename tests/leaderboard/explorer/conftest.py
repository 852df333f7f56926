"""A small corpus with known laws, forecasts of it by hand, its site, and a browser."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
import pytest

from harness.corpus import Corpus
from harness.publish import build
from harness.record import Curve, RunRecord
from harness.seeds import stream
from leaderboard.page.explorer import write_explorer
from tasks.base import TASKS, Task
from tasks.sealed import Sealed, seal
from tests.harness.conftest import record
from tests.leaderboard.explorer.host import describe, served, write_site

EPOCHS: Final = 30
SIZE: Final = 4
KNEE: Final = 8.5
HOSTILE: Final = "<img src=x onerror=\"document.title='owned'\">"
NAMES: Final = ("near", HOSTILE, "bent \u202eword", "silent")
TASK_NAMES: Final = ("final-acc/w50", "curve/w20")


class Site(NamedTuple):
    """A written site and what it was written from."""

    folder: Path
    corpus: Corpus
    tasks: tuple[Task, ...]
    sealed: dict[str, Sealed]
    tables: dict[str, dict[str, pl.DataFrame]]
    description: dict[str, Any]

    @property
    def explorer(self) -> Path:
        """Folder of the explorer's files."""
        return self.folder / "data/small/explorer"


def loss(number: int, exact: bool) -> np.ndarray:
    """Return 1.5 t^-0.5, or one with a knee and 0.5 % noise."""
    t = np.arange(1, EPOCHS * SIZE + 1) / SIZE
    if exact:
        return 1.5 * t**-0.5
    bent = np.where(t < KNEE, t**-0.3, KNEE**1.2 * t**-1.5)
    return 2 * bent * np.exp(0.005 * stream(number, "bent").standard_normal(len(t)))


def one(number: int, optimizer: str, rate: float, seed: int) -> RunRecord:
    """Return a run of 30 epochs; a family of two is exact, the others have a knee."""
    made = record(seed, optimizer=optimizer, lr=rate)
    steps = np.arange(1, EPOCHS * SIZE + 1, dtype=np.int32)
    every = np.arange(0, EPOCHS * SIZE + 1, 6, dtype=np.int32)
    values = {
        "train_loss": (steps, loss(number, exact=number < 2)),
        "lr": (steps, np.full(len(steps), rate)),
        "val_loss": (every, 2.0 + 0.01 * number - every / 100),
    }
    curves = {k: Curve(s, v.astype(np.float32)) for k, (s, v) in values.items()}
    return dataclasses.replace(
        made,
        config=dataclasses.replace(made.config, epochs=EPOCHS),
        curves=curves,
        num_steps=EPOCHS * SIZE,
        steps_per_epoch=SIZE,
    )


def build_small(folder: Path) -> Corpus:
    """Return a corpus of 40 runs."""
    factors = [
        (optimizer, rate, seed)
        for optimizer in ("sgd", "adamw")
        for rate in np.geomspace(0.01, 1, 10).round(4).tolist()
        for seed in range(2)
    ]
    for number, (optimizer, rate, seed) in enumerate(factors):
        one(number, optimizer, rate, seed).save(folder / "shards")
    build(folder, name="small", grids={})
    return Corpus.open(folder)


def answers_of(found: Sealed, name: str) -> pl.DataFrame:
    """Return predictions by hand: near the truth, some with quantiles."""
    noise = stream(NAMES.index(name), found.task.name)
    silent = name == "silent"
    rows = []
    for i, example in enumerate(found.answers.ids):
        row: dict[str, Any] = {"id": example}
        row["reason"] = f"too {HOSTILE}" if silent else None
        if found.task.kind == "curve":
            for epoch, value in enumerate(
                found.answers.curves[i].tolist(), EPOCHS // 5 + 1
            ):
                said = None if silent else value * (1 + 0.1 * noise.random())
                rows.append(row | {"epoch": epoch, "prediction": said})
            continue
        middle = found.answers.values[i] + 0.05 * noise.standard_normal()
        row["prediction"] = None if silent else middle
        for level in found.task.levels:
            row[f"q{level:g}"] = None if silent else middle + 0.1 * (level - 0.5)
        rows.append(row)
    mixed = stream(0, "order").permutation(len(rows)).tolist()
    return pl.DataFrame(rows, infer_schema_length=None)[mixed]


def board(site_names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Return the board that the page gets, its prices and skills made up."""
    cost = [
        {
            "name": name,
            "cost_passes": (0.0, 0.2, 0.2, 2.5)[i],
            "skill": [0.1 + 0.2 * i, 0.2 * i, 0.2 + 0.2 * i]
            if i < 3
            else [0.0, None, None],
            "front": i in (0, 2),
        }
        for i, name in enumerate(site_names)
    ]
    pools = ("curve", "noise", "curvature", "settings")
    entries = [
        {"name": name, "pool": pool, "reads": [] if name == "near" else [pool]}
        for name, pool in zip(site_names, pools, strict=True)
    ]
    return {
        "name": "small",
        "corpus": {"name": "small"},
        "entries": entries,
        "cost": cost,
        "pools": {"settings": [{"name": name} for name in reversed(site_names)]},
    }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of the small corpus."""
    root: Path = tmp_path_factory.mktemp("explorer")
    corpus = build_small(root / "corpus")
    tasks = tuple(TASKS.get(name)() for name in TASK_NAMES)
    sealed = {task.name: seal(corpus, task) for task in tasks}
    tables = {
        name: {task: answers_of(found, name) for task, found in sealed.items()}
        for name in NAMES
    }
    folder = root / "site"
    described = write_explorer(
        folder / "data/small/explorer", corpus, lambda t: sealed[t.name], tables, tasks
    )
    write_site(folder, {"small": board()})
    describe(folder, "small", described)
    return Site(folder, corpus, tasks, sealed, tables, described)


@pytest.fixture(scope="session")
def address(site: Site) -> Iterator[str]:
    """Where the site is served, by a server without ranges."""
    with served(site.folder) as (found, _):
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that notes what it asks for (`asked`) and its errors (`errors`)."""
    opened = browser.new_page(viewport={"width": 1100, "height": 800})
    opened.asked, opened.errors = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    yield opened
    opened.close()
