"""What a board says does not depend on how it is asked."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from harness.spec import Part
from leaderboard.ranking.judged import REFERENCE, ROWS, targets_sha256
from leaderboard.ranking.pools import POOLS
from leaderboard.ranking.rank import ranking
from leaderboard.ranking.standing import comparable, joined
from tasks.prediction import Charge
from tasks.sealed import Entry, judge
from tests.leaderboard.ranking.conftest import RESAMPLES, TASK_NAMES, entrant, stand

FRAMES = ("rows", "pairs", "overall", "slices", "controls", "controls_overall")


def same(one, two) -> list[str]:
    """Return which parts of two standings differ."""
    frames = [n for n in FRAMES if not getattr(one, n).equals(getattr(two, n))]
    pairs = [
        name
        for name in ("win", "skill")
        if not np.array_equal(
            getattr(one.matrix.pairs, name), getattr(two.matrix.pairs, name)
        )
    ]
    return frames + pairs


def test_rows_are_those_of_scoring_one_after_the_other(stood, truths, entrants):
    assert stood.rows.schema == ROWS
    name = "final-acc/w20"
    entries = {
        f"e {one.name}": Entry(
            table=one.tables[name],
            charge=one.submission.charge,
            arguments=one.submission.predictor.params,
        )
        for one in entrants
    }
    expected = judge(truths[name], entries, resamples=RESAMPLES)
    mine = stood.rows.filter(task=name)
    told = expected.columns
    assert mine.select(told).drop("predictor").equals(expected.drop("predictor"))
    assert mine["targets_sha256"].unique().to_list() == [targets_sha256(truths[name])]
    assert set(mine["predictor"]) == {REFERENCE, *(one.name for one in entrants)}


def test_the_order_of_entrants_and_of_rows_and_the_width_of_numbers_change_no_bit(
    board, truths, entrants, stood
):
    def mixed(table):
        wide = table.with_columns(pl.col(pl.Float32).cast(pl.Float64))
        return wide.select(reversed(wide.columns)).sample(
            fraction=1.0, shuffle=True, seed=1
        )

    turned = [
        dataclasses.replace(one, tables={n: mixed(t) for n, t in one.tables.items()})
        for one in reversed(entrants)
    ]
    assert same(stood, stand(board, truths, turned)) == []


def test_an_entrant_called_as_a_reference_replaces_nothing(
    board, truths, entrants, stood
):
    bad = entrants[1].tables["final-acc/w20"].with_columns(prediction=pl.lit(-3.0))
    liar = entrant(board, "median", {"final-acc/w20": bad})
    others = [one for one in entrants if one.name != "median"]
    found = stand(board, truths, [liar, *others], resamples=20)
    main = pl.col("primary") & (pl.col("task") == "final-acc/w20")
    columns = ["predictor", "value", "skill", "reference_value"]
    honest = pl.col("predictor") != "median"
    assert (
        found.rows.filter(main & honest)
        .select(columns)
        .equals(stood.rows.filter(main & honest).select(columns))
    )
    assert found.rows.filter(main & ~honest)["skill"][0] < -1


def test_overall_numbers_are_the_ranking_of_skills_task_by_task(stood, entrants):
    main = stood.rows.filter("primary")
    names = [REFERENCE, *(one.name for one in entrants)]
    skill = np.array(
        [
            [
                dict(main.filter(task=task).select("predictor", "skill").iter_rows())[n]
                for n in names
            ]
            for task in TASK_NAMES
        ],
        dtype=float,
    )
    expected = ranking(1 - skill, np.empty((*skill.shape, 0)), reference=0)
    table = stood.overall.filter(pool="settings")
    for name in ("skill", "win_rate", "mean_rank"):
        told = dict(table.select("name", name).iter_rows())
        mine = [told[n] for n in names]
        assert mine == pytest.approx(getattr(expected, name).value.tolist())


def test_pools_are_ranked_anew_and_all_hold_the_reference(stood, entrants):
    sizes = [len(stood.overall.filter(pool=pool)) for pool in POOLS]
    assert sizes == [4, 4, 4, 5]  # hyper_ridge reads settings
    assert stood.overall.filter(name=REFERENCE)["pool"].to_list() == list(POOLS)
    rates = stood.overall.group_by("pool").agg(pl.col("win_rate").mean())["win_rate"]
    assert rates.to_list() == pytest.approx([0.5] * 4)
    tasks = dict(stood.overall.filter(pool="settings").select("name", "tasks").rows())
    assert tasks == {n: t for n, t in tasks.items() if t <= 5} | {REFERENCE: 5}
    assert tasks["zero"] == 0


def test_who_answers_one_task_counts_as_the_reference_elsewhere(
    board, truths, entrants
):
    name = "final-acc/w20"
    ridge = entrants[0].tables[name]
    one = entrant(board, "ridge", {name: ridge}, charge=Charge(signals=()))
    found = stand(board, truths, [one], resamples=20)
    row = found.overall.filter(pool="settings", name="ridge").row(0, named=True)
    skill = found.rows.filter(pl.col("primary"), predictor="ridge")["skill"].to_list()
    assert len(skill) == row["tasks"] == 1
    assert row["skill"] == pytest.approx(1 - (1 - skill[0]) ** (1 / len(TASK_NAMES)))
    ties = 0.5 * (len(TASK_NAMES) - 1)
    won = (ties + float(skill[0] > 0)) / len(TASK_NAMES)
    assert row["win_rate"] == pytest.approx(won)


def test_copies_are_told_and_tie(board, truths, entrants):
    ridge = entrants[0]
    copy = entrant(board, "copycat", ridge.tables, predictor=Part("mine"))
    found = stand(board, truths, [ridge, copy], resamples=20)
    answered = found.overall.filter(pool="settings", name="copycat")["tasks"][0]
    assert found.copies == {
        "copycat": {"hyper_ridge": answered},
        "hyper_ridge": {"copycat": answered},
    }
    table = found.overall.filter(pool="settings").drop("name", "pool")
    mine = found.overall.filter(pl.col("name") != REFERENCE, pool="settings")
    assert len(mine.drop("name").unique()) == 1
    assert len(table) == 3


def test_a_rank_of_a_task_counts_who_is_better_beyond_doubt(stood):
    for task in TASK_NAMES:
        main = stood.rows.filter(pl.col("primary"), task=task)
        ok = main.filter(status="ok")
        assert ok["rank"].min() == 1
        assert main.filter(pl.col("status") != "ok")["rank"].null_count() == len(
            main
        ) - len(ok)
        ordered = ok.sort("skill", descending=True)
        assert ordered["rank"][0] == 1


def test_what_another_board_asks_is_refused_all_at_once(board, truths, entrants):
    tables = entrants[0].tables
    wrong = [
        entrant(board, "twice", tables),
        entrant(board, "twice", tables),
        entrant(board, "[reference]", tables),
        entrant(board, "other", tables, corpus_sha256="0" * 64),
        entrant(board, "old", tables, versions={"curve/w20": "0"}),
        entrant(board, "more", tables | {"no/such": tables["curve/w20"]}),
    ]
    with pytest.raises(ValueError, match=r"5 reason\(s\) not to rank on full") as told:
        stand(board, truths, wrong)
    text = str(told.value)
    for reason in (
        "'twice' is the name of 2 entrants",
        "'[reference]' has a bracket",
        "'other' answers about other runs than full",
        "'old' answers curve/w20@0, expected 1",
        "'more' answers no/such@None, expected not asked",
    ):
        assert reason in text


def test_standings_of_several_boards_or_versions_are_not_joined(stood):
    assert joined([stood]).equals(stood.rows)
    other = dataclasses.replace(
        stood, board=dataclasses.replace(stood.board, version="2.0.0")
    )
    with pytest.raises(ValueError, match=r"one board can be joined, got 2 \(full 1.0"):
        joined([stood, other])
    with pytest.raises(ValueError, match=r"one board can be joined, got 0"):
        joined([])
    with pytest.raises(ValueError, match=r"occurs more than once at ckpt-prune/w20"):
        joined([stood, stood])


def test_rows_of_a_mended_task_are_not_ranked_with_the_old_ones(stood):
    mended = stood.rows.with_columns(
        pl.when(task="curve/w20")
        .then(pl.lit("2"))
        .otherwise("task_version")
        .alias("task_version")
    )
    both = pl.concat([stood.rows, mended.filter(task="curve/w20")])
    with pytest.raises(
        ValueError, match=r"curve/w20 has rows that differ in task_version \(1; 2\)"
    ):
        comparable(both)
    assert comparable(both.filter(task_version="2")).height > 0


def test_the_digest_of_the_truth_tells_every_change(truths):
    found = truths["final-acc/w20"]
    runs = found.answers.runs
    moved = runs.with_columns(pl.col("value") + 1e-12)
    digests = {
        targets_sha256(
            dataclasses.replace(
                found, answers=dataclasses.replace(found.answers, runs=table)
            )
        )
        for table in (runs, moved, runs.with_columns(run_id=pl.col("id")))
    }
    again = dataclasses.replace(
        found, task=dataclasses.replace(found.task, version="2")
    )
    assert len(digests | {targets_sha256(again)}) == 4
