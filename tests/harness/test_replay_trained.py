"""Runs that are trained, and trained again: in this process, or by a worker."""

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner, Result

from harness import replay
from harness.datasets.source import find_source
from harness.device import Setting
from harness.errors import DataError
from harness.executors.crew import Crew
from harness.executors.here import HereExecutor
from harness.generate import finish, run_job
from harness.generate import prepare as join
from harness.planning import plan_grid
from harness.profiles import Profile
from harness.record import Curve, RunRecord, finished_ids, shard_path
from harness.replay_command import replay as replay_command
from harness.spec import Part, RunConfig
from tests.harness import tiny

ROOT = Path(__file__).resolve().parents[2]

PROBES = (
    Part("gradient_noise", {"images": 32, "microbatch": 4}),
    Part("hessian", {"images": 16, "probes": 2, "steps": 2}),
    Part("update_direction", {"window": 4}),
)


def grid(base: Profile) -> list[RunConfig]:
    """Return three seeds of one run and one that diverges: a single cohort."""
    probed = dataclasses.replace(base, probes=PROBES)
    return [*(probed.run(seed=seed) for seed in range(3)), probed.run(lr_mult=1e4)]


def profile() -> Profile:
    """Return the tiny profile with two shifted test sets."""
    ood = Part(
        "corrupted",
        {"corruptions": ("fog", "contrast"), "severities": (5,), "num_images": 16},
    )
    base = tiny.profile()
    recording = dataclasses.replace(base.recording, ood=(ood,))
    return dataclasses.replace(base, recording=recording)


FACTOR = "RUNCAST_TEST_FACTOR"


class Scaled(nn.Module):
    """Multiply by what another machine's arithmetic is to be off by."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * float(os.environ.get(FACTOR, "1"))


def scaled_model(in_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(in_shape), 10), Scaled())


def scaled_grid(base: Profile) -> list[RunConfig]:
    """Return three seeds of a run whose numbers depend on the environment."""
    model = Part("tests.harness.test_replay_trained:scaled_model")
    runs = (base.run(seed=seed) for seed in range(3))
    return [dataclasses.replace(run, model=model) for run in runs]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNCAST_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def train(folder: Path, grid: str) -> None:
    """Train a grid of this module in this process, which has one thread as workers."""
    plan = plan_grid(f"tests.harness.test_replay_trained:{grid}", profile())
    crew = Crew(
        folder=folder,
        source=find_source(),
        devices=("cpu",),
        jobs=1,
        setting=Setting(device="cpu"),
    )
    run_job(
        join(folder, plan),
        HereExecutor(crew),
        on_event=lambda event, progress: None,
        interrupted=lambda: False,
    )


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory) -> Path:
    """A work folder: shards of one stacked cohort with probes, no tables."""
    folder = tmp_path_factory.mktemp("trained") / "work"
    train(folder, "grid")
    assert len(finished_ids(folder / "shards")) == 4
    return folder


@pytest.fixture(scope="module")
def tables(trained, tmp_path_factory) -> Path:
    """The same as a finished corpus that was downloaded: tables alone."""
    folder = tmp_path_factory.mktemp("tables") / "corpus"
    shutil.copytree(trained, folder)
    finish(folder)
    for part in ("shards", "leases", "checkpoints"):
        shutil.rmtree(folder / part)
    (folder / "plan.parquet").unlink()
    return folder


def run_of(folder: Path, *, status: str = "completed", seed: int = 1) -> RunRecord:
    shards = folder / "shards"
    records = [RunRecord.load(shard_path(shards, i)) for i in finished_ids(shards)]
    found = [
        r
        for r in records
        if r.status == status and (status == "diverged" or r.config.seed == seed)
    ]
    assert len(found) == 1
    return found[0]


def trained_again(recorded: replay.Recorded) -> RunRecord:
    """Train a run again in this process."""
    prepared = replay.prepare(recorded, replay.Options())
    again = replay.retrain(prepared, executor=HereExecutor)
    assert again is not None
    return again


def replayed(folder: Path, run_id: str) -> replay.Replay:
    recorded = replay.find(folder, run_id)
    return replay.judge(recorded, trained_again(recorded))


@pytest.fixture(scope="module")
def again(trained, tables) -> dict[str, RunRecord]:
    """The second seed and the diverged run, trained again from the tables."""
    ids = {
        s: run_of(trained, status=s).config.run_id for s in ("completed", "diverged")
    }
    return {s: trained_again(replay.find(tables, i)) for s, i in ids.items()}


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    found = (p for p in folder.rglob("*"))
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in found}


def test_a_run_of_a_stacked_cohort_with_probes_is_replayed_bit_for_bit(trained):
    record, before = run_of(trained), files(trained)
    assert record.environment["packing"] == 4
    assert {"lambda_1", "gns_b_simple", "dirvar"} & set(record.curves)
    found = replayed(trained, record.config.run_id)
    assert found.verdict == "bitwise"
    counts = {s.signal: s.values for s in found.signals}
    for name, curve in record.curves.items():
        assert counts[name] == len(curve.values)
    assert counts[f"ood.{record.ood[0].set}.loss"] == len(record.ood) == 2
    assert counts["final.test_loss"] == 1
    assert found.environment == {"packing": (4, 1)}
    assert files(trained) == before


def test_a_downloaded_corpus_needs_no_shards(trained, tables, again):
    run_id = run_of(trained).config.run_id
    recorded = replay.find(tables, run_id[2:12])
    found = replay.judge(recorded, again["completed"])
    assert (found.run_id, found.verdict) == (run_id, "bitwise")
    of_shard = replay.find(trained, run_id).record
    everything = replay.compare(of_shard, recorded.record)
    assert all(signal.agrees for signal in everything)
    assert {s.signal for s in everything} == {s.signal for s in found.signals}


@pytest.mark.parametrize("kind", ["trained", "tables"])
def test_a_run_that_diverged_is_replayed_bit_for_bit(trained, kind, again, request):
    record = run_of(trained, status="diverged")
    assert record.diverged_step is not None
    assert not np.isfinite(record.curves["train_loss"].values[-1])
    recorded = replay.find(request.getfixturevalue(kind), record.config.run_id)
    found = replay.judge(recorded, again["diverged"])
    assert found.verdict == "bitwise"
    assert {s.signal: s.values for s in found.signals}["events"] >= 1


@pytest.mark.parametrize("built", [False, True])
def test_one_edited_value_is_found_at_its_step(trained, tmp_path, built, again):
    folder = tmp_path / "edited"
    shutil.copytree(trained, folder)
    record = run_of(folder)
    steps, values = record.curves["train_loss"]
    edited = values.copy()
    edited[3] = np.nextafter(edited[3], np.float32(9))
    curves = {**record.curves, "train_loss": Curve(steps, edited)}
    shard_path(folder / "shards", record.config.run_id).unlink()
    dataclasses.replace(record, curves=curves).save(folder / "shards")
    if built:
        finish(folder)
    recorded = replay.find(folder, record.config.run_id)
    found = replay.judge(recorded, again["completed"])
    assert found.verdict == "differs"
    assert "both end with the same bits" in found.reason
    assert (found.first_step, found.first_signals) == (int(steps[3]), ("train_loss",))
    wrong = [s for s in found.signals if not s.agrees]
    assert [(s.signal, s.values - s.same) for s in wrong] == [("train_loss", 1)]
    assert wrong[0].max_abs == float(edited[3]) - float(values[3])


def test_other_arithmetic_is_held_against_the_spread_of_seeds(
    cache, tmp_path, monkeypatch
):
    folder = tmp_path / "work"
    train(folder, "scaled_grid")
    records = [run_of(folder, seed=seed) for seed in range(3)]
    ends = [r.final["test_correct"] / r.final["test_n"] for r in records]
    run_id = records[0].config.run_id
    for factor, verdict in (("1.000001", "within-tolerance"), ("0.01", "differs")):
        monkeypatch.setenv(FACTOR, factor)
        found = replayed(folder, run_id)
        assert found.verdict == verdict
        assert found.noise.sd == pytest.approx(np.std(ends, ddof=1), rel=1e-12)
        far = abs(found.accuracy[1] - ends[0])
        assert (far <= np.std(ends, ddof=1)) == (verdict == "within-tolerance")
        assert found.first_step == 0  # of the evaluations before training
        loss = next(s for s in found.signals if s.signal == "train_loss")
        assert loss.same < loss.values
        assert loss.max_abs > 0


def changed(folder: Path, **environment: str) -> replay.Recorded:
    """Return a run as if it had been trained elsewhere."""
    found = replay.find(folder, run_of(folder).config.run_id)
    told = found.record.environment | environment
    record = dataclasses.replace(found.record, environment=told)
    return dataclasses.replace(found, record=record)


def test_other_data_are_refused_before_training(trained):
    here = replay.find(trained, run_of(trained).config.run_id).record.environment
    match = rf"fingerprint 0123456789abcdef, here it has {here['data_fingerprint']}"
    recorded = changed(trained, data_fingerprint="0123456789abcdef")
    with pytest.raises(DataError, match=match):
        replay.prepare(recorded, replay.Options())


def test_what_is_not_on_this_machine_is_told_before_training(trained, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    abroad = changed(trained, device="NVIDIA H200", execution="graph")
    with pytest.raises(ValueError, match=r"'NVIDIA H200', and torch sees no CUDA"):
        replay.prepare(abroad, replay.Options())
    moved = replay.prepare(abroad, replay.Options(device="cpu", threads=2)).setting
    assert (moved.device, moved.threads, moved.execution) == ("cpu", 2, "auto")
    with pytest.raises(ValueError, match=r"execution is 'quick', expected one of"):
        replay.prepare(abroad, replay.Options(device="cpu", execution="quick"))
    found = replay.find(trained, run_of(trained).config.run_id)
    for name, match in (
        ("nowhere_at_all:net", r"there is no module 'nowhere_at_all'"),
        ("tests.harness.tiny:net", r"tests\.harness\.tiny has no 'net'"),
    ):
        config = dataclasses.replace(found.config, model=Part(name, resolved=True))
        with pytest.raises(KeyError, match=match):
            replay.prepare(dataclasses.replace(found, config=config), replay.Options())


def test_a_replay_that_is_stopped_has_no_result(trained):
    recorded = replay.find(trained, run_of(trained).config.run_id)
    prepared = replay.prepare(recorded, replay.Options())
    stopped = replay.retrain(prepared, executor=HereExecutor, interrupted=lambda: True)
    assert stopped is None


def command(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(replay_command)
    return CliRunner().invoke(app, arguments)


def test_wrong_names_end_with_code_2(tables):
    done = command(str(tables), "r-zz")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "starts with r-zz" in done.stderr


@pytest.mark.slow
def test_a_worker_of_its_own_gives_the_same_bits_and_two_threads_are_told(
    trained, tables, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run_id = run_of(trained).config.run_id
    done = command(str(tables), run_id)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{run_id} of corpus: bitwise\n")
    assert "1/1 runs, 100%" in done.stderr
    done = command(str(tables), run_id, "--threads", "2", "--json")
    data = json.loads(done.stdout)
    assert data["environment"]["threads"] == {"recorded": 1, "here": 2}
    same = all(s["same"] == s["values"] for s in data["signals"])
    assert (data["verdict"] == "bitwise") == same
    assert (data["first_step"] is None) == same
    assert done.exit_code == (1 if data["verdict"] == "differs" else 0)


@pytest.mark.slow
def test_ctrl_c_ends_a_replay_with_code_75_and_leaves_nothing(
    trained, tables, tmp_path
):
    run_id = run_of(trained).config.run_id
    code = "import typer; from harness.replay_command import replay; typer.run(replay)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tables), run_id],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr.readline().startswith(f"replaying {run_id}")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (75, "")
    assert "stopped; the same command starts the replay again" in err
    assert not list(tmp_path.iterdir())
