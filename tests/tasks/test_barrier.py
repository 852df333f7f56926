"""For every task: nothing hidden reaches a predictor, and names tell nothing."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from harness.corpus import Corpus
from tasks.availability import unavailable
from tasks.base import TASKS
from tasks.canary import FIRES, canary
from tasks.observations import observe
from tasks.question import ask
from tests.tasks.full_corpus import build_full

CORPORA = Path(__file__).resolve().parents[2] / "corpora"
WINDOWS = sorted({TASKS.get(name)().visibility.until for name in TASKS.names()})


def scrambled(share: float):
    """Return a change that replaces all that lies after a share of the run, and ends.

    Learning rates stay: they are planned, and tasks may show them.
    """
    numbers = np.random.default_rng(0)

    def change(one):
        curves = {}
        for name, curve in one.curves.items():
            hidden = curve.steps > share * one.num_steps
            values = curve.values.copy()
            if name != "lr":
                values[hidden] = numbers.random(hidden.sum())
            curves[name] = curve._replace(values=values)
        return dataclasses.replace(
            one,
            curves=curves,
            final={k: int(numbers.integers(1, 99)) for k in one.final},
            ood=tuple(c._replace(correct=int(numbers.integers(9))) for c in one.ood),
            costs={k: float(numbers.random()) for k in one.costs},
            environment={"torch": "9.9"},
        )

    return change


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> dict[float | None, Corpus]:
    """The corpus that can be asked everything, and its scrambled copy by window."""
    folder = tmp_path_factory.mktemp("barrier")
    made: dict[float | None, Corpus] = {None: build_full(folder / "true")}
    for until in WINDOWS:
        made[until] = build_full(folder / f"{until}", scrambled(until))
    return made


def contents(seen) -> bytes:
    """Return every byte that a predictor could read."""
    blocks = [
        (
            block.run_ids,
            block.num_steps,
            block.loss.tobytes(),
            block.rate.tobytes(),
            [
                (
                    name,
                    c.unit,
                    c.offsets.tobytes(),
                    c.steps.tobytes(),
                    c.values.tobytes(),
                )
                for name, c in block.recorded.items()
            ],
        )
        for block in seen.blocks
    ]
    planned = [None if rates is None else rates.tobytes() for rates in seen.planned]
    tables = (seen.settings.to_dicts(), seen.early.to_dicts())
    return pickle.dumps((seen.asked, seen.ids, tables, blocks, planned))


@pytest.mark.parametrize("name", TASKS.names())
def test_scrambling_every_hidden_cell_changes_no_byte(corpora, name):
    task = TASKS.get(name)()
    true, other = corpora[None], corpora[task.visibility.until]
    runs = [run for run, status in true.runs(["run_id", "status"]).rows()
            if status != "failed"]  # fmt: skip
    one, two = (observe(corpus, task, runs)[0] for corpus in (true, other))
    assert contents(one) == contents(two)
    ends = [c.runs()["final.test_correct"].to_list() for c in (true, other)]
    assert ends[0] != ends[1]


def test_names_and_order_tell_nothing_of_any_task():
    corpus = Corpus.open(CORPORA / "t8-digits")
    p_values = {}
    for name in TASKS.names():
        task = TASKS.get(name)()
        if unavailable(task, corpus) is None:
            p_values[name] = canary(*ask(corpus, task)).p
    assert len(p_values) > 15
    assert all(p > FIRES for p in p_values.values()), p_values
