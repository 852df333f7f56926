"""On a GPU: graphs, packs and the processor agree, and bits repeat when asked to."""

import dataclasses

import numpy as np
import pytest
import torch

from harness.device import Setting
from harness.feed import DeviceData
from harness.record import same_outcome
from harness.spec import Part
from harness.train import train
from tests.harness.toy import toy_data, toy_dataset, toy_run

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")
ORDINARY = [toy_run(model="resnet20", seed=s, epochs=4) for s in range(3)]
STACKED = [toy_run(model="patchnet", seed=s, epochs=4) for s in range(3)]


def on_gpu() -> DeviceData:
    return DeviceData(toy_dataset(), GPU)


def losses(records, steps):
    return np.stack([r.curves["train_loss"].values[:steps] for r in records])


@pytest.fixture
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    Setting(device="cuda", deterministic=True).apply()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("cohort", [ORDINARY, STACKED], ids=["ordinary", "stacked"])
@pytest.mark.parametrize("execution", ["eager", "graph", "compiled"])
def test_the_first_updates_are_those_of_the_processor(cohort, execution):
    Setting(device="cuda").apply()
    here = train(cohort, toy_data())
    there = train(cohort, on_gpu(), execution=execution)
    np.testing.assert_allclose(losses(here, 8), losses(there, 8), rtol=2e-3)
    assert there[0].environment["execution"] == execution


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("cohort", [ORDINARY, STACKED], ids=["ordinary", "stacked"])
def test_graphs_repeat_direct_calls_bit_for_bit(cohort):
    direct = train(cohort, on_gpu(), execution="eager")
    graph = train(cohort, on_gpu(), execution="graph")
    np.testing.assert_array_equal(losses(direct, 40), losses(graph, 40))


@pytest.mark.usefixtures("deterministic")
def test_a_run_repeats_bit_for_bit_and_its_pack_does_not_show():
    half = [dataclasses.replace(r, precision="bfloat16").resolve() for r in ORDINARY]
    once, again = (train(half, on_gpu()) for _ in range(2))
    alone = train(half[:1], on_gpu())
    for one, other in zip(once, again, strict=True):
        assert same_outcome(one, other)
    np.testing.assert_array_equal(losses(once[:1], 40), losses(alone, 40))


def test_an_epoch_waits_for_nothing():
    Setting(device="cuda").apply()
    from harness.rig import Rig

    rig = Rig(ORDINARY[:1], on_gpu())
    for step in range(8):  # an epoch, after which everything is recorded
        rig.update(step)
        rig.update.record()
    rig.scorer.score(on_gpu().validation)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(8, 16):
            rig.update(step)
            rig.update.record()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert int(rig.state.time) == 16


def test_probes_and_diverging_runs_work_in_packs():
    hessian = Part("hessian", {"cadence": "epochs:1", "images": 16, "steps": 4})
    runs = [dataclasses.replace(r, probes=(hessian,)).resolve() for r in ORDINARY]
    bad = dataclasses.replace(
        runs[0], optimizer=Part("sgd", {"lr": 1e5}), seed=9
    ).resolve()
    records = train([*runs, bad], on_gpu())
    assert [r.status for r in records] == ["completed"] * 3 + ["diverged"]
    assert all(np.isfinite(r.curves["train_loss"].values).all() for r in records[:3])
