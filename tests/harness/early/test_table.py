"""The table of early signals, long and wide."""

import json

import numpy as np
import polars as pl
import pytest

from harness.early.curves import early_curves
from harness.early.power_law import power_law
from harness.early.table import COLUMNS, early_signals, wide
from harness.measure import NO_WINDOW, OK, Estimates
from harness.registry import CURVE_SIGNALS
from harness.spec import Part


def three(curves, *, factor: int = 3):
    """Not an early signal: returns something else."""
    return factor


def test_rows_are_sorted_by_run_and_then_by_signal_as_asked(long_corpus, long_records):
    frame = early_signals(long_corpus, 0.5, ["sotl", "power_law", "last_loss"])
    assert frame.schema == COLUMNS
    good = sorted(r.config.run_id for r in long_records if r.status != "failed")
    assert frame["run_id"].unique(maintain_order=True).to_list() == good
    signals = [
        part["signal"].to_list()
        for part in frame.partition_by("run_id", maintain_order=True)
    ]
    assert signals == [signals[0]] * len(good)
    assert signals[0][:3] == ["sotl.tse", "sotl.predictor", "power_law.alpha"]
    assert signals[0][-1] == "last_loss"


def test_a_row_says_what_the_function_said(long_corpus):
    block = next(early_curves(long_corpus, 0.5))
    found = power_law(block, first=2.0)
    frame = early_signals(long_corpus, 0.5, [Part("power_law", {"first": 2})])
    for row, run_id in enumerate(block.run_ids):
        part = frame.filter(run_id=run_id, signal="power_law.alpha").to_dicts()[0]
        estimate = found.at(row, "alpha")
        assert (part["value"], part["se"]) == (estimate.value, estimate.se)
        assert (part["status"], part["n"]) == (estimate.status, estimate.n)
        assert (part["window_first"], part["window_last"]) == estimate.window
        assert part["estimator_version"] == estimate.estimator_version
        params = {"first": 2, "last": 15, "until": 0.5}
        assert json.loads(part["params_json"]) == params


def test_last_stands_for_every_recorded_signal_or_for_one(long_corpus, long_records):
    every = early_signals(long_corpus, 0.5, ["last"])
    assert every["signal"].unique().sort().to_list() == [
        f"last/{name}"
        for name in (
            "grad_norm",
            "lambda_1",
            "noise_scale",
            "train_accuracy_eval",
            "train_ce",
            "train_loss_eval",
            "val_accuracy",
            "val_loss",
        )
    ]
    one = early_signals(long_corpus, 0.5, ["last/noise_scale"])
    part = Part("last", {"signal": "noise_scale"})
    assert one.equals(early_signals(long_corpus, 0.5, [part]))
    assert one.equals(every.filter(signal="last/noise_scale"))
    record = long_records[0]
    steps, values = record.curves["noise_scale"]
    row = one.filter(run_id=record.config.run_id).to_dicts()[0]
    assert row["value"] == values[steps <= record.num_steps // 2][-1]
    assert row["unit"] == "image"


def test_without_names_every_registered_signal_is_there(long_corpus, long_records):
    ids = [r.config.run_id for r in long_records[:1]]
    frame = early_signals(long_corpus, run_ids=ids)
    families = {name.split(".")[0].split("/")[0] for name in frame["signal"]}
    assert families == set(CURVE_SIGNALS.names())
    assert not frame.select("run_id", "signal").is_duplicated().any()
    assert {json.loads(text)["until"] for text in frame["params_json"]} == {0.2}


def test_no_names_and_no_runs_give_an_empty_table(long_corpus):
    for arguments in ({"names": []}, {"run_ids": []}):
        frame = early_signals(long_corpus, **arguments)
        assert frame.schema == COLUMNS
        assert not len(frame)


def test_wide_has_a_row_a_run_and_a_column_a_signal(long_corpus):
    frame = early_signals(long_corpus, 0.5, ["power_law", "last_loss"])
    table = wide(frame)
    assert table.columns[0] == "run_id"
    assert table.columns[1:] == frame["signal"].unique(maintain_order=True).to_list()
    assert table["run_id"].is_sorted()
    for run_id, signal, value in frame.select("run_id", "signal", "value").rows():
        assert table.filter(run_id=run_id)[signal][0] == value
    assert table["last_loss"].null_count() == 2
    both = pl.concat([frame, early_signals(long_corpus, 0.4, ["last_loss"])])
    with pytest.raises(ValueError, match="'last_loss' stands more than once for"):
        wide(both)


def test_a_signal_of_your_own_is_a_function(long_corpus):
    frame = early_signals(long_corpus, 0.5, [f"{__name__}:last_rate"])
    assert frame["signal"].unique().to_list() == [f"{__name__}:last_rate.rate"]
    assert frame["value"].count() == 14  # two diverged, two lack it


def last_rate(curves):
    """Return the rate at the end of the window."""
    value = curves.rate[:, -1].astype(np.float64)
    return Estimates(
        estimator="last_rate",
        estimator_version="1",
        units={"rate": "1"},
        values={"rate": value},
        status=np.where(np.isfinite(value), OK, NO_WINDOW),
        n=np.ones(len(curves), np.int64),
        window=np.full((len(curves), 2), float(curves.end)),
    )


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("power_laws", KeyError, "no curve signal is called 'power_laws'; did you"),
        ("last/val_los", KeyError, "no recorded signal is called 'val_los' .*val_loss"),
        ("sotl/val_loss", TypeError, "takes no argument 'signal'"),
        (Part("sotl_e", {"epochs": 2}), TypeError, "'epochs'; did you mean 'last_ep"),
        (f"{__name__}:three", TypeError, "returned int; expected harness.measure.Est"),
    ],
)
def test_wrong_names_and_functions_are_refused(long_corpus, name, error, match):
    with pytest.raises(error, match=match):
        early_signals(long_corpus, 0.2, [name])
