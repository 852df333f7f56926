"""Promises that every registered probe keeps."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import torch

from harness.cadence import Timeline
from harness.checkpoint import CheckpointFile
from harness.cohort import CohortNet
from harness.probes.base import Scene
from harness.record import RunRecord, same_outcome
from harness.registry import PROBES, settable
from harness.spec import Part, RunConfig
from harness.train import train
from tests.harness.toy import toy_data, toy_run

SHORT = {"epochs": 2, "augmentation": "crop_flip"}
SMALL = {"images": 16, "cadence": "epochs:1", "steps": 10, "probes": 2, "window": 4}
MODELS = {
    "mlp": Part("mlp", {"width": 16, "depth": 1, "norm": "batch", "dropout": 0.2}),
    "patchnet": Part("patchnet", {"width": 0.25, "norm": "group"}),
    "resnet20": Part("resnet20", {"width": 0.25}),
    "vit": Part("vit", {"patch": 4, "dim": 12, "depth": 1, "heads": 3, "dropout": 0.1}),
}
EVERY = pytest.mark.parametrize("name", PROBES.names())


def small(name: str) -> Part:
    """Return the probe with arguments that suit 64 images and 24 updates."""
    known = settable(PROBES.get(name))
    return Part(name, {k: v for k, v in SMALL.items() if k in known})


def cohort(*probes: Part, model: str = "mlp", **changes) -> list[RunConfig]:
    runs = [toy_run(seed=s, lr=0.05 * (s + 1), **changes) for s in range(2)]
    return [
        dataclasses.replace(run, model=MODELS[model], probes=probes).resolve()
        for run in runs
    ]


@functools.cache
def without_probes(model: str) -> tuple[list[RunRecord], torch.Tensor]:
    """Return the records of runs without probes, and torch's random state after."""
    torch.manual_seed(7)
    return train(cohort(model=model, **SHORT), toy_data()), torch.get_rng_state()


@functools.cache
def trained(name: str) -> list[RunRecord]:
    """Return the records of two runs with a probe, which many tests look at."""
    return train(cohort(small(name)), toy_data())


def measured(record: RunRecord) -> dict[str, bytes]:
    names = {signal.name for signal in record.signals}
    return {
        name: curve.steps.tobytes() + curve.values.tobytes()
        for name, curve in record.curves.items()
        if name in names
    }


@EVERY
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name == "resnet20"))
        for name in MODELS
    ],
)
def test_the_trajectory_is_bit_for_bit_the_one_without_the_probe(name, model):
    plain, after = without_probes(model)
    torch.manual_seed(7)
    probed = train(cohort(small(name), model=model, **SHORT), toy_data())
    assert torch.equal(torch.get_rng_state(), after)
    for one, other in zip(plain, probed, strict=True):
        assert measured(other) or other.events
        assert one.final == other.final
        assert {k for k in other.curves if k not in measured(other)} == set(one.curves)
        for signal, curve in one.curves.items():
            assert curve.values.tobytes() == other.curves[signal].values.tobytes()


@EVERY
def test_a_run_has_the_same_values_alone_and_beside_others(name):
    runs = cohort(small(name), model="patchnet")
    together = train(runs, toy_data())
    for run, record in zip(runs, together, strict=True):
        (alone,) = train([run], toy_data())
        assert measured(alone) == measured(record)


@EVERY
def test_an_interrupted_run_has_the_values_of_an_uninterrupted_one(name, tmp_path):
    runs, whole = cohort(small(name)), trained(name)
    file = CheckpointFile(tmp_path, "c")
    updates = itertools.count(1)  # stopped in the middle of the second epoch
    train(runs, toy_data(), checkpoint=file, interrupted=lambda: next(updates) == 11)
    assert file.load()["step"] == 11
    rest = train(runs, toy_data(), checkpoint=file)
    for one, other in zip(whole, rest, strict=True):
        assert measured(one) == measured(other)
        assert same_outcome(one, other)


@EVERY
def test_what_a_probe_spends_is_what_it_planned(name):
    (record, _) = trained(name)
    spent = (
        record.costs[f"probe.{name}_forward_images"],
        record.costs[f"probe.{name}_backward_images"],
    )
    assert spent == planned(name)
    assert record.costs[f"probe.{name}_s"] > 0


def planned(name: str) -> tuple[float, float]:
    runs, data = cohort(small(name)), toy_data()
    net = CohortNet(
        runs[0].model,
        [run.seed for run in runs],
        data.in_shape,
        data.num_classes,
        device=torch.device("cpu"),
    )
    scene = Scene(cohort=runs, net=net, data=data, timeline=Timeline(24, 8))
    part = small(name).resolve(PROBES)
    probe = PROBES.get(name)(scene, **part.params)
    return tuple(probe.planned)


@EVERY
def test_a_diverged_run_leaves_its_neighbour_alone(name):
    wild, sound = cohort(small(name))
    wild = dataclasses.replace(
        wild, optimizer=wild.optimizer.with_params(lr=1e12)
    ).resolve()
    first, second = train([wild, sound], toy_data())
    (alone,) = train([sound], toy_data())
    assert first.status == "diverged"
    assert measured(second) == measured(alone)
    assert all(
        curve.steps.max() <= first.diverged_step for curve in first.curves.values()
    )


@EVERY
def test_every_value_is_finite_and_in_the_dictionary(name):
    (record, _) = trained(name)
    names = [signal.name for signal in record.signals]
    assert len(set(names)) == len(names)
    assert set(record.curves) - set(names) == {
        "train_loss",
        "grad_norm",
        "lr",
        "val_loss",
        "val_accuracy",
        "train_loss_eval",
        "train_accuracy_eval",
    }
    for signal in names:
        if signal in record.curves:
            assert np.isfinite(record.curves[signal].values).all()
    for signal in record.signals:
        assert signal.probe == name
        assert signal.meaning
        assert signal.unit
        assert signal.range


@EVERY
def test_more_images_than_there_are_are_refused(name):
    if "images" not in settable(PROBES.get(name)):
        return
    with pytest.raises(ValueError, match="the training set of 'toy' has 64"):
        train(cohort(Part(name, {"images": 1024})), toy_data())


@EVERY
def test_every_probe_takes_a_cadence(name):
    part = small(name).with_params(cadence="daily")
    with pytest.raises(ValueError, match="cadence is 'daily'"):
        train(cohort(part), toy_data())
