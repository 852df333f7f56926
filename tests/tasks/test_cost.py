import polars as pl
import pytest

from harness.corpus import Corpus
from tasks.cost import cost, measurements
from tasks.prediction import Charge
from tests.tasks.asking import task

ROWS = [  # name, probe, params, share of passes, share of seconds
    ("train_loss", "train", "{}", None, 0.01),
    ("lr", "train", "{}", None, 0.01),
    ("val_loss", "evaluate", "{}", None, 0.8),
    ("val_accuracy", "evaluate", "{}", None, 0.8),
    ("train_loss_eval", "evaluate", "{}", None, 0.8),
    ("lambda_1", "hessian", "{}", 2.0, 3.0),
    ("hessian_trace", "hessian", "{}", 2.0, 3.0),
    ("dirvar", "update_direction", "{}", 0.0, 0.04),
    ("foreign", "elsewhere", "{}", None, None),
]
SIGNALS = pl.DataFrame(
    ROWS,
    schema=[
        "name",
        "probe",
        "params_json",
        "probe_share_of_train_passes",
        "probe_share_of_train_seconds",
    ],
    orient="row",
)
RUNS = pl.DataFrame(
    {
        "run_id": ["a", "b"],
        "num_steps": [100, 100],
        "batch_size": [10, 10],
        "dataset.validation_size": [50, 50],
        "dataset.train_size": [40, 400],
        "recording.train_subset": [100, 100],
    }
)
EVALUATIONS = ("val_loss", "val_accuracy", "train_loss_eval")
COUNTS = pl.DataFrame(
    [
        (run, name, 10, early)
        for run in ("a", "b", "another corpus's")
        for name, early in [
            *((name, 3) for name in EVALUATIONS),
            ("lambda_1", 4),
            ("hessian_trace", 5),
            ("dirvar", 2),
            ("foreign", 1),
        ]
    ],
    schema=["run_id", "signal", "n", "n_early"],
    orient="row",
)


def price(*signals, **visibility):
    charge = Charge(signals=None if signals == (None,) else signals, settings=True)
    asked = task(until=0.2, visibility=visibility)
    return cost(asked, charge, runs=RUNS, signals=SIGNALS, counts=COUNTS)


def test_watching_a_run_costs_its_part():
    for used in ((), ("lr",), ("train_loss", "not recorded")):
        assert price(*used).columns() == {
            "cost_observed": 0.2,
            "cost_passes": 0.2,
            "cost_seconds": 0.2,
            "cost_unknown": None,
        }


def test_who_reads_no_curve_pays_nothing():
    charge = Charge(signals=None, curves=False)
    found = cost(task(until=0.2), charge, runs=RUNS, signals=SIGNALS, counts=COUNTS)
    assert (found.observed, found.passes, found.seconds) == (0, 0, 0)


def test_a_probe_is_paid_once_by_its_measurements_in_the_window():
    one = price("lambda_1")  # 4 of 10 measurements
    assert (one.passes, one.seconds) == pytest.approx((0.2 + 0.8, 0.2 + 1.2))
    both = price("lambda_1", "hessian_trace")  # 5 of 10, not 9
    assert (both.passes, both.seconds) == pytest.approx((0.2 + 1.0, 0.2 + 1.5))
    more = price("lambda_1", "hessian_trace", "dirvar")
    assert (more.passes, more.seconds) == pytest.approx((1.2, 1.7 + 0.008))


def test_evaluations_cost_their_images():
    # 2 runs x 3 evaluations of 50 images forward, of 3 x 2 x 1,000 images trained on.
    passes = 300 / 6000
    # All their images are 10 x (50 + 40) and 10 x (50 + 100): 2,400.
    seconds = 0.8 * 300 / 2400
    for used in (("val_loss",), ("val_accuracy",), ("val_loss", "val_accuracy")):
        found = price(*used)
        assert (found.passes, found.seconds) == pytest.approx(
            (0.2 + passes, 0.2 + seconds)
        )
    subset = price("train_loss_eval")  # 3 x 40 and 3 x 100
    assert subset.passes == pytest.approx(0.2 + 420 / 6000)
    assert subset.seconds == pytest.approx(0.2 + 0.8 * 420 / 2400)


def test_everything_shown_is_charged_to_who_declares_nothing():
    shown = ("val_loss", "lambda_1")
    assert price(None, signals=shown) == price(*shown)
    assert price("lambda_1", "val_loss", signals=("lambda_1",)) == price("lambda_1")


def test_a_price_that_is_not_known_is_named():
    found = price("foreign", "lambda_1")
    assert (found.observed, found.passes, found.seconds) == (0.2, None, None)
    assert found.unknown == ("elsewhere (passes)", "elsewhere (seconds)")
    half = SIGNALS.filter(pl.col("name") == "val_loss")
    bare = RUNS.drop("recording.train_subset")
    charge = Charge(signals=("val_loss",), settings=True)
    known = cost(task(until=0.2), charge, runs=bare, signals=half, counts=COUNTS)
    assert known.columns()["cost_unknown"] == "evaluate (passes), evaluate (seconds)"


def test_measurements_count_values_by_window(corpus: Corpus):
    table = measurements(corpus, 0.4)
    assert set(table["signal"]) == {"val_loss", "val_accuracy"}
    completed = corpus.runs().filter(pl.col("status") == "completed")["run_id"]
    some = table.filter(pl.col("run_id").is_in(completed.to_list()))
    # Every 5 of 100 steps, from 0: 21 values, 9 until step 40.
    assert set(some.select("n", "n_early").rows()) == {(21, 9)}


def test_a_signal_that_comes_after_the_window_is_free():
    late = COUNTS.with_columns(n_early=pl.lit(0))
    charge = Charge(signals=("lambda_1", "foreign"), settings=True)
    found = cost(task(until=0.2), charge, runs=RUNS, signals=SIGNALS, counts=late)
    assert (found.passes, found.unknown) == (0.2, ())
