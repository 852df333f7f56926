"""The probe on networks of linear layers, whose gradients it does not form."""

import dataclasses

import pytest

from harness.record import RunRecord
from harness.spec import Part, RunConfig
from harness.train import train
from tests.harness.toy import toy_data, toy_run

NAMES = (
    "gradient_variance",
    "gradient_square",
    "noise_scale",
    "tail_index",
    "tail_index_layer_median",
    "tail_index_layer_min",
)
MODELS = {
    "mlp": Part("mlp", {"width": 17, "depth": 2, "skip": True}),
    "patchnet": Part("patchnet", {"width": 0.3, "dropout": 0.2}),
}
EVERY = pytest.mark.parametrize("model", MODELS)


def cohort(model: str, probed: bool = True, **arguments: object) -> list[RunConfig]:
    given = {"images": 112, "microbatch": 1, "cadence": "epochs:1"} | arguments
    probes = (Part("gradient_noise", given),) if probed else ()
    runs = [toy_run(seed=s, lr=0.05 * (s + 1), epochs=2) for s in range(3)]
    return [
        dataclasses.replace(run, model=MODELS[model], probes=probes).resolve()
        for run in runs
    ]


def data():
    return toy_data(num_train=112)


def measured(record: RunRecord) -> dict[str, bytes]:
    found = {name: record.curves[name].values.tobytes() for name in NAMES}
    found |= {f"{n}_se": record.curves[f"{n}_se"].values.tobytes() for n in NAMES[:4]}
    return found


@EVERY
def test_a_run_has_the_same_values_alone_and_beside_others(model):
    runs = cohort(model)
    together = train(runs, data())
    for run, record in zip(runs, together, strict=True):
        (alone,) = train([run], data())
        assert measured(alone) == measured(record)


@EVERY
def test_the_trajectory_is_bit_for_bit_the_one_without_the_probe(model):
    plain = train(cohort(model, probed=False), data())
    for one, other in zip(plain, train(cohort(model), data()), strict=True):
        assert one.final == other.final
        for signal, curve in one.curves.items():
            assert curve.values.tobytes() == other.curves[signal].values.tobytes()


@EVERY
def test_what_it_spends_is_one_gradient_an_image(model):
    for record in train(cohort(model), data()):
        times = len(record.curves["gradient_variance"].steps)
        for direction in ("forward", "backward"):
            spent = record.costs[f"probe.gradient_noise_{direction}_images"]
            assert spent == 112 * times


@EVERY
def test_the_tail_index_of_every_layer_is_recorded_on_request(model):
    (record,) = train(cohort(model, per_layer=True)[:1], data())
    layers = [s.name for s in record.signals if s.name.startswith("tail_index/")]
    layers = [name for name in layers if not name.endswith("_se")]
    assert any(name.endswith("weight") for name in layers)
    last = [record.curves[n].values[-1] for n in layers if n in record.curves]
    assert record.curves["tail_index_layer_min"].values[-1] == min(last)
