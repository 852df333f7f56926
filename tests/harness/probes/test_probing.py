"""What surrounds every probe: the loop, checkpoints, records and prices."""

import itertools
import json

import numpy as np
import pytest

from harness.checkpoint import CheckpointFile
from harness.record import RunRecord, same_outcome
from harness.signal_table import SignalTable
from harness.spec import Part
from harness.train import train
from tests.harness.toy import toy_data, toy_run

FAKES = "tests.harness.probes.fakes"
NORMS, UNSURE, CHATTY = (f"{FAKES}:{name}" for name in ("Norms", "Unsure", "Chatty"))


def trained(*probes, **changes):
    runs = [toy_run(seed=s, probes=probes, **changes) for s in range(2)]
    return train(runs, toy_data())


def test_readings_become_curves_with_their_standard_errors():
    first, _ = trained(Part(NORMS))
    curve = first.curves["norm"]
    assert curve.steps.tolist() == [0, 8, 16, 24]
    assert first.curves["travelled"].steps.tolist() == [8, 16, 24]
    errors = first.curves["norm_se"].values
    np.testing.assert_allclose(errors, curve.values / 100, rtol=1e-6)


def test_the_trajectory_is_the_one_without_probes():
    plain = trained()
    probed = trained(Part(NORMS), Part(UNSURE))
    for one, other in zip(plain, probed, strict=True):
        assert one.config.trajectory_id == other.config.trajectory_id
        assert one.config.run_id != other.config.run_id
        assert one.final == other.final
        for name, curve in one.curves.items():
            assert curve.values.tobytes() == other.curves[name].values.tobytes()


def test_a_value_that_is_missing_has_an_event_that_says_why():
    first, second = trained(Part(UNSURE))
    assert first.curves["one"].steps.tolist() == [0]
    assert second.curves["one"].steps.tolist() == [0, 8, 16, 24]
    assert second.events == ()
    assert [event.step for event in first.events] == [8, 16, 24]
    assert first.events[0].kind == "no_value"
    assert first.events[0].detail == {
        "probe": UNSURE,
        "signals": {"one": "ill_conditioned"},
    }


def test_an_interrupted_run_with_probes_equals_an_uninterrupted_one(tmp_path):
    runs = [toy_run(seed=s, probes=(Part(NORMS), Part(UNSURE))) for s in range(2)]
    whole = train(runs, toy_data())
    file = CheckpointFile(tmp_path, "c")
    updates = itertools.count(1)  # stopped in the middle of the second epoch
    interrupted = train(
        runs, toy_data(), checkpoint=file, interrupted=lambda: next(updates) == 11
    )
    assert interrupted is None
    rest = train(runs, toy_data(), checkpoint=file)
    for one, other in zip(whole, rest, strict=True):
        assert same_outcome(one, other)
        for key in (k for k in one.costs if k.endswith("_images")):
            assert one.costs[key] == other.costs[key]


def test_a_checkpoint_may_hold_more_runs_than_are_left(tmp_path):
    runs = [toy_run(seed=s, probes=(Part(NORMS),)) for s in range(3)]
    whole = train(runs, toy_data())
    file = CheckpointFile(tmp_path, "c")
    updates = itertools.count(1)
    train(runs, toy_data(), checkpoint=file, interrupted=lambda: next(updates) == 9)
    (rest,) = train(runs[2:], toy_data(), checkpoint=file)
    assert same_outcome(rest, whole[2])


def test_values_end_where_a_run_diverges():
    wild = toy_run(lr=1e12, probes=(Part(NORMS, {"cadence": "steps:1"}),))
    (record,) = train([wild], toy_data())
    assert record.status == "diverged"
    assert record.curves["norm"].steps[-1] <= record.diverged_step


def test_a_record_keeps_what_its_probes_measured(tmp_path):
    (record, _) = trained(Part(NORMS, {"cadence": "epochs:2"}))
    assert [s.name for s in record.signals] == ["norm", "norm_se", "travelled"]
    assert json.loads(record.signals[0].params_json) == {"cadence": "epochs:2"}
    loaded = RunRecord.load(record.save(tmp_path))
    assert loaded.signals == record.signals
    assert same_outcome(loaded, record)


def test_the_table_of_signals_carries_the_price():
    records = trained(Part(NORMS, {"cadence": "epochs:1"}))
    collected = SignalTable()
    collected.add(records)
    rows = {row["name"]: row for row in collected.table().to_pylist()}
    row = rows["norm"]
    assert row["probe"] == NORMS
    assert row["probe_forward_images_per_run"] == 4  # one a measurement
    assert row["probe_backward_images_per_run"] == 4
    assert row["probe_share_of_train_passes"] == 4 / (24 * 8)  # 24 updates of 8 images
    seconds = np.mean([r.costs[f"probe.{NORMS}_s"] for r in records])
    assert row["probe_seconds_per_run"] == pytest.approx(seconds)
    assert rows["train_loss"]["probe_share_of_train_passes"] is None


def test_one_signal_with_two_settings_is_two_rows():
    collected = SignalTable()
    collected.add(trained(Part(NORMS)))
    collected.add(trained(Part(NORMS, {"cadence": "epochs:3"})))
    names = collected.table()["name"].to_pylist()
    assert names.count("norm") == 2


def test_a_probe_given_twice_is_refused():
    with pytest.raises(ValueError, match="given twice"):
        trained(Part(NORMS), Part(NORMS, {"cadence": "epochs:2"}))


def test_a_probe_that_measures_what_it_did_not_say_is_our_mistake():
    with pytest.raises(AssertionError, match="measures what it did not say"):
        trained(Part(CHATTY))
