"""The noise showdown against naive computations and on planted corpora."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import kstest, rankdata, spearmanr

from harness.corpus import Corpus
from harness.early.curves import early_curves
from harness.errors import DataError
from harness.measure import Floats
from harness.publish import build
from harness.record import Curve, RunRecord
from harness.schema import Signal
from harness.seeds import stream
from tasks.showdown.correlations import STATISTICS, Rows, alike, correlations
from tasks.showdown.signals import mean, showdown_signals, signal_costs
from tasks.showdown.table import COLUMNS, showdown
from tasks.showdown.view import showdown_figure, showdown_text
from tasks.statistics.multiplicity import holm
from tests.harness.conftest import EPOCHS, STEPS_PER_EPOCH, record

RATES = tuple(np.geomspace(0.01, 2.0, 10).round(4).tolist())
SEEDS = 3
NAMES = ("knows", "follows", "breaks")
FINAL, SHIFTED = "final.test_accuracy", "ood.corrupted_accuracy"


def planted(optimizer: str, rate: float, seed: int) -> RunRecord:
    """Return a run that ends as its rate and a hidden number of its family say.

    `knows` sees the hidden number, `follows` sees the rate, `breaks` sees the hidden
    number but is not finite, or not there, at some rates.
    """
    run = record(seed, optimizer=optimizer, lr=rate)
    hidden = stream(7, f"hidden/{optimizer}/{rate}").standard_normal()
    noise = stream(seed, f"noise/{optimizer}/{rate}").standard_normal(9)
    level = math.log(rate) + 0.7 * hidden + 0.2 * noise[0]
    correct = round(1000 / (1 + math.exp(-level)))
    steps = np.array([0, 10, 20, 50, 100], np.int32)
    seen = {
        "knows": hidden + 0.3 * noise[1],
        "follows": math.log(rate) + 0.3 * noise[2],
        "breaks": math.nan if rate == RATES[3] else hidden + 0.3 * noise[3],
    }
    curves = {
        name: Curve(steps, (value + 0.1 * noise[4:]).astype(np.float32))
        for name, value in seen.items()
        if name != "breaks" or rate != RATES[5]
    }
    about: dict[str, Any] = {"meaning": "planted", "unit": "1", "range": "(-inf, inf)"}
    signals = [Signal(name=n, probe="planted", **about) for n in NAMES]
    return dataclasses.replace(
        run,
        curves=run.curves | curves,
        signals=tuple(signals),
        final=run.final | {"test_correct": correct, "test_n": 1000},
        costs={
            "train_s": 2.0,
            "eval_s": 1.0,
            "train_images": 3000.0,
            "probe.planted_s": 0.5,
            "probe.planted_forward_images": 150.0,
            "probe.planted_backward_images": 150.0,
        },
    )


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Twenty families of three seeds with planted signals."""
    folder: Path = tmp_path_factory.mktemp("showdown") / "corpus"
    for optimizer in ("sgd", "adamw"):
        for rate in RATES:
            for seed in range(SEEDS):
                planted(optimizer, rate, seed).save(folder / "shards")
    build(folder, name="planted", grids={})
    return Corpus.open(folder)


@pytest.fixture(scope="module")
def table(studied: Corpus) -> pl.DataFrame:
    """The showdown of the planted corpus."""
    return showdown(studied, resamples=300)


def numbers(table: pl.DataFrame, name: str) -> Floats:
    """Return a column without what is missing."""
    return table[name].drop_nulls().to_numpy()


def row(table: pl.DataFrame, signal: str, target: str = FINAL) -> dict[str, Any]:
    """Return one row."""
    chosen = (pl.col("signal") == signal) & (pl.col("target") == target)
    return table.row(by_predicate=chosen, named=True)


def test_settings_explain_a_signal_that_follows_them_and_not_one_that_knows_more(
    table: pl.DataFrame,
) -> None:
    knows, follows = row(table, "last/knows"), row(table, "mean/follows")
    assert follows["spearman"] > 0.7
    assert follows["spearman_p_holm"] < 0.01
    assert abs(follows["partial"]) < 0.3
    assert follows["partial_p"] > 0.05
    assert follows["partial_low"] < 0 < follows["partial_high"]
    assert knows["partial"] > 0.8
    assert knows["partial_p_holm"] < 0.001
    assert 0.5 < knows["partial_low"] < knows["partial"] < knows["partial_high"] < 1
    assert knows["levels"] is None  # every rate is a dummy: two families each


def test_correlations_are_those_of_scipy_and_of_least_squares_on_ranks(
    studied: Corpus, table: pl.DataFrame
) -> None:
    runs = studied.runs().sort("run_id")
    signals = showdown_signals(studied, 0.2).filter(signal="last/knows")
    x = signals.sort("run_id")["value"].to_numpy()
    y = runs[FINAL].to_numpy()
    ones = np.ones(len(y))
    lr = rankdata(runs["optimizer.lr"].to_numpy())
    controls = np.stack([ones, lr, runs["optimizer.name"].to_numpy() == "sgd"], axis=1)
    left = []
    for column in (rankdata(x), rankdata(y)):
        left.append(column - controls @ np.linalg.lstsq(controls, column)[0])
    found = row(table, "last/knows")
    assert found["spearman"] == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert found["partial"] == pytest.approx(np.corrcoef(left)[0, 1], abs=1e-9)


def test_every_signal_meets_every_target_once_and_the_primary_ones_are_marked(
    studied: Corpus, table: pl.DataFrame
) -> None:
    assert table.schema == COLUMNS
    assert not table.select("signal", "target").is_duplicated().any()
    assert table["target"].unique(maintain_order=True).to_list() == [FINAL, SHIFTED]
    assert table["primary"].to_list() == (table["target"] == FINAL).to_list()
    names = set(table["signal"])
    assert {"power_law.alpha", "last/val_loss", "mean/val_loss"} <= names
    assert not any(name.endswith(("_se", "_residual")) for name in names)
    later = showdown(studied, until=0.5, targets=[FINAL], resamples=20)
    assert not later["primary"].any()


def test_runs_without_a_value_are_counted_by_their_reason(table: pl.DataFrame) -> None:
    for name in ("last/breaks", "mean/breaks"):
        found = row(table, name)
        each = 2 * SEEDS  # runs of one rate
        assert found["missing"] == f"diverged {each}, too_short {each}"
        assert found["n"] == 2 * SEEDS * len(RATES) - 2 * each
        assert found["families"] == found["n"] / SEEDS
        assert found["status"] == "ok"
    never = row(table, "last/train_ce")
    assert (never["status"], never["n"], never["families"]) == ("too_short", 0, 0)
    assert never["partial"] is None
    valued = table.filter(status="ok").select("spearman", "partial", "partial_p_holm")
    assert valued.null_count().sum_horizontal().item() == 0


def test_a_signal_that_does_not_vary_or_is_a_setting_has_no_correlation(
    studied: Corpus, table: pl.DataFrame
) -> None:
    # Validation curves of the synthetic runs are all alike.
    found = row(table, "last/val_loss")
    assert (found["status"], found["partial"]) == ("not_applicable", None)
    assert found["partial_p"] is None


def test_p_values_are_adjusted_over_all_signals_and_targets(
    table: pl.DataFrame,
) -> None:
    for name in ("spearman_p", "partial_p"):
        tested = numbers(table, name)
        lowest = table.filter(pl.col(name) == tested.min())[f"{name}_holm"].to_list()
        assert lowest == pytest.approx([tested.min() * len(tested)], rel=1e-9)
        assert (table[f"{name}_holm"] >= table[name]).drop_nulls().all()


def test_negative_controls_are_null_where_the_signal_is_not(
    table: pl.DataFrame,
) -> None:
    for name in ("last/knows", "mean/knows", "last/breaks"):
        assert row(table, name)["partial_p"] < 1e-3
    for name in ("shuffled_p", "wrong_run_p"):
        tested = numbers(table, name)
        assert len(tested) == table.filter(status="ok").height
        assert (tested < 0.05).mean() < 0.2
        assert holm(tested).min() > 0.05


def test_a_row_does_not_depend_on_the_other_targets_nor_on_the_call(
    studied: Corpus, table: pl.DataFrame
) -> None:
    alone = showdown(studied, targets=[FINAL], resamples=300)
    shared = [c for c in COLUMNS if not c.endswith("_holm")]
    both = table.filter(target=FINAL)
    assert alone.select(shared).equals(both.select(shared))


def synthetic(random: np.random.Generator, levels: int, signals: int) -> Rows:
    """Return runs that end badly at both ends of the rates, with signals that do too.

    Each of 6 families a rate has three runs, and a number of its own in each variable.
    """
    rate = np.repeat(np.arange(levels, dtype=np.float64), 6 * SEEDS)
    families = np.repeat(np.arange(levels * 6), SEEDS)
    hump = -((rate - rate.mean()) ** 2) / levels
    own = random.standard_normal((signals + 1, levels * 6))[:, families]
    values = hump + 0.5 * own + 0.2 * random.standard_normal(own.shape)
    names = [f"signal {i}" for i in range(signals)]
    as_text = rate.astype(str)
    return Rows(names, values[1:], values[0], families, [rate], [], [as_text])


def test_dummies_hold_a_hump_fixed_that_ranks_leave() -> None:
    part = synthetic(stream(0, "test/hump"), levels=8, signals=40)
    found = pl.DataFrame(correlations(part, resamples=300, seed=0))
    plain, partial, levels = (numbers(found, n) for n in STATISTICS)
    assert partial.mean() == pytest.approx(plain.mean(), abs=0.05)
    assert partial.min() > 0.3
    assert abs(levels.mean()) < 0.15
    assert (numbers(found, "levels_p") < 0.01).mean() < 0.1


def test_p_values_of_signals_that_know_nothing_are_uniform() -> None:
    shares = []
    for i in range(6):
        part = synthetic(stream(i, "test/null"), levels=8, signals=30)
        found = pl.DataFrame(correlations(part, resamples=200, seed=i))
        shares.append(found.select("levels_p", "shuffled_p", "wrong_run_p"))
    together = pl.concat(shares)
    for name in ("shuffled_p", "wrong_run_p"):
        p = numbers(together, name)
        assert kstest(p, "uniform").pvalue > 0.001
        assert 0.01 < (p < 0.05).mean() < 0.12
    # All signals of a part share its truth, so that these p-values hang together.
    assert (numbers(together, "levels_p") < 0.05).mean() < 0.12


def test_replicates_stay_together_when_families_exchange_a_signal() -> None:
    part = synthetic(stream(0, "test/exchange"), levels=8, signals=1)
    constant = part._replace(signals=part.families[None].astype(np.float64))
    numbered = correlations(constant, resamples=20, seed=0)
    assert abs(numbered[0]["shuffled"]) < 0.5
    assert numbered[0]["families"] == 48


def test_too_few_families_for_the_controls_give_no_correlation() -> None:
    part = synthetic(stream(0, "test/few"), levels=8, signals=2)
    few = part._replace(categories=[part.families % 30])
    assert correlations(few, resamples=10, seed=0) == [{"families": 48}] * 2


def test_a_rate_that_some_runs_lack_is_held_fixed_with_a_dummy() -> None:
    known = pl.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(4)],
            "value": [0.1, 0.2, 0.3, 0.4],
            "family_id": list("abcd"),
            "optimizer.lr": [0.1, None, 0.3, 0.2],
            "optimizer.name": ["sgd"] * 4,
        }
    )
    long = pl.DataFrame({"run_id": known["run_id"], "signal": "s", "value": 1.0})
    (part,) = alike(known, long)
    assert part.numeric[0].tolist() == [0.1, 0.1, 0.3, 0.2]
    assert [c.tolist() for c in part.categories] == [[False, True, False, False]]
    assert part.levels[0].tolist() == ["0.1 sgd", " sgd", "0.3 sgd", "0.2 sgd"]


def test_the_mean_is_over_the_window_and_needs_finite_values(studied: Corpus) -> None:
    (curves,) = early_curves(studied, 0.2)
    found = mean(curves, signal="breaks")
    rates = dict(studied.runs(["run_id", "optimizer.lr"]).rows())
    for i, run_id in enumerate(curves.run_ids):
        where = slice(*curves.recorded["breaks"].offsets[i : i + 2])
        values = curves.recorded["breaks"].values[where].astype(np.float64)
        expected = {RATES[3]: "diverged", RATES[5]: "too_short"}.get(rates[run_id])
        assert found.status[i] == (expected or "ok")
        if expected is None:
            assert found["mean"][i] == pytest.approx(values.mean(), abs=1e-6)
            assert found.window[i].tolist() == [0, 20]


def test_a_probe_costs_the_share_of_its_measurements_in_the_window(
    studied: Corpus, table: pl.DataFrame
) -> None:
    costs = {r["source"]: r for r in signal_costs(studied, 0.2).iter_rows(named=True)}
    # 3 of 5 measurements; 150 + 2 * 150 forward passes of 3 * 3000; 0.5 s of 2 s
    assert costs["knows"]["cost_passes"] == pytest.approx(0.05 * 3 / 5)
    assert costs["knows"]["cost_seconds"] == pytest.approx(0.25 * 3 / 5)
    assert costs["breaks"] == costs["knows"] | {"source": "breaks"}
    assert costs["grad_norm"]["cost_seconds"] == 0
    assert costs["val_loss"]["cost_passes"] is None
    assert costs["val_loss"]["cost_seconds"] == pytest.approx(0.5 * 5 / 21)
    assert row(table, "mean/knows")["cost_passes"] == pytest.approx(0.03)
    assert row(table, "power_law.alpha")["cost_passes"] == 0
    assert EPOCHS * STEPS_PER_EPOCH == 100


def test_an_unknown_target_is_refused(studied: Corpus) -> None:
    with pytest.raises(DataError, match=r"no values of 'final\.beauty'"):
        showdown(studied, targets=["final.beauty"], resamples=10)


def test_a_corpus_of_six_families_with_divergence_is_studied(corpus: Corpus) -> None:
    found = showdown(corpus, resamples=50)
    assert set(found["status"]) == {"ok", "too_short", "not_applicable"}
    assert row(found, "sotl.tse")["families"] == 6
    assert showdown_text(found)


def test_the_text_shows_the_strongest_first_and_what_is_missing(
    table: pl.DataFrame,
) -> None:
    text = showdown_text(table, limit=2)
    lines = text.splitlines()
    assert lines[0] == f"{FINAL} from the first 20 % (primary hypothesis: Spearman)"
    assert {lines[2].split()[0], lines[3].split()[0]} == {"last/knows", "mean/knows"}
    assert lines[2].split()[-4:] == ["3.0", "%", "15.0", "%"]
    assert f"and {table.filter(target=FINAL, status='ok').height - 2} weaker" in lines
    assert text.count("negative control") == 4
    assert "last/train_ce" in text
    assert f"{SHIFTED} from the first 20 %" in lines


def test_the_figure_has_a_panel_a_target_and_a_row_a_signal(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    figure = showdown_figure(table)
    figure.savefig(tmp_path / "showdown.png")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"{FINAL} (primary)",
        SHIFTED,
    ]
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert {labels[0], labels[1]} == {"last/knows", "mean/knows"}
    assert "last/breaks (48 runs)" in labels
    costs = {text.get_text() for text in figure.axes[-1].texts}
    assert {"3.0 %", "15.0 %", "free"} <= costs
    assert len(figure.legends[0].get_texts()) == 5


def test_nothing_to_draw_is_said(table: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="nothing to draw"):
        showdown_figure(table.filter(status="too_short"))
