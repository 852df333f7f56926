"""Configurations of foreign runs: ids, families, JSON and back."""

import json

import pytest

from harness.foreign import ForeignConfig, read_config
from harness.record import SHARD_NAME, RunRecord
from harness.spec import RunConfig, canonical_json


def foreign(run="a", **settings) -> ForeignConfig:
    names = {k.replace("__", "."): v for k, v in settings.items()}
    return ForeignConfig(collection="c", run=run, settings=names)


def test_json_and_back_keeps_ids_and_settings(make_record):
    one = ForeignConfig(
        collection="c", run="x", settings={"optimizer.lr": 1.0, "seed": 3}, family="k"
    )
    back = read_config(json.loads(canonical_json(one.to_json())))
    assert back == one
    assert back.family_id == one.family_id
    native = make_record(0).config
    assert isinstance(read_config(native.to_json()), RunConfig)


def test_families_are_settings_without_the_seed():
    one = foreign("a", optimizer__lr=0.1, seed=0)
    assert one.family_id == foreign("b", optimizer__lr=0.1, seed=1).family_id
    assert one.family_id != foreign("b", optimizer__lr=0.2, seed=1).family_id
    assert foreign("a", seed=0).family_id != foreign("b", seed=1).family_id


def test_a_part_that_is_called_unknown_says_nothing():
    one = foreign("a", model__name="unknown", dataset__name=None)
    assert one == foreign("a")
    assert one.to_json()["model"] == {"name": "unknown"}


def test_a_record_of_a_foreign_run_is_saved_and_loaded(tmp_path):
    record = RunRecord(
        config=foreign("../x"), status="completed", num_steps=3, steps_per_epoch=1
    )
    path = record.save(tmp_path)
    assert SHARD_NAME.fullmatch(path.name)
    assert RunRecord.load(path) == record


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"a": 1, "a.b": 2}, "both a value and the beginning"),
        ({"a.b.c": 1, "a.b": 2}, "both a value and the beginning"),
        ({"foreign.x": 1}, "reserved"),
        ({"probes": 1}, "reserved"),
    ],
)
def test_clashing_names_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        ForeignConfig(collection="c", run="x", settings=settings)
