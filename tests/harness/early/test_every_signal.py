"""Promises that every registered curve signal keeps."""

import dataclasses
import inspect
import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from harness.early.curves import early_curves, last_step
from harness.early.table import early_signals
from harness.measure import OK
from harness.record import Curve
from harness.registry import CURVE_SIGNALS, settable
from harness.seeds import stream
from tests.harness.early.conftest import cut, diverged, save

WINDOWS = (0.04, 0.37, 0.5)
EVERY = pytest.mark.parametrize("name", CURVE_SIGNALS.names())


@pytest.fixture(scope="module")
def signals(long_corpus):
    """Every signal of every run at every window."""
    return {until: early_signals(long_corpus, until) for until in (*WINDOWS, 1.0)}


def scrambled(record, last):
    """Return the run with noise of another course in place of what came after."""
    noise = stream(7, record.config.run_id)
    curves = {
        name: Curve(
            steps,
            np.where(
                steps <= last, values, noise.standard_normal(len(steps)) * 9
            ).astype(np.float32),
        )
        for name, (steps, values) in record.curves.items()
    }
    return dataclasses.replace(record, curves=curves)


def mutated(record, until, how):
    if record.status == "failed":
        return record
    last = int(last_step(until, record.num_steps))
    if how == "cut":
        return cut(record, last)
    if how == "scrambled":
        return scrambled(record, last)
    if record.status == "completed":
        return diverged(record, min(1.0, until + 0.05))
    return record


@pytest.mark.parametrize(
    ("until", "how"),
    [
        (0.04, "scrambled"),
        (0.37, "cut"),
        (0.37, "scrambled"),
        (0.37, "diverged"),
        (0.5, "scrambled"),
    ],
)
def test_nothing_after_the_window_enters_a_signal(
    tmp_path, long_records, long_corpus, signals, until, how
):
    other = save([mutated(r, until, how) for r in long_records], tmp_path / "c")
    for a, b in zip(
        early_curves(long_corpus, until), early_curves(other, until), strict=True
    ):
        assert_same(a, b)
    if until == 0.37:
        assert_bitwise(early_signals(other, until), signals[until])


def assert_same(a, b):
    assert (a.run_ids, a.end, a.num_steps) == (b.run_ids, b.end, b.num_steps)
    assert a.loss.tobytes() == b.loss.tobytes()
    assert a.rate.tobytes() == b.rate.tobytes()
    assert a.recorded.keys() == b.recorded.keys()
    for name, curve in a.recorded.items():
        for field in ("offsets", "steps", "values"):
            left, right = getattr(curve, field), getattr(b.recorded[name], field)
            assert left.tobytes() == right.tobytes(), name


def assert_bitwise(a, b):
    assert_frame_equal(a, b, check_exact=True)


@pytest.fixture(scope="module")
def blocks(long_corpus):
    """The blocks of the corpus, and each run of them as a block of its own."""
    found = list(early_curves(long_corpus, 1.0))
    alone = [
        [next(early_curves(long_corpus, 1.0, [run_id])) for run_id in block.run_ids]
        for block in found
    ]
    return list(zip(found, alone, strict=True))


@EVERY
def test_a_run_alone_has_the_signals_that_it_has_among_others(blocks, name):
    function = CURVE_SIGNALS.get(name)
    signals = ["lambda_1", "noise_scale"] if "signal" in settable(function) else [None]
    for signal in signals:
        arguments = {"signal": signal} if signal else {}
        for block, runs in blocks:
            together = function(block, **arguments)
            for row, run in enumerate(runs):
                assert_same_row(together, row, function(run, **arguments))


def assert_same_row(together, row, alone):
    assert together.status[row] == alone.status[0]
    assert together.n[row] == alone.n[0]
    assert together.window[row].tobytes() == alone.window[0].tobytes()
    for many, one in ((together.values, alone.values), (together.errors, alone.errors)):
        for quantity, column in one.items():
            assert many[quantity][row].tobytes() == column[0].tobytes(), quantity
    assert (together.params, together.units) == (alone.params, alone.units)


def test_the_size_of_the_blocks_changes_nothing(long_corpus, monkeypatch):
    names = ["power_law", "knee", "psd_slope", "last", "plateau"]
    expected = early_signals(long_corpus, 0.5, names)
    monkeypatch.setattr("harness.early.curves.BLOCK_STEPS", 1500)
    assert len(list(early_curves(long_corpus, 0.5))) > 4
    assert_bitwise(early_signals(long_corpus, 0.5, names), expected)


@EVERY
def test_a_number_without_a_value_has_a_status_and_windows_end_in_the_window(
    signals, long_corpus, name
):
    lengths = long_corpus.runs(["run_id", "num_steps"])
    for until, frame in signals.items():
        part = frame.filter(pl.col("signal").str.contains(rf"^{name}($|[./])"))
        assert len(part)
        part = part.join(lengths, on="run_id")
        good = part["status"] == OK
        assert (part["value"].is_not_null() == good).all()
        assert not part["se"].filter(~good).count()
        assert part["value"].is_nan().sum() == 0
        end = last_step(until, part["num_steps"].to_numpy())
        assert (part["window_last"].fill_null(0).to_numpy() <= end).all()
        assert (part["window_first"].drop_nulls() >= 1).all()
        assert (part["window_last"] >= part["window_first"]).all()
        steps = part["window_last"].drop_nulls()
        assert (steps == steps.round()).all()
        assert part["window_last"].filter(good).null_count() == 0
        assert (part["unit"] != "").all()
        assert {json.loads(text)["until"] for text in part["params_json"]} == {until}


@EVERY
def test_it_has_values_of_some_run(signals, name):
    pattern = rf"^{name}($|[./])"
    values = signals[1.0].filter(pl.col("signal").str.contains(pattern))
    assert values["value"].count()


@EVERY
def test_it_is_documented_and_its_arguments_have_defaults(name):
    function = CURVE_SIGNALS.get(name)
    assert "Example:" in inspect.getdoc(function)
    for argument, parameter in settable(function).items():
        if argument != "signal":
            assert parameter.default is not inspect.Parameter.empty
            assert f"{argument}: " in inspect.getdoc(function)


def test_a_window_of_no_step_and_of_no_epoch_is_too_short(long_corpus):
    for until in (0.001, 0.01):
        frame = early_signals(long_corpus, until)
        whole = frame.filter(pl.col("signal").str.contains(r"^(power|last_l|knee|psd)"))
        assert set(whole["status"]) == {"too_short"}


def test_a_run_that_diverged_in_the_window_says_so(signals, long_records):
    early, late = long_records[4].config.run_id, long_records[5].config.run_id
    frame = signals[0.5]
    for name in (
        "power_law.alpha",
        "sotl.tse",
        "last_loss",
        "knee",
        "band_power.power",
    ):
        status = frame.filter(pl.col("signal") == name).select("run_id", "status")
        status = dict(status.rows())
        assert status[early] == "diverged"
        assert status[late] == "ok"
