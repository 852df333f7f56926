"""Parts, configurations and ids."""

import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.profiles import digits
from harness.spec import Part, Recording, RunConfig, canonical_json


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return digits().run(seed=3).resolve()


def test_one_and_one_point_zero_are_the_same_argument():
    assert Part("sgd", {"lr": 1}) == Part("sgd", {"lr": 1.0})
    assert canonical_json({"a": 1.0}) == canonical_json({"a": 1})
    assert canonical_json({"a": True}) != canonical_json({"a": 1})


def test_the_order_of_arguments_does_not_matter():
    one, other = Part("x", {"a": 1, "b": 2}), Part("x", {"b": 2, "a": 1})
    assert one == other
    assert hash(one) == hash(other)


def test_a_part_survives_pickle_and_json():
    part = Part("x", {"a": (1, 2.5), "b": None}, resolved=True)
    assert pickle.loads(pickle.dumps(part)) == part
    assert Part.from_json(json.loads(canonical_json(part.to_json()))) == part


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_argument_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=r"sgd\.lr is .* expected a finite number"):
        Part("sgd", {"lr": value})


def test_an_argument_of_a_strange_type_is_refused():
    with pytest.raises(TypeError, match=r"sgd.lr is .* of type object"):
        Part("sgd", {"lr": object()})


def test_defaults_do_not_change_an_id(config):
    spelled = config.optimizer.params
    short = {k: spelled[k] for k in ("lr", "l2")}
    other = dataclasses.replace(config, optimizer=Part("sgd", short)).resolve()
    assert other.run_id == config.run_id


def test_ids_are_refused_before_defaults_are_filled_in():
    with pytest.raises(ValueError, match=r"dataset 'digits' is not resolved"):
        _ = digits().run().run_id


CHANGES = {
    "seed": 4,
    "batch_size": 33,
    "epochs": 41,
    "precision": "bfloat16",
    "optimizer": Part("sgd", {"lr": 0.123}),
    "schedule": Part("step"),
    "augmentation": Part("none"),
    "objective": Part("cross_entropy", {"label_smoothing": 0.1}),
    "model": Part("patchnet", {"width": 2}),
    "dataset": Part("digits", {"train_size": 400}),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_of_the_trajectory_changes_its_ids(config, field):
    other = dataclasses.replace(config, **{field: CHANGES[field]}).resolve()
    assert other.run_id != config.run_id
    assert other.trajectory_id != config.trajectory_id
    assert (other.family_id == config.family_id) == (field == "seed")


def test_what_is_recorded_changes_the_run_but_not_the_trajectory(config):
    other = dataclasses.replace(config, recording=Recording(evals_per_epoch=8))
    assert other.run_id != config.run_id
    assert other.trajectory_id == config.trajectory_id
    assert other.family_id == config.family_id


def test_a_configuration_survives_json(config):
    data = json.loads(canonical_json(config.to_json()))
    assert RunConfig.from_json(data) == config
    assert RunConfig.from_json(data).run_id == config.run_id


@given(st.integers(-(2**70), 2**70))
def test_any_integer_is_a_seed(seed):
    config = dataclasses.replace(digits().run().resolve(), seed=seed)
    data = json.loads(canonical_json(config.to_json()))
    assert RunConfig.from_json(data).run_id == config.run_id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, expected a positive integer"),
        ({"epochs": 1.5}, "epochs is 1.5, expected a positive integer"),
        ({"precision": "half"}, "precision is 'half', expected one of"),
        ({"controller": Part("alpha")}, "no controller is called 'alpha'"),
        ({"regularizer": Part("sam")}, "no regularizer is called 'sam'"),
    ],
)
def test_values_out_of_range_are_refused(config, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config, **change)


def test_ids_have_their_documented_form(config):
    for kind in ("run", "trajectory", "family"):
        name = getattr(config, f"{kind}_id")
        assert name.startswith(f"{kind[0]}-")
        assert len(name) == 22


def test_the_id_of_a_pinned_configuration_never_changes(config):
    # Ids name published runs: a change here needs a new major version.
    assert canonical_json(config.to_json()).startswith('{"augmentation":{"flip":false')


@pytest.mark.parametrize("count", [0, 21])
def test_the_evaluation_cadence_has_a_range(count):
    with pytest.raises(ValueError, match=f"evals_per_epoch is {count}, expected 1 to"):
        Recording(evals_per_epoch=count)
