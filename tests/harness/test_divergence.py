"""Runs that diverge: when, why, and what they are worth, whoever trains beside them."""

import math

import numpy as np
import pytest
import torch

from harness.checkpoint import CheckpointFile
from harness.feed import DeviceCell
from harness.record import same_outcome
from harness.seeds import stream
from harness.train import train
from tests.harness.toy import toy_data, toy_run

BROKEN = "running statistics not finite"


pytestmark = pytest.mark.usefixtures("one_thread")


def toy(model: str = "mlp", **changes):
    """A run at a constant rate, which breaks early if that is high."""
    return toy_run(model=model, schedule="constant", **changes)


MODELS = ["mlp", "normalised", "resnet20"]


@pytest.mark.parametrize("lr", [1e5, 1e12])
@pytest.mark.parametrize("model", MODELS)
def test_a_diverged_run_and_its_neighbours_are_what_they_are_alone(model, lr):
    wild, calm = toy(model, seed=5, lr=lr), toy(model, seed=1)
    one, two = train([wild, calm], toy_data())
    assert (one.status, two.status) == ("diverged", "completed")
    assert same_outcome(two, train([calm], toy_data())[0])
    assert same_outcome(one, train([wild], toy_data())[0])


@pytest.mark.parametrize("model", MODELS)
def test_the_curve_of_a_diverged_run_ends_with_its_first_bad_update(model):
    (record,) = train([toy(model, seed=5, lr=1e12)], toy_data())
    curve = record.curves["train_loss"]
    bad = record.diverged_step
    assert curve.steps[-1] == bad < record.num_steps
    finite = np.isfinite(curve.values) & np.isfinite(record.curves["grad_norm"].values)
    assert finite[:-1].all()
    assert finite[-1] == (record.events[0].detail["reason"] == BROKEN)
    assert record.final["test_loss"] is None
    assert 0 <= record.final["test_correct"] <= record.final["test_n"] == 48
    assert record.events[0].step == bad


@pytest.mark.parametrize("model", MODELS)
def test_a_diverged_run_is_scored_in_its_last_finite_state(model):
    (record,) = train([toy(model, seed=5, lr=1e5, evals_per_epoch=8)], toy_data())
    last = record.curves["val_accuracy"]
    # Evaluated after every update: the state before the bad update is the last one
    # whose measured accuracy the final score must repeat.
    before = last.values[last.steps == record.diverged_step - 1][0]
    assert record.final["validation_correct"] == round(float(before) * 32)
    measured = record.curves["train_accuracy_eval"]
    before = measured.values[measured.steps == record.diverged_step - 1][0]
    assert record.final["train_correct"] == round(float(before) * 16)


def test_a_loss_that_stays_far_above_chance_counts_as_divergence():
    stuck = toy_run(
        lr=1e3, schedule="constant", epochs=300, optimizer="adam", batch_size=32
    )
    data = toy_data()
    shuffle = torch.from_numpy(stream(0, "shuffle").permutation(64))
    data.train.labels = data.train.labels[shuffle]  # nothing to learn: stays lost
    (record,) = train([stuck], data)
    assert record.status == "diverged"
    high = record.curves["train_loss"].values[-200:] > 10 * math.log(4)
    assert high.all()
    assert record.events[0].detail["reason"].startswith("loss above ten times chance")


def test_running_statistics_that_break_are_divergence_though_the_loss_is_finite(
    tmp_path,
):
    runs = [toy_run(seed=s, model="resnet20", epochs=3) for s in range(2)]
    file = CheckpointFile(tmp_path, "c-x")
    steps = iter(range(1, 100))
    train(runs, toy_data(), checkpoint=file, interrupted=lambda: next(steps) == 11)
    saved = file.load()
    name = next(k for k in saved["rows"]["buffers"] if k.endswith("running_var"))
    saved["rows"]["buffers"][name][0, 0] = float("nan")
    file.save(saved)
    broken, sound = train(runs, toy_data(), checkpoint=file)
    assert (broken.status, sound.status) == ("diverged", "completed")
    assert broken.diverged_step == 12  # the first update that saw them
    assert np.isfinite(broken.curves["train_loss"].values).all()
    assert broken.events[-1].detail["reason"] == BROKEN
    assert same_outcome(sound, train([runs[1]], toy_data())[0])


@pytest.mark.parametrize("model", MODELS)
def test_diverged_runs_stopped_between_cells_train_no_further(tmp_path, model):
    runs, data = [toy(model, seed=s, lr=1e12) for s in (5, 6)], toy_data()
    cells = [DeviceCell("toy", "none", level, lambda: data.test) for level in (1, 2)]
    whole = train(runs, data, ood=cells)
    assert {record.status for record in whole} == {"diverged"}
    file, asked = CheckpointFile(tmp_path, "c-x"), []
    stopped = train(
        runs,
        data,
        ood=cells,
        checkpoint=file,
        progress=lambda step, _: asked.append(step),
        interrupted=lambda: len(asked) > 1 and asked[-1] == asked[-2],
    )
    assert stopped is None
    assert file.load()["step"] == 8  # the end of the epoch in which they broke
    resumed = train(runs, data, ood=cells, checkpoint=file)
    assert all(same_outcome(a, b) for a, b in zip(whole, resumed, strict=True))
    images = [record.costs["train_images"] for record in (*whole, *resumed)]
    assert images == [64.0] * 4
