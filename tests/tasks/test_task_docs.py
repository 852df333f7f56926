"""The documents on tasks and predictors say what the registries hold."""

import re
from pathlib import Path

import pytest

from tasks.base import TASKS
from tasks.prediction import PREDICTORS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def rows(name):
    """Return the cells of the tables of a document, a list a row."""
    text = (DOCS / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_task_has_a_row_with_its_reference():
    told = {
        name: quoted(row[4])[0] for row in rows("tasks.md") for name in quoted(row[0])
    }
    assert told == {name: TASKS.get(name)().reference for name in TASKS.names()}


def test_every_baseline_has_a_row_and_what_is_free_reads_no_curve():
    table = {quoted(row[0])[0]: row[2] for row in rows("baselines.md")}
    assert set(table) == set(PREDICTORS.names())
    free = {name for name, reads in table.items() if reads == "free"}
    assert free == {
        name
        for name in PREDICTORS.names()
        if not getattr(PREDICTORS.get(name), "reads_curves", True)
    }


@pytest.mark.parametrize("name", TASKS.names())
def test_a_window_is_what_its_name_says(name):
    until = TASKS.get(name)().visibility.until
    told = re.search(r"/w(\d\d)", name)
    expected = int(told[1]) / 100 if told else 1.0 if "loss2loss" in name else 0.2
    assert until == expected
