"""What the page reads: finite, JSON, and safe in a spreadsheet."""

import csv
import dataclasses
import io
import json
import math

import polars as pl
import pytest

from leaderboard.page.data import board_data, overall_csv, task_data
from leaderboard.page.rounded import number
from leaderboard.page.spreadsheet import escaped
from leaderboard.ranking.judged import REFERENCE
from leaderboard.ranking.overall import front
from leaderboard.ranking.pools import POOLS
from tests.leaderboard.ranking.conftest import PREDICTORS, TASK_NAMES

EVERYBODY = {REFERENCE, *PREDICTORS}


@pytest.fixture(scope="module")
def data(stood, board, full):
    return board_data(stood, board, full)


def numbers(value):
    """Yield every number below a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, float):
        yield value


def test_a_board_holds_what_the_page_reads(data, stood, full):
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["corpus"]["runs"] == len(full.runs())
    assert {task["name"] for task in data["tasks"]} == set(TASK_NAMES)
    kinds = {one["name"]: one["kind"] for one in data["entries"]}
    assert kinds[REFERENCE] == "reference"
    assert kinds["[optimizer.name alone]"] == "control"
    assert {n for n, kind in kinds.items() if kind == "submission"} == set(PREDICTORS)
    assert list(data["pools"]) == list(POOLS)
    shown = data["pools"]["settings"]
    ranks = [row["rank"] for row in shown if row["rank"] is not None]
    assert ranks == sorted(ranks)
    shown, unranked = shown[: len(ranks)], shown[len(ranks) :]
    assert {row["rank"] for row in unranked} == {None}
    assert {kinds[row["name"]] for row in unranked} == {"control"}
    for row in shown:
        told = stood.overall.row(
            by_predicate=(pl.col("name") == row["name"])
            & (pl.col("pool") == "settings"),
            named=True,
        )
        assert row["skill"][0] == pytest.approx(told["skill"], rel=1e-4)
        low, high = row["skill"][1:]
        assert low <= high
    assert data["pairs"]["names"] == [row["name"] for row in shown]
    size = range(len(shown))
    for i in size:
        for j in size:
            both = data["pairs"]["win"][i][j] + data["pairs"]["win"][j][i]
            assert both == pytest.approx(1, abs=1e-4)
    assert set(data["skills"]) == set(kinds)
    assert set(data["skills"]["zero"]) == set(TASK_NAMES)


def test_what_is_self_reported_stays_apart_from_the_price(data):
    entry = next(one for one in data["entries"] if one["name"] == "sotl_e")
    told = {"hardware": "one core", "fit_s": 1.5, "predict_s": 0.25}
    assert entry["compute"] == told
    assert entry["cost_passes"] == pytest.approx(0.2)  # a window of 20 %, five times
    assert {row["name"]: row["cost_passes"] for row in data["cost"]}["sotl_e"] == 0.2


def test_a_task_holds_what_the_page_reads(stood):
    for name in TASK_NAMES:
        data = task_data(stood, name)
        assert json.loads(json.dumps(data, allow_nan=False)) == data
        rows = data["rows"]
        assert {row["name"] for row in rows} == EVERYBODY
        ranks = [row["rank"] for row in rows if row["rank"] is not None]
        assert ranks == sorted(ranks)
        assert all(row["value"] is None for row in rows if row["status"] != "ok")
        assert all(f"{x:.5g}" == f"{float(f'{x:.4e}'):.5g}" for x in numbers(data))
    main = task_data(stood, "final-acc/w20")
    assert {"rmse", "spearman"} <= set(main["rows"][0]["metrics"])
    slices = {(one["by"], one["level"]) for one in main["slices"]}
    assert ("optimizer.name", "lion") in slices
    assert {row["name"] for row in main["slices"][0]["rows"]} == EVERYBODY
    assert {one["by"] for one in main["controls"]} >= {"batch_size", "status"}
    with pytest.raises(KeyError, match=r"full does not ask 'no/such' \(it asks ckpt-"):
        task_data(stood, "no/such")


def test_another_board_is_refused(stood, board, full):
    other = dataclasses.replace(board, name="other")
    with pytest.raises(
        ValueError, match=r"the standing is of full, the board is other"
    ):
        board_data(stood, other, full)


def test_numbers_of_the_csv_are_read_back_as_they_were(stood):
    rows = list(csv.DictReader(io.StringIO(overall_csv(stood))))
    assert len(rows) == len(stood.overall)
    for row, told in zip(rows, stood.overall.to_dicts(), strict=True):
        for name in ("skill", "skill_low", "win_rate", "mean_rank_high"):
            assert float(row[name]) == told[name]
    assert any(row["skill"].startswith("-") for row in rows)


@pytest.mark.parametrize("first", list("=+-@\t\r\0\uff1d\uff0b\uff0d\uff20"))
def test_a_text_that_is_a_formula_gets_an_apostrophe(first, stood):
    assert escaped(f"{first}1+1") == f"'{first}1+1"
    assert escaped(f"a{first}") == f"a{first}"
    evil = f"{first}cmd|' /C calc'!A0"
    named = dataclasses.replace(
        stood, overall=stood.overall.with_columns(name=stood.overall["name"] + "")
    )
    named.overall[0, "name"] = evil
    text = overall_csv(named)
    row = next(csv.DictReader(io.StringIO(text, newline="")))
    assert row["name"] == "'" + evil
    assert float(row["skill"]) == stood.overall["skill"][0]


def test_numbers_are_rounded_and_finite():
    assert number(123456.789) == 123460.0
    assert math.copysign(1, number(-0.0)) == 1
    assert [number(x) for x in (None, math.nan, -math.inf)] == [None] * 3


def test_the_front_is_whom_nobody_beats_at_both():
    cost = [0.1, 0.2, 0.2, 0.3, 0.05, None, 0.1]
    skill = [0.5, 0.6, 0.4, 0.6, None, 0.9, 0.5]
    assert front(cost, skill) == [True, True, False, False, False, False, True]
