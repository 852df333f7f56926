"""For every task: nothing hidden reaches a predictor, and names tell nothing."""

from pathlib import Path

import pytest

from harness.corpus import Corpus
from tasks.availability import unavailable
from tasks.base import TASKS
from tasks.canary import FIRES, canary
from tasks.observations import observe
from tasks.question import ask
from tests.tasks.full_corpus import build_full
from tests.tasks.hiding import contents, scrambled

CORPORA = Path(__file__).resolve().parents[2] / "corpora"
WINDOWS = sorted({TASKS.get(name)().visibility.until for name in TASKS.names()})


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> dict[float | None, Corpus]:
    """The corpus that can be asked everything, and its scrambled copy by window."""
    folder = tmp_path_factory.mktemp("barrier")
    made: dict[float | None, Corpus] = {None: build_full(folder / "true")}
    for until in WINDOWS:
        made[until] = build_full(folder / f"{until}", scrambled(until))
    return made


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
