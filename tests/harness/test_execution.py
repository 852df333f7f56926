"""Updates and scores repeated from a recording, and compiled, are those made directly.

A CUDA graph repeats kernels on fixed memory and freezes what the host computed; the
tape does the same on a CPU.
"""

import dataclasses

import numpy as np
import pytest
import torch

from harness.checkpoint import CheckpointFile
from harness.cohort import is_recordable
from harness.execution import WARM_UP, Execution, execution_for
from harness.record import same_outcome
from harness.spec import Part
from harness.train import train
from tests.harness.tape import Tape
from tests.harness.toy import toy_data, toy_run

CPU = torch.device("cpu")
SMOOTH = Part("cross_entropy", {"label_smoothing": 0.1})


def _with(run, **changes):
    return dataclasses.replace(run, **changes).resolve()


COHORTS = {
    "stacked": [toy_run(seed=0, lr=0.1), toy_run(seed=1, lr=0.3, schedule="step")],
    "augmented": [
        toy_run(seed=0, augmentation="randaugment"),
        toy_run(seed=0, augmentation="crop_flip"),
    ],
    "adamw": [_with(toy_run(), optimizer=Part("adamw", {"lr": 0.01}))],
    "lion": [_with(toy_run(), optimizer=Part("lion", {"lr": 0.003}))],
    "smoothed": [_with(toy_run(), objective=SMOOTH), toy_run(seed=3)],
    "one of two diverges": [toy_run(lr=1e4), toy_run(seed=1)],
    "batch norm": [_with(toy_run(model="resnet20", epochs=2))],
    "half": [_with(toy_run(model="resnet20", epochs=2), precision="bfloat16")],
}


def _taped(cohort, data, **options):
    tape = Tape()
    return train(cohort, data, execution=Execution("graph", tape), **options), tape


@pytest.mark.parametrize("name", COHORTS)
def test_a_recording_repeats_what_direct_calls_do_bit_for_bit(name):
    cohort, data = COHORTS[name], toy_data()
    direct = train(cohort, data, execution="eager")
    taped, tape = _taped(cohort, data)
    assert len(tape.lengths) == 3  # an update, its record, a pass over images
    assert tape.replays >= 2 * (direct[0].num_steps - WARM_UP)
    for one, other in zip(direct, taped, strict=True):
        assert other.environment["execution"] == "graph"
        assert one.status == other.status
        assert one.diverged_step == other.diverged_step
        for signal in ("train_loss", "grad_norm", "lr"):
            np.testing.assert_array_equal(
                one.curves[signal].values, other.curves[signal].values
            )
        for signal in ("val_loss", "train_loss_eval"):  # the last pass is filled up
            np.testing.assert_allclose(
                one.curves[signal].values, other.curves[signal].values, rtol=2e-6
            )
        assert one.final["test_correct"] == other.final["test_correct"]


def test_one_of_the_cohorts_above_diverges_while_it_is_repeated():
    diverged, sound = train(COHORTS["one of two diverges"], toy_data())
    assert diverged.status == "diverged"
    assert diverged.diverged_step > WARM_UP
    assert sound.status == "completed"


def test_an_interrupted_recording_goes_on_bit_for_bit(tmp_path):
    cohort, data = COHORTS["stacked"], toy_data()
    whole, _ = _taped(cohort, data)
    asked = iter([False, True])
    first, _ = _taped(
        cohort,
        data,
        checkpoint=CheckpointFile(tmp_path, "c"),
        interrupted=lambda: next(asked),
    )
    assert first is None
    rest, _ = _taped(cohort, data, checkpoint=CheckpointFile(tmp_path, "c"))
    for one, other in zip(whole, rest, strict=True):
        assert same_outcome(one, other)


def test_a_checkpoint_of_another_order_of_weights_is_not_used(tmp_path, caplog):
    cohort, data = COHORTS["batch norm"], toy_data()
    whole = train(cohort, data)
    asked = iter([True])
    file = CheckpointFile(tmp_path, "c")
    assert train(cohort, data, checkpoint=file, interrupted=lambda: next(asked)) is None
    saved = file.load()
    file.save(saved | {"order": "channels last"})  # as on a GPU
    (again,) = train(cohort, data, checkpoint=file)
    assert "written on another kind of device" in caplog.text
    assert same_outcome(again, whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one of two diverges", "adamw"])
def test_compiled_updates_agree_with_direct_ones(name):
    cohort, data = COHORTS[name], toy_data()
    direct = train(cohort, data, execution="eager")
    compiled = train(cohort, data, execution="compiled")
    for one, other in zip(direct, compiled, strict=True):
        assert other.environment["execution"] == "compiled"
        assert one.diverged_step == other.diverged_step
        first = slice(0, 8)  # later, rounding has grown
        np.testing.assert_allclose(
            one.curves["train_loss"].values[first],
            other.curves["train_loss"].values[first],
            rtol=1e-4,
        )


def test_the_tape_refuses_a_body_that_reads_a_value():
    value = torch.ones(3)
    with pytest.raises(AssertionError, match=r"the host reads a value of the device"):
        Tape().record(lambda: value.mul_(2.0 if value.sum() > 1 else 1.0))


def test_the_tape_freezes_what_the_host_computed():
    counter, seen = [0.0], torch.zeros(3)

    def body():
        counter[0] += 1.0
        seen.add_(counter[0])

    repeat = Tape().record(body)
    assert seen.tolist() == [0.0, 0.0, 0.0]
    repeat()
    repeat()
    assert seen.tolist() == [2.0, 2.0, 2.0]  # not 1 + 2


@pytest.mark.parametrize(
    ("model", "recordable"),
    [
        (Part("patchnet"), True),
        (Part("patchnet", {"dropout": 0.1}), False),
        (Part("resnet20"), True),
        (Part("resnet20", {"dropout": 0.1}), False),
    ],
)
def test_networks_that_draw_in_every_step_are_not_recorded(model, recordable):
    assert is_recordable(model.resolve(_models()), (1, 8, 8), 4) is recordable


def _models():
    from harness.registry import MODELS

    return MODELS


def test_graphs_need_a_gpu():
    with pytest.raises(ValueError, match=r"CUDA graphs need a GPU; use auto, eager"):
        execution_for("graph", CPU)
    with pytest.raises(ValueError, match=r"execution is 'fast', expected one of auto"):
        execution_for("fast", CPU)
    assert execution_for("auto", CPU).name == "eager"
