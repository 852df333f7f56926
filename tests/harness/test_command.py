"""Checks before anything is trained: names, devices, profiles, offered sets."""

import dataclasses
from pathlib import Path

import pytest
import torch

import harness.plan
from harness import command, scout
from harness.command import Request, prepare
from harness.errors import CorpusError, DataError
from harness.estimate import Estimate
from harness.record import RunRecord


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Decoded data sets: 70,000 images of MNIST take seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def request_(tmp_path, cache, monkeypatch) -> Request:
    monkeypatch.setenv("RUNCAST_CACHE_DIR", str(cache))
    monkeypatch.delenv("RUNCAST_DATA_DIR", raising=False)
    return Request(grid="pilot", profile="digits", folder=tmp_path / "corpus")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"grid": "t44"}, KeyError, "no grid is called 't44'; did you mean 't4'"),
        ({"profile": "digit"}, KeyError, "did you mean 'digits'"),
        ({"device": "gpu"}, ValueError, "device 'gpu' is not known to torch"),
        ({"executor": "slurm"}, ValueError, "no executor is called 'slurm'"),
        (
            {"ray_address": "auto"},
            ValueError,
            "names a Ray cluster: add --executor ray",
        ),
        ({"limit": 0}, ValueError, "limit is 0, expected a positive number"),
        ({"evals_per_epoch": 21}, ValueError, "evals_per_epoch is 21, expected 1"),
        ({"data_dir": Path("/no/such")}, DataError, "the local mirror /no/such is not"),
    ],
)
def test_a_wrong_request_is_refused_with_what_to_do(request_, change, error, message):
    with pytest.raises(error, match=message):
        prepare(dataclasses.replace(request_, **change))
    assert not request_.folder.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_a_missing_device_and_a_missing_profile_are_explained(
    request_, monkeypatch
):
    with pytest.raises(ValueError, match="torch sees no CUDA device"):
        prepare(dataclasses.replace(request_, device="cuda"))
    monkeypatch.setattr(command, "seconds_for_shape", lambda plan: 86400.0 * 700)
    with pytest.raises(ValueError, match=r"about 700\.0 days .* --profile digits"):
        prepare(dataclasses.replace(request_, profile=None))


def test_natural_shifts_are_offered_where_their_data_are(request_, shared_data, capsys):
    without = prepare(request_)
    assert "left out: mnist-8 (mnist is in no local mirror" in capsys.readouterr().err
    with_mnist = prepare(dataclasses.replace(request_, data_dir=shared_data))
    names = [
        [part.name for part in prepared.job.plan.runs[0].config.recording.ood]
        for prepared in (without, with_mnist)
    ]
    assert names == [["corrupted"], ["corrupted", "mnist-8"]]
    one, other = (p.job.plan.runs[0].config for p in (without, with_mnist))
    assert one.run_id != other.run_id
    assert one.trajectory_id == other.trajectory_id


def test_a_grid_over_resolutions_leaves_shifts_of_one_resolution_out(
    request_, shared_data
):
    request = dataclasses.replace(request_, grid="t10", data_dir=shared_data)
    for run in prepare(request).job.plan.runs:
        assert [part.name for part in run.config.recording.ood] == ["corrupted"]


def test_on_a_processor_bfloat16_profiles_train_in_float32(request_, capsys):
    half = "tests.harness.tiny:half_profile"
    prepared = prepare(dataclasses.replace(request_, profile=half, device="cpu"))
    assert {run.config.precision for run in prepared.job.plan.runs} == {"float32"}
    assert "precision: float32" in capsys.readouterr().err


def test_a_dry_run_counts_what_other_grids_share(request_, monkeypatch):
    monkeypatch.setattr(scout, "estimate", lambda *_: Estimate(100.0, 1e6, 2.5))
    report = command.dry_run(prepare(request_))
    assert report["runs"] == 18
    assert report["shared_with_other_grids"] == {"t1": 12, "t10": 3, "t4": 9, "t8": 12}
    assert report["cohorts"] == 3
    assert len(report["first_ids"]) == 5
    text = command.dry_run_text(report)
    assert "12 with t1, 3 with t10, 9 with t4, 12 with t8" in text
    assert "update_direction; together 250 % of the passes of training" in text


def test_finished_runs_are_not_planned_again(request_):
    first = prepare(request_)
    done = first.job.plan.runs[0]
    record = RunRecord(
        config=done.config, status="completed", num_steps=1, steps_per_epoch=1
    )
    record.save(request_.folder / "shards")
    again = prepare(request_)
    assert len(again.job.pending) == 17
    assert done.run_id not in {run.run_id for run in again.job.pending}


def test_a_folder_of_another_version_is_not_mixed_unless_allowed(request_, monkeypatch):
    monkeypatch.setattr(harness.plan, "__version__", "0.0.9")
    prepare(request_).job.merged.save(request_.folder)
    monkeypatch.undo()
    with pytest.raises(CorpusError, match=r"begun by runcast 0\.0\.9, this is 0\.1"):
        prepare(request_)
    prepare(dataclasses.replace(request_, allow_version=True))
