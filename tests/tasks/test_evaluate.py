import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import stats
from sklearn import metrics as sk

from harness import __version__
from harness.spec import Part
from tasks.answering import answer
from tasks.availability import unavailable
from tasks.base import TASKS
from tasks.checked import digest
from tasks.cost import Cost
from tasks.evaluate import COLUMNS, evaluate
from tasks.metrics.table import metric
from tasks.question import ask
from tasks.statistics.bootstrap import family_draws
from tasks.statistics.incremental import incremental_skill
from tests.tasks.asking import task
from tests.tasks.by_hand import IDENTITY, only, said, truth_as_answer, truths

RNG = np.random.default_rng(0)


def test_ranks_are_scored_within_each_fold():
    """Each fold's order is right; between the folds the constants are the wrong way."""
    answers = truths(
        [1.0, 2.0, 3.0, 11.0, 12.0, 13.0], range(6), fold=[0] * 3 + [1] * 3
    )
    fold_means = np.repeat([100.0, 0.0], 3)  # each learned from the other
    tables = {
        "median": said(answers, fold_means),
        "ordered": said(answers, fold_means + np.array([1, 2, 3, 1, 2, 3])),
        "half": said(answers, fold_means + np.array([1, 2, 3, 3, 2, 1])),
    }
    names = ("kendall", "pairwise_accuracy", "spearman")
    rows = evaluate(task(metrics=names), answers, tables, **IDENTITY)
    for name, expected in zip(names, ([1, 0], [1, 0.5], [1, 0]), strict=True):
        found = [only(rows, p, name)["value"] for p in ("ordered", "half")]
        assert found == pytest.approx(expected)
    assert only(rows, "median", "pairwise_accuracy")["value"] == 0.5


def test_as_many_runs_as_levels_are_ranked_like_any_other_number():
    answers = truths(np.arange(7.0), range(7), fold=[0] * 3 + [1] * 4)
    assert len(task().levels) == len(answers.ids)
    tables = {"median": said(answers, 3.0), "right": said(answers, np.arange(7.0))}
    rows = evaluate(task(metrics=("spearman",)), answers, tables, **IDENTITY)
    assert only(rows, "right", "spearman")["value"] == pytest.approx(1)


def three_runs():
    """Return the rows of three predictors about three runs, at two metrics."""
    answers = truths([1.0, 2.0, 4.0], ["a", "a", "b"])
    tables = {
        "median": said(answers, 2.0),  # misses 1, 0, 2: MAE 1
        "one": said(answers, [1.5, 2.0, 3.0]),  # misses .5, 0, 1: MAE .5
        "silent": said(answers, [np.nan, 2.0, np.nan], reasons=["dark", None, "dark"]),
    }
    asked = task(metrics=("mae", "r2"), unit="points", version="7")
    costs = {"one": Cost(observed=0.2, passes=0.25, seconds=0.5, unknown=())}
    return evaluate(
        asked,
        answers,
        tables,
        arguments={"one": {"b": 2, "a": 1}},
        costs=costs,
        resamples=200,
        seed=3,
        **IDENTITY,
    )


def test_three_runs_by_hand():
    rows = three_runs()
    assert rows.schema == COLUMNS
    assert len(rows) == 6
    one = only(rows, "one", "mae")
    # Resampled: only a, MAE .25; only b, 1; both, .5.
    assert (one["value"], one["low"], one["high"]) == (0.5, 0.25, 1.0)
    assert (one["reference"], one["reference_value"]) == ("median", 1.0)
    # Skill of only a: 1 - .25 / .5; of only b: 1 - 1 / 2; of both 1 - .5 / 1.
    assert (one["skill"], one["skill_low"], one["skill_high"]) == (0.5, 0.5, 0.5)
    # a's two runs differ by 1: 1 / sqrt(2) can be had.
    assert one["ceiling"] == pytest.approx(2**-0.5)
    assert one["share_of_attainable"] == pytest.approx(0.5 / (1 - 2**-0.5))
    # Families' mean errors .25 and 1 against .5 and 2: differences -.25 and -1.
    t = np.mean([-0.25, -1]) / (np.std([-0.25, -1], ddof=1) / np.sqrt(2))
    assert one["p"] == pytest.approx(2 * stats.t.sf(abs(t), 1))
    assert one["p_holm"] == one["p"]  # nobody else differs from the median
    assert (one["cost_observed"], one["skill_per_cost"]) == (0.2, 2.0)
    expected = {
        "task": "test/w40",
        "task_version": "7",
        "arguments_json": '{"a": 1, "b": 2}',
        "unit": "points",
        "direction": "min",
        "optimum": 0.0,
        "status": "ok",
        "primary": True,
        "n": 3,
        "families": 2,
        "declined": 0,
        "resamples": 200,
        "seed": 3,
        "runcast_version": __version__,
        **IDENTITY,
    }
    assert {name: one[name] for name in expected} == expected


def test_who_declines_and_a_second_metric_by_hand():
    rows = three_runs()
    silent = only(rows, "silent", "mae")
    assert (silent["value"], silent["declined"], silent["reason"]) == (1.0, 2, "dark")
    assert silent["skill"] == 0.0
    r2 = only(rows, "one", "r2")
    # 1 - 1.25 / (14 / 3)
    assert (r2["value"], r2["unit"], r2["primary"]) == (
        pytest.approx(1 - 1.25 * 3 / 14),
        "1",
        False,
    )
    assert (r2["p"], r2["incremental"]) == (None, None)


def test_values_are_those_of_scipy_and_scikit_learn(some):
    mean = some.values + 0.4 * RNG.normal(size=90)
    names = ("mae", "rmse", "r2", "spearman", "kendall", "crps")
    levels = task().levels
    quantiles = mean[:, None] + stats.norm.ppf(levels) * 0.4
    tables = {"median": said(some, 0.0), "p": said(some, mean, quantiles)}
    rows = evaluate(task(metrics=names), some, tables, resamples=20, **IDENTITY)
    expected = {
        "mae": sk.mean_absolute_error(some.values, mean),
        "rmse": sk.root_mean_squared_error(some.values, mean),
        "r2": sk.r2_score(some.values, mean),
        "spearman": stats.spearmanr(some.values, mean).statistic,
        "kendall": stats.kendalltau(some.values, mean).statistic,
    }
    for name, value in expected.items():
        assert only(rows, "p", name)["value"] == pytest.approx(value)
    # Half the distance of a level's neighbours; at the ends, to the only neighbour.
    widths = np.array([0.05, 0.1, 0.2, 0.25, 0.2, 0.1, 0.05])
    pinball = [
        sk.mean_pinball_loss(some.values, quantiles[:, at], alpha=level)
        for at, level in enumerate(levels)
    ]
    crps = 2 * np.average(pinball, weights=widths)
    assert only(rows, "p", "crps")["value"] == pytest.approx(crps)
    assert "crps" not in rows.filter(predictor="median")["metric"]
    # A point is a distribution without width: its CRPS is its MAE.
    reference = only(rows, "p", "crps")["reference_value"]
    assert reference == pytest.approx(np.abs(some.values).mean())
    constant = only(rows, "median", "spearman")
    assert (constant["status"], constant["value"]) == ("undefined", None)


def test_probabilities_are_scored_as_scikit_learn_does(some):
    event = (some.values > 0).astype(float)
    answers = truths(event, some.families)
    p = 1 / (1 + np.exp(-some.values - RNG.normal(size=90)))
    tables = {"median": said(answers, event.mean()), "p": said(answers, p)}
    asked = task("probability", metrics=("brier", "auc", "auprc"))
    rows = evaluate(asked, answers, tables, resamples=20, **IDENTITY)
    expected = {
        "brier": sk.brier_score_loss(event, p),
        "auc": sk.roc_auc_score(event, p),
        "auprc": sk.average_precision_score(event, p),
    }
    for name, value in expected.items():
        assert only(rows, "p", name)["value"] == pytest.approx(value)
    assert only(rows, "median", "auc")["value"] == 0.5


def test_rows_may_come_in_any_order(some):
    mean = some.values + RNG.normal(size=90)
    reasons = [None] * 90
    mean[4], reasons[4] = np.nan, "dark"
    tables = {
        "median": said(some, 0.0, np.tile(np.arange(7.0), (90, 1))),
        "p": said(some, mean, reasons=reasons),
    }
    shuffled = {
        name: table.sample(fraction=1.0, shuffle=True, seed=5).select(
            sorted(table.columns)
        )
        for name, table in reversed(tables.items())
    }
    asked = task(metrics=("mae", "spearman", "kendall", "crps", "coverage"))
    known = RNG.normal(size=(90, 3))
    first, again = (
        evaluate(asked, some, t, controls=known, resamples=50, **IDENTITY)
        for t in (tables, shuffled)
    )
    assert_frame_equal(first, again, check_exact=True)
    changed = tables["p"].with_columns(pl.col("prediction") + 1e-12)
    assert digest(changed) != digest(tables["p"]) == digest(shuffled["p"])


def test_intervals_are_paired(some):
    mean = some.values + 0.2 * RNG.normal(size=90)
    tables = {
        "median": said(some, 0.0),
        "half": said(some, some.values / 2),  # half the median's error in every run
        "p": said(some, mean),
    }
    rows = evaluate(task(), some, tables, resamples=100, seed=4, **IDENTITY)
    half = only(rows, "half", "mae")
    assert (half["skill_low"], half["skill_high"]) == pytest.approx((0.5, 0.5))
    assert half["high"] > 1.2 * half["low"]
    # A loop over the same draws.
    members = [np.arange(90).reshape(30, 3)[f] for f in range(30)]
    skills = []
    for draw in family_draws(30, 100, 4):
        at = np.concatenate([members[f] for f in draw])
        errors = np.abs(mean - some.values)[at], np.abs(some.values)[at]
        skills.append(1 - errors[0].mean() / errors[1].mean())
    row = only(rows, "p", "mae")
    assert (row["skill_low"], row["skill_high"]) == pytest.approx(
        tuple(np.quantile(skills, [0.025, 0.975]))
    )


def test_declining_never_pays_and_is_counted(some):
    reference = said(some, 0.1, np.tile(np.linspace(-2, 2, 7), (90, 1)))
    mean, quantiles = some.values.copy(), np.tile(some.values[:, None], 7)
    mean[:30], quantiles[:40] = np.nan, np.nan
    reasons = ["too short"] * 10 + ["dark"] * 20 + [None] * 60
    tables = {
        "median": reference,
        "partly": said(some, mean, quantiles, reasons),
        "never": said(some, np.nan, reasons=["no curvature"] * 90),
    }
    names = ("mae", "spearman", "crps")
    rows = evaluate(
        task(metrics=names),
        some,
        tables,
        controls=RNG.normal(size=(90, 2)),
        resamples=50,
        **IDENTITY,
    )
    partly = only(rows, "partly", "mae")
    assert (partly["declined"], partly["reason"]) == (30, "dark")
    expected = np.abs(some.values[:30] - 0.1).sum() / 90
    assert partly["value"] == pytest.approx(expected)
    by_quantiles = only(rows, "partly", "crps")
    assert by_quantiles["declined"] == 40
    whole = evaluate(
        task(metrics=("crps",)),
        truths(some.values[:40], some.families[:40]),
        {"median": reference.head(40)},
        resamples=5,
        **IDENTITY,
    )
    assert by_quantiles["value"] == pytest.approx(whole["value"][0] * 40 / 90)
    for name in ("mae", "spearman"):
        never = only(rows, "never", name)
        assert (never["status"], never["declined"]) == ("declined", 90)
        assert never["reason"] == "no curvature"
        absent = ("value", "low", "skill", "p", "p_holm", "incremental")
        assert [never[column] for column in absent] == [None] * 6
    assert "crps" not in rows.filter(predictor="never")["metric"]


def test_p_values_are_adjusted_over_the_predictors(some):
    tables = {"median": said(some, 0.0)}
    for spread in (0.2, 0.9, 1.1):
        tables[f"p{spread}"] = said(some, some.values + spread * RNG.normal(size=90))
    rows = evaluate(task(), some, tables, resamples=20, **IDENTITY).drop_nulls("p")
    p = rows.sort("p")["p"].to_numpy()
    by_family = {
        name: np.abs(table["prediction"].to_numpy() - some.values).reshape(30, 3)
        for name, table in tables.items()
    }
    expected = {
        name: stats.ttest_rel(error.mean(1), by_family["median"].mean(1)).pvalue
        for name, error in by_family.items()
        if name != "median"
    }
    found = dict(rows.select("predictor", "p").rows())
    assert found == pytest.approx(expected)
    holm = np.minimum(np.maximum.accumulate(p * [3, 2, 1]), 1)
    np.testing.assert_allclose(rows.sort("p")["p_holm"], holm)


def test_ranks_are_tested_by_their_resamples(some):
    noise = RNG.normal(size=90)
    tables = {
        "median": said(some, noise),
        "good": said(some, some.values + 0.3 * noise),
        "same": said(some, noise**3),  # the same order
    }
    asked = task(metrics=("spearman", "mae"))
    rows = evaluate(asked, some, tables, resamples=300, **IDENTITY)
    assert only(rows, "good", "spearman")["p_holm"] < 1e-4
    same = only(rows, "same", "spearman")
    assert (same["p"], same["skill"]) == (None, 0.0)


def test_incremental_skill_is_that_of_each_prediction_alone(some):
    known = np.column_stack([some.values + 0.5 * RNG.normal(size=90)])
    tables = {
        "median": said(some, 0.0),
        "news": said(some, some.values + 0.1 * RNG.normal(size=90)),
        "old": said(some, 2 * known[:, 0] + 1),
    }
    rows = evaluate(task(), some, tables, controls=known, resamples=60, **IDENTITY)
    for name, table in tables.items():
        signal = table["prediction"].to_numpy()
        alone = incremental_skill(
            some.values, known, signal, some.families, resamples=60
        ).skill
        row = only(rows, name, "mae")
        found = [row[f"incremental{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx(
            [float(alone.value), float(alone.low), float(alone.high)], abs=1e-9
        )
    assert only(rows, "news", "mae")["incremental_low"] > 0.5
    assert abs(only(rows, "old", "mae")["incremental"]) < 0.02
    assert abs(only(rows, "median", "mae")["incremental"]) < 1e-12


def test_decisions_about_losses_prefer_small_ones():
    answers = truths([0.5, 1.0, 2.0, 3.0], ["a", "b", "c", "d"])
    tables = {"median": said(answers, 1.0), "oracle": said(answers, answers.values)}
    for unit, share in (("ln nat", 0.6 * 0.75), ("accuracy", 0.6 * 0.75)):
        asked = task(metrics=("compute_saved",), unit=unit)
        rows = evaluate(asked, answers, tables, resamples=10, **IDENTITY)
        assert only(rows, "oracle", "compute_saved")["value"] == pytest.approx(share)
    turned = {**tables, "turned": said(answers, -answers.values)}
    asked = task(metrics=("compute_saved",), unit="ln nat")
    rows = evaluate(asked, answers, turned, resamples=10, **IDENTITY)
    assert only(rows, "turned", "compute_saved")["value"] == 0.0


def test_a_target_about_replicates_has_no_ceiling(some):
    asked = task(target=Part("deviation", {}))
    tables = {"median": said(some, 0.0)}
    row = only(evaluate(asked, some, tables, resamples=5, **IDENTITY), "median", "mae")
    assert (row["ceiling"], row["share_of_attainable"]) == (None, None)


def test_the_reference_must_answer_everything(some):
    with pytest.raises(ValueError, match="not among the predictions of"):
        evaluate(task(), some, {"p": said(some, 0.0)}, **IDENTITY)
    silent = said(some, [np.nan] * 90, reasons=["dark"] * 90)
    with pytest.raises(ValueError, match=r"declines 90 example.*dark"):
        evaluate(task(), some, {"median": silent}, **IDENTITY)


def test_truth_reaches_every_optimum_and_the_constant_has_no_skill(everything):
    asked_of = 0
    for name in TASKS.names():
        one = TASKS.get(name)()
        if unavailable(one, everything):
            continue
        asked_of += 1
        question, answers = ask(everything, one)
        constant = answer(question, Part("median")).table
        tables = {one.reference: constant, "oracle": truth_as_answer(one, answers)}
        rows = evaluate(one, answers, tables, resamples=20, **IDENTITY)
        for row in rows.filter(predictor="oracle").iter_rows(named=True):
            where = f"{name} {row['metric']}"
            if metric(row["metric"]).direction == "near":
                assert row["value"] == 1.0, where  # certain, and right
                continue
            assert row["value"] == pytest.approx(row["optimum"], abs=1e-9), where
            assert row["skill"] in (None, pytest.approx(1.0)), where
        of_reference = rows.filter(predictor=one.reference)
        assert set(of_reference["skill"].drop_nulls()) <= {0.0}, name
        assert of_reference["skill"][0] == 0.0, name
    assert asked_of > 15


def test_rows_survive_parquet_and_json(tmp_path, some):
    rows = evaluate(task(), some, {"median": said(some, 0.0)}, resamples=5, **IDENTITY)
    rows.write_parquet(tmp_path / "rows.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "rows.parquet"), rows)
    assert json.loads(rows["arguments_json"][0]) == {}
