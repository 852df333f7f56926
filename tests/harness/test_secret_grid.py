"""Private grids: the same design, with seeds and rates that nobody else can draw."""

import dataclasses
import hmac
import json
import math
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from harness.command import Request, prepare
from harness.corpus import Corpus
from harness.plan import Plan
from harness.planning import plan_grid
from harness.profiles import cifar10, digits, smoke
from harness.publish import build
from harness.record import RunRecord, same_outcome
from harness.secret import read_key
from harness.secret_grid import secret_twin
from harness.spec import Part, RunConfig, canonical_json
from harness.status import status
from harness.storage import read_parquet
from harness.train import train
from harness.verify import verify
from tests.harness.tiny import profile as tiny_profile
from tests.harness.toy import toy_data, toy_run

KEY, OTHER = bytes(range(32)), bytes(32)
TINY = {"grid": "tests.harness.tiny:grid", "profile": "tests.harness.tiny:profile"}
LABEL = "tests.harness.tiny:grid~secret/tiny"


def configs(plan: Plan) -> list[RunConfig]:
    return [run.config for run in plan.runs]


@pytest.fixture(scope="module")
def public() -> list[RunConfig]:
    return configs(plan_grid("t4", digits()))


@pytest.fixture(scope="module")
def twins(public) -> list[RunConfig]:
    """The secret twins of `public`, in its order."""
    return [secret_twin(config, KEY) for config in public]


def test_rate_and_seed_are_the_documented_hmacs():
    run = toy_run(lr=0.05, seed=3)
    twin = secret_twin(run, KEY)
    text = f'["rate","{run.family_id}"]'
    number = int.from_bytes(hmac.digest(KEY, text.encode(), "sha256")[:8], "big")
    rate = 0.05 * 10 ** (0.5 * number / 2**64 - 0.25)
    assert twin.optimizer.params["lr"] == pytest.approx(rate, rel=5e-6)
    text = f'["seed","{run.family_id}",3]'
    number = int.from_bytes(hmac.digest(KEY, text.encode(), "sha256")[:8], "big")
    assert twin.seed == number // 4


def test_nothing_but_rate_and_seed_changes(public, twins):
    for config, twin in zip(public, twins, strict=True):
        changed = {"optimizer": config.optimizer, "seed": config.seed}
        assert dataclasses.replace(twin, **changed) == config
        rate = {"lr": config.optimizer.params["lr"]}
        assert twin.optimizer.with_params(**rate) == config.optimizer
        assert twin != config


def test_rates_fill_half_a_decade_around_the_public_one_evenly(public, twins):
    shifts = {
        config.family_id: math.log10(
            twin.optimizer.params["lr"] / config.optimizer.params["lr"]
        )
        for config, twin in zip(public, twins, strict=True)
    }
    assert len(shifts) == len(set(shifts.values())) == 144
    assert all(abs(shift) < 0.25 for shift in shifts.values())
    even = stats.kstest(list(shifts.values()), stats.uniform(-0.25, 0.5).cdf)
    assert even.pvalue > 1e-3


def test_seeds_are_distinct_and_fill_62_bits_evenly(twins):
    seeds = [twin.seed for twin in twins]
    assert len(set(seeds)) == 432
    assert stats.kstest([s / 2**62 for s in seeds], "uniform").pvalue > 1e-3
    odd = sum(seed % 2 for seed in seeds)  # the low bits are drawn too
    assert stats.binomtest(odd, 432).pvalue > 1e-3


def test_replicates_stay_families_that_the_public_grid_does_not_know(public, twins):
    sizes = Counter(twin.family_id for twin in twins)
    assert set(sizes.values()) == {3}
    assert len(sizes) == 144
    assert sizes.keys().isdisjoint(config.family_id for config in public)


@pytest.mark.parametrize("grid", ["pilot", "t1", "t8", "t10", "edge"])
def test_no_grid_shares_a_family_or_a_seed_with_its_twin(grid):
    one = configs(plan_grid(grid, digits()))
    other = configs(plan_grid(grid, digits(), key=KEY))
    assert len(one) == len(other)
    for name in ("run_id", "trajectory_id", "family_id", "seed"):
        mine, theirs = ({getattr(c, name) for c in side} for side in (one, other))
        assert mine.isdisjoint(theirs)


def test_the_same_key_gives_the_same_plan_and_another_key_no_common_family():
    plan = plan_grid("t4", digits(), key=KEY)
    assert plan == plan_grid("t4", digits(), key=KEY)
    other = plan_grid("t4", digits(), key=OTHER)
    for name in ("family_id", "seed"):
        mine, theirs = ({getattr(c, name) for c in configs(p)} for p in (plan, other))
        assert mine.isdisjoint(theirs)


def test_probes_and_evaluations_change_no_trajectory():
    bare = plan_grid("t4", digits().with_probes(["none"]), key=KEY)
    probed = plan_grid("t4", digits(), key=KEY)
    ids = [{c.trajectory_id for c in configs(plan)} for plan in (bare, probed)]
    assert ids[0] == ids[1]


def test_the_label_says_secret_and_the_order_says_nothing(twins):
    plan = plan_grid("t4", digits(), key=KEY)
    assert {run.grids for run in plan.runs} == {("t4~secret/digits",)}
    ids = [run.run_id for run in plan.runs]
    assert ids == sorted(ids)
    assert set(ids) == {twin.run_id for twin in twins}
    assert all(c.run_id == i for c, i in zip(configs(plan), ids, strict=True))


def test_small_networks_still_train_in_packs_and_large_ones_alone():
    sizes = [len(c) for c in plan_grid("t4", digits(), key=KEY).cohorts().values()]
    assert sizes == [24] * 18
    assert len(plan_grid("pilot", cifar10(), key=KEY).cohorts()) == 18


@pytest.mark.parametrize("limit", [1, 5])
def test_a_limit_keeps_the_twins_of_the_first_runs(twins, limit):
    plan = plan_grid("t4", digits(), limit=limit, key=KEY)
    assert set(configs(plan)) == set(twins[:limit])
    smallest = plan_grid("t4", smoke(), key=KEY)
    assert len(smallest.runs) == 2


def test_an_optimizer_without_a_rate_is_refused():
    optimizer = Part("mine", {"step_size": 0.1}, resolved=True)
    run = dataclasses.replace(toy_run(), optimizer=optimizer)
    with pytest.raises(ValueError, match=r"'mine' has no argument lr \(it has step_s"):
        secret_twin(run, KEY)


# Seeds of 62 bits: a float would round them to multiples of 512.


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_record) -> Path:
    """A corpus of the tiny secret grid's runs, made without training."""
    folder = tmp_path_factory.mktemp("secret") / "corpus"
    plan = plan_grid(TINY["grid"], tiny_profile(), key=KEY)
    folder.mkdir()
    plan.save(folder)
    for run in plan.runs:
        record = dataclasses.replace(make_record(), config=run.config)
        record.save(folder / "shards")
    build(folder, name="secret", grids={run.run_id: run.grids for run in plan.runs})
    return folder


def test_seeds_and_rates_are_exact_in_plan_shards_tables_and_json(folder):
    plan = plan_grid(TINY["grid"], tiny_profile(), key=KEY)
    assert Plan.load(folder) == plan
    runs = Corpus.open(folder).runs()
    for run in plan.runs:
        seed, rate = run.config.seed, run.config.optimizer.params["lr"]
        shard = RunRecord.load(folder / "shards" / f"{run.run_id}.parquet")
        assert shard.config == run.config
        row = runs.row(by_predicate=pl.col("run_id") == run.run_id, named=True)
        assert (row["seed"], row["optimizer.lr"]) == (seed, rate)
        data = json.loads(row["config_json"])
        assert (data["seed"], data["optimizer"]["lr"]) == (seed, rate)
        assert data == json.loads(canonical_json(run.config.to_json()))
    assert any(seed != int(float(seed)) for seed in runs["seed"])


def test_the_folder_is_sound_and_its_status_names_the_secret_grid(folder):
    assert verify(folder) == []
    found = status(folder)
    assert found.is_done
    assert found.grids[LABEL]["completed"] == 12


def test_neither_key_nor_public_seed_and_rate_are_anywhere_in_the_folder(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    tables = [path for path in files if path.suffix == ".parquet"]
    texts = [path.read_bytes() for path in files]
    for table in map(read_parquet, tables):  # the files are compressed
        texts.append(repr((table.schema, table.to_pylist())).encode())
    assert len(tables) > 12
    for secret in (KEY, KEY.hex().encode(), KEY.hex().upper().encode()):
        assert not any(secret in text for text in texts)
    for config in configs(plan_grid(TINY["grid"], tiny_profile())):
        for name in (config.run_id, config.trajectory_id, config.family_id):
            assert not any(name.encode() in text for text in texts)


def test_a_run_is_replayed_from_its_shard_bit_for_bit_and_no_bit_of_a_seed_is_lost(
    tmp_path,
):
    twin = secret_twin(toy_run(model="patchnet", augmentation="crop_flip"), KEY)
    near = dataclasses.replace(twin, seed=twin.seed ^ 1)
    data = toy_data()
    both = train([twin, near], data)
    again = RunRecord.load(both[0].save(tmp_path)).config
    (replay,) = train([again], data)
    assert same_outcome(replay, both[0])
    losses = [record.curves["train_loss"].values for record in both]
    assert (losses[0] != losses[1]).all()


# What `harness generate --key` asks of a folder and a key file.


@pytest.fixture
def request_(tmp_path) -> Request:
    key = tmp_path / "t4.key"
    return Request(**TINY, folder=tmp_path / "corpus", device="cpu", key=key)


def begun(request: Request) -> None:
    job = prepare(request).job
    request.folder.mkdir()
    job.merged.save(request.folder)


def test_a_new_folder_may_begin_with_a_new_key_and_goes_on_with_it(request_, capsys):
    begun(request_)
    assert f"key: {request_.key} is new; keep it" in capsys.readouterr().err
    job = prepare(request_).job
    assert capsys.readouterr().err == ""
    assert job.merged == job.plan == Plan.load(request_.folder)
    assert {run.grids for run in job.plan.runs} == {(LABEL,)}
    assert job.plan == plan_grid(
        TINY["grid"], tiny_profile(), key=read_key(request_.key)
    )


def test_limits_probes_and_evaluations_go_on_with_the_same_key(request_):
    begun(dataclasses.replace(request_, limit=1))
    assert len(prepare(request_).job.merged.runs) == 12
    measured = dataclasses.replace(request_, probes=("hessian",), evals_per_epoch=2)
    assert len(prepare(measured).job.merged.runs) == 13


@pytest.mark.parametrize("limit", [None, 1])
def test_another_key_is_refused_and_the_plan_is_not_doubled(request_, tmp_path, limit):
    begun(request_)
    before = Plan.load(request_.folder)
    other = tmp_path / "other.key"
    read_key(other, create=True)
    with pytest.raises(
        ValueError, match=r"corpus has 12 runs .* none .*other\.key dra"
    ):
        prepare(dataclasses.replace(request_, key=other, limit=limit))
    assert Plan.load(request_.folder) == before


def test_a_lost_key_is_not_made_anew(request_):
    begun(request_)
    request_.key.unlink()
    with pytest.raises(
        ValueError, match=r"does not exist, and .* has secret runs: give"
    ):
        prepare(request_)
    assert not request_.key.exists()


def test_public_and_secret_runs_may_share_a_folder(request_):
    begun(dataclasses.replace(request_, key=None))
    merged = prepare(request_).job.merged
    assert len(merged.runs) == 24
    assert len({run.config.family_id for run in merged.runs}) == 12


def test_a_key_inside_the_corpus_is_refused(request_):
    inside = request_.folder / "keys" / "key"
    with pytest.raises(ValueError, match=r"lies in the corpus .*: move it elsewhere"):
        prepare(dataclasses.replace(request_, key=inside))
    assert not inside.exists()


def test_a_key_that_others_can_read_is_refused(request_):
    read_key(request_.key, create=True)
    request_.key.chmod(0o644)
    with pytest.raises(ValueError, match=r"chmod 600 .*t4\.key"):
        prepare(request_)


@pytest.mark.slow
def test_a_secret_grid_is_trained_resumed_and_verified_and_no_output_shows_the_key(
    command_line, tmp_path
):
    folder, key = tmp_path / "corpus", tmp_path / "key"
    outputs = []

    def harness(*arguments: str) -> int:
        code, out, err = command_line(*arguments)
        outputs.append(out + err)
        return code

    options = ["--grid", TINY["grid"], "--profile", TINY["profile"], "--jobs", "1"]
    options = ["generate", *options, "--out", str(folder), "--key", str(key)]
    assert harness(*options, "--dry-run") == 0
    assert "12 runs, 0 of them finished" in outputs[-1]
    assert not folder.exists()
    assert harness(*options, "--limit", "3") == 0
    assert harness(*options) == 0
    assert "12 runs, 3 finished before" in outputs[-1]
    assert harness("status", str(folder)) == 0
    assert LABEL in outputs[-1]
    assert harness("verify", str(folder)) == 0
    runs = Corpus.open(folder).runs()
    assert runs.height == 12
    assert runs["family_id"].n_unique() == 6
    assert runs["seed"].min() > 2**53
    secret = key.read_text().strip()
    assert not any(secret in output for output in outputs)
