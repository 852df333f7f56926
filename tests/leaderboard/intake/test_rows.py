import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.seeds import stream
from leaderboard.intake.csv_table import read_csv
from leaderboard.intake.parquet_table import read_parquet
from leaderboard.intake.rows import check_rows, range_of
from tasks.base import TASKS
from tasks.checked import checked, digest
from tasks.question import Answers
from tests.leaderboard.intake.made import (
    IDS,
    NAMES,
    a_submission,
    answers,
    as_csv,
    as_parquet,
    asked_for,
    codes,
    final,
    plain,
    problems_of,
    task_of,
)

LEVELS = ("q0.05", "q0.1", "q0.25", "q0.5", "q0.75", "q0.9", "q0.95")
HALF = ["0.5"] * len(IDS)


def truths(name):
    """Return answers of the right shape for `checked`, which looks at nothing else."""
    asked = asked_for(name)
    first, last = (asked.examples[c].to_list() for c in ("first", "last"))
    curve = asked.task.kind == "curve"
    curves = [[1.0] * (b - a + 1) for a, b in zip(first, last, strict=True)]
    ids = asked.examples["id"].to_list()
    scored = pl.DataFrame({"id": ids, "run_id": ids, "family_id": ids})
    value = pl.Series("value", curves if curve else [0.5] * len(ids))
    return Answers.of(scored.with_columns(value), pl.DataFrame(), ())


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "1e39", "-0.001", "1.0001", "2+1j", "True", "x"]
)
def test_s01_numbers_that_cannot_be_are_refused_with_their_rows(value):
    (problem,) = problems_of(a_submission(final=plain(prediction=[value, *HALF[1:]])))
    assert (problem.code, problem.rows, problem.count) == ("bad_value", (1,), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.5, -0.5])
@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_s01_so_are_those_of_parquet(value, dtype):
    table = answers("diverge/w04").drop_nulls("prediction")
    table = answers("diverge/w04").with_columns(prediction=pl.lit(value, dtype))
    (problem,) = problems_of(a_submission(diverge=as_parquet(table)))
    assert (problem.code, problem.count) == ("bad_value", 12)
    assert problem.rows == (1, 2, 3, 4, 5)


def test_s01_percent_is_asked_after_and_not_guessed():
    values = [f"{90 + i}" for i in range(len(IDS) - 2)]
    percent = problems_of(a_submission(final=plain(prediction=[*values, "0.9", "100"])))
    assert ["percent?" in problem.mend for problem in percent] == [True]
    other = problems_of(a_submission(final=plain(prediction=["0.1", *values, "7"])))
    assert ["percent?" in problem.mend for problem in other] == [False]


def test_s01_the_ends_of_the_range_are_in_it():
    values = ["0", "1", "-0", "1.0", "0e5", "1e0", *HALF[6:]]
    assert codes(a_submission(final=plain(prediction=values))) == []


def test_s01_ranges_are_those_of_the_unit():
    found = {name: range_of(TASKS.get(name)()) for name in TASKS.names()}
    assert found["final-acc/w20"] == found["diverge/w04"] == (0, 1)
    assert found["seed-residual/w20"] == (-1, 1)
    assert found["final-valce/w30"] is found["plateau/w30"] is None


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_s01_a_loss_is_positive(value):
    table = answers("curve/w20").with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(value).otherwise("prediction")
        .cast(pl.Float32).alias("prediction")
    )  # fmt: skip
    (problem,) = problems_of(a_submission(curve=as_parquet(table)))
    assert (problem.code, problem.rows) == ("bad_value", (8,))


def test_s01_a_curve_is_declined_as_a_whole():
    table = answers("curve/w20").with_columns(
        prediction=pl.when(pl.int_range(pl.len()) != 7).then("prediction")
    )
    (problem,) = problems_of(a_submission(curve=as_parquet(table)))
    assert (problem.code, problem.rows) == ("bad_value", (8,))
    assert "part of a curve" in problem.what


@pytest.mark.parametrize("reason", ["x" * 301, "a\u202eb", "a\0b", "a\nb"])
def test_s01_reasons_are_short_and_visible(reason):
    table = answers("diverge/w04").with_columns(reason=pl.lit(reason))
    assert codes(a_submission(diverge=as_parquet(table))) == ["bad_value"]


def test_s02_missing_extra_and_repeated_rows_are_counted():
    ids = ["stranger", sorted(IDS)[1], sorted(IDS)[1], *sorted(IDS)[3:]]
    found = problems_of(a_submission(final=plain(id=ids)))
    assert [(p.code, p.count, p.rows) for p in found] == [
        ("missing_rows", 2, ()),
        ("extra_rows", 1, (1,)),
        ("duplicate_rows", 1, (3,)),
    ]
    assert f"{sorted(IDS)[0]}, {sorted(IDS)[2]}" in found[0].what


def test_s02_epochs_are_missing_extra_and_repeated_like_rows():
    table = answers("curve/w20")
    epoch = table["epoch"].to_list()
    epoch[3], epoch[4] = 4, epoch[5]
    found = problems_of(
        a_submission(curve=as_parquet(table.with_columns(epoch=pl.Series(epoch))))
    )
    assert [(p.code, p.count, p.rows) for p in found] == [
        ("missing_rows", 2, ()),
        ("extra_rows", 1, (4,)),
        ("duplicate_rows", 1, (6,)),
    ]
    assert "epoch 5" in found[0].what


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_s02_adding_a_row_that_is_there_is_always_refused(name, seed):
    table = answers(name, seed)
    again = pl.concat([table, table.sample(1, seed=seed)]).sample(
        fraction=1, shuffle=True, seed=seed
    )
    (problem,) = check_rows(asked_for(name), again, "x")
    assert (problem.code, problem.count) == ("duplicate_rows", 1)


@pytest.mark.parametrize(
    ("changed", "looks"),
    [("7.0", "007"), ("7", "007"), ("RUN-A", "run-a"), (" run-a", "run-a"),
     ("run-a ", "run-a"), ("10.00", "10")],
)  # fmt: skip
def test_s03_ids_are_text_and_are_told_what_they_look_like(changed, looks):
    ids = ["007", "10", "run-a"]
    asked = asked_for("final-acc/w20", ids)
    data = "id,prediction\n" + "".join(
        f"{changed if name == looks else name},0.5\n" for name in ids
    )
    read = read_csv(data.encode(), asked, "x")
    missing, extra = check_rows(asked, read.frame, "x")
    assert (missing.code, extra.code) == ("missing_rows", "extra_rows")
    assert f"looks like {looks}" in extra.mend


def test_s04_quantiles_that_decrease_are_refused():
    found = problems_of(a_submission(final=final(**{"q0.5": ["", *["0.01"] * 11]})))
    assert {problem.code for problem in found} == {"bad_distribution"}
    assert found[0].count == 11


def test_s04_some_levels_only_are_refused():
    assert codes(a_submission(final=final(**{"q0.5": None}))) == ["bad_distribution"]
    one = answers("final-acc/w20")["q0.5"].cast(pl.String).to_list()
    one[4] = None
    (problem,) = problems_of(a_submission(final=final(**{"q0.5": one})))
    assert (problem.code, problem.rows) == ("bad_distribution", (5,))


def test_s04_quantiles_lie_in_the_range_and_belong_to_a_prediction():
    out = ["", *["1.5"] * 11]
    (problem,) = problems_of(a_submission(final=final(**{"q0.95": out})))
    assert (problem.code, problem.count) == ("bad_distribution", 11)
    (problem,) = problems_of(a_submission(final=final(prediction=[""] * 12)))
    assert (problem.code, problem.count) == ("bad_distribution", 11)


def test_a_frame_of_other_types_is_refused():
    table = answers("diverge/w04").cast({"prediction": pl.Float64})
    (problem,) = check_rows(asked_for("diverge/w04"), table, "x")
    assert problem.code == "bad_columns"
    assert "Float64, expected Float32" in problem.what


@st.composite
def tables(draw):
    """Tables near the edge of what is taken."""
    name = draw(st.sampled_from(NAMES))
    table = answers(name, draw(st.integers(0, 3)))
    numbers = [c for c in table.columns if table[c].dtype == pl.Float32]
    odd = st.sampled_from([None, np.nan, np.inf, -0.0, 0.0, 1.0, 1.1, -0.1, 0.5, 1e-45])
    for _ in range(draw(st.integers(0, 2))):
        column = draw(st.sampled_from(numbers))
        values = table[column].to_list()
        values[draw(st.integers(0, len(values) - 1))] = draw(odd)
        table = table.with_columns(pl.Series(column, values, pl.Float32))
    if draw(st.booleans()):
        table = table.drop([c for c in LEVELS if c in table.columns])
    rows = list(range(len(table)))
    change = draw(st.integers(0, 6))
    if change == 0:
        rows.pop(draw(st.sampled_from(rows)))
    elif change == 1:
        rows.append(draw(st.sampled_from(rows)))
    elif change == 2:
        ids = [*table["id"].to_list()[:-1], "other"]
        table = table.with_columns(id=pl.Series(ids))
    order = stream(draw(st.integers(0, 9)), "order").permutation(len(rows))
    return name, table[[rows[at] for at in order]]


@given(tables())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_taken_here_is_taken_when_it_is_scored(case):
    """And the other way round, but for ranges, which are checked here only."""
    name, table = case
    asked = asked_for(name)
    problems = check_rows(asked, table, "x")
    try:
        found = checked(task_of(name), truths(name), {"x": table}, asked.examples)
    except ValueError as error:
        found, why = {}, str(error)
    if found:  # only ranges are checked here and not there
        assert all("outside" in problem.what for problem in problems)
    else:
        assert problems != [], why
    if not problems:
        assert found["x"].sha256 == digest(table)


@given(tables())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_s02_format_width_and_order_do_not_change_the_digest(case):
    name, table = case
    asked = asked_for(name)
    if check_rows(asked, table, "x"):
        return
    wide = table.cast({pl.Float32: pl.Float64})
    found = [
        read_csv(as_csv(table), asked, "x").frame,
        read_csv(as_csv(wide), asked, "x").frame,
        read_parquet(as_parquet(table), asked, "x").frame,
        read_parquet(as_parquet(wide.reverse()), asked, "x").frame,
    ]
    assert [check_rows(asked, frame, "x") for frame in found] == [[]] * 4
    assert {digest(frame) for frame in found} == {digest(table)}


def test_every_kind_of_problem_is_told_at_once():
    table = answers("final-acc/w20")
    ids = ["x", "x", *table["id"].to_list()[2:]]
    table = table.with_columns(
        id=pl.Series(ids), prediction=pl.lit(2, pl.Float32), reason=pl.lit("\0")
    )
    table = pl.concat([table, table[[5]]])
    found = check_rows(asked_for("final-acc/w20"), table, "w")
    assert [problem.code for problem in found] == [
        "missing_rows",
        "extra_rows",
        "duplicate_rows",
        "bad_value",
        "bad_value",
    ]
    assert all(dataclasses.asdict(problem)["where"] == "w" for problem in found)
