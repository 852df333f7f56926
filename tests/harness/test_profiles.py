"""Profiles: what the committed corpora rest on, and the fast one's arithmetic."""

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from harness.cadence import Timeline, cadence_steps
from harness.grids.t4 import t4
from harness.models import ResNet9
from harness.planning import plan_grid
from harness.profiles import (
    Profile,
    cifar10_fast,
    cifar10_jpeg_fast,
    digits,
)
from harness.registry import GRIDS, PROFILES
from harness.schema import WINDOW_EDGES

CORPORA = Path(__file__).parents[2] / "corpora"
TRAIN, BATCHES = 45_000, (256, 512, 1024)


def committed(grid: str, column: str) -> set[str]:
    table = pq.read_table(CORPORA / f"{grid}-digits" / "runs", columns=[column])
    return set(table.column(column).to_pylist())


@pytest.mark.parametrize("grid", ["t4", "t8", "edge"])
def test_digits_still_plans_the_runs_of_the_committed_corpora(grid: str):
    planned = {run.run_id for run in plan_grid(grid, digits()).runs}
    assert planned == committed(grid, "run_id")


def test_digits_still_plans_the_runs_of_t1_which_has_the_plateau_probe_too():
    profile = digits().with_probes(("noise", "curvature", "plateau"))
    planned = {run.run_id for run in plan_grid("t1", profile).runs}
    assert planned == committed("t1", "run_id")


@pytest.mark.parametrize(
    ("scale", "expected"), [(0.25, (16, 32, 64)), (1, (64, 128, 256)), (4, BATCHES)]
)
def test_the_batch_scale_multiplies_the_grids_batch_sizes(
    scale: float, expected: tuple[int, ...]
):
    profile = dataclasses.replace(digits(), batch_scale=scale)
    runs = [profile.run(batch_size=size) for size in (64, 128, 256)]
    assert tuple(run.batch_size for run in runs) == expected
    rates = [run.optimizer.params["lr"] for run in runs]  # linear in the grid's units
    assert rates == pytest.approx([0.05, 0.1, 0.2])


def test_a_scaled_batch_holds_at_least_one_image():
    assert digits().run(batch_size=3).batch_size == 1


@pytest.mark.parametrize("name", ["cifar10-fast", "cifar10-jpeg-fast"])
@pytest.mark.parametrize("grid", GRIDS.names())
def test_the_fast_profiles_run_every_grid(name: str, grid: str):
    profile: Profile = PROFILES.get(name)()
    assert profile.name == name
    configs = [config.resolve() for config in GRIDS.get(grid)(profile)]
    assert {c.precision for c in configs} == {"bfloat16"}
    assert {c.model.name for c in configs} == {"resnet9"}
    assert len({c.run_id for c in configs}) == len(configs)


def test_the_fast_t4_grid_has_four_times_the_batches_in_8_to_16_epochs():
    configs = t4(cifar10_fast())
    assert {c.batch_size for c in configs} == set(BATCHES)
    assert {c.epochs for c in configs} <= set(range(8, 17))
    warm = {c.schedule.params["warmup_epochs"] / c.epochs for c in configs}
    assert all(0.15 <= share <= 0.25 for share in warm)


def test_the_mirrors_profile_differs_from_the_fast_one_in_its_data_alone():
    one, other = cifar10_fast(), cifar10_jpeg_fast()
    mended = dataclasses.replace(
        other,
        name=one.name,
        dataset=one.dataset,
        resolution_dataset=one.resolution_dataset,
        offered=one.offered,
    )
    assert mended == one
    assert other.dataset.name == "cifar10-jpeg"


@pytest.mark.parametrize("batch", BATCHES)
def test_every_signal_of_the_fast_profile_has_a_value_by_20_percent(batch: int):
    timeline = Timeline(10 * (TRAIN // batch), TRAIN // batch)
    early = timeline.num_steps * WINDOW_EDGES[2] / 100
    for part in cifar10_fast().with_probes(("all",)).probes:
        cadence = part.params.get("cadence", "windows")
        first = part.params.get("window", 1)
        steps = cadence_steps(cadence, timeline)
        assert any(first <= step <= early for step in steps), part.name


def passes_of_probes(profile: Profile) -> float:
    """Image gradients a run, by the formulas of the probes' docstrings."""
    total = 0.0
    for part in profile.probes:
        p = {"images": 256, "cadence": "windows", **part.params}
        times = len(cadence_steps(p["cadence"], Timeline(870, 87)))
        each = {
            "gradient_noise": lambda p=p: 2,
            "update_direction": lambda: 0,
            "gradient_autocorrelation": lambda: 2,
            "hessian": lambda p=p: 1 + 2 * (p["steps"] + p["probes"]),
            "hessian_spectrum": lambda p=p: (
                1 + 2 * (p["steps"] * (p["probes"] + 1) + 8)
            ),
            "sharpness": lambda p=p: p["steps"] * p["starts"] + (p["starts"] + 2) / 3,
            "gradient_covariance": lambda p=p: (
                1 + 4 * (p["probes"] + 8) + 2 * (p["steps"] + 8)
            ),
        }[part.name]()
        total += p["images"] * times * each
    return total


def operations(probes: tuple[str, ...]) -> float:
    """Operations of one run of the fast profile at 512 images a batch."""
    with torch.device("meta"):
        model, images = ResNet9((3, 32, 32), 10).eval(), torch.empty(2, 3, 32, 32)
        labels = torch.zeros(2, dtype=torch.long)
    with FlopCounterMode(display=False) as forward:
        model(images)
    with FlopCounterMode(display=False) as both:
        F.cross_entropy(model(images), labels).backward()
    run = cifar10_fast().with_probes(probes).run()
    (corrupted,) = run.recording.ood
    gradients = run.epochs * (TRAIN // run.batch_size) * run.batch_size
    gradients += passes_of_probes(cifar10_fast().with_probes(probes))
    evaluations = run.epochs * run.recording.evals_per_epoch + 2  # first and last
    scored = evaluations * 10_000 + 2 * 10_000 + 19 * 5 * corrupted.params["num_images"]
    total = gradients * both.get_total_flops() + scored * forward.get_total_flops()
    return total / len(images)


def test_a_fast_t4_grid_needs_a_third_of_a_gpus_operations_in_an_hour():
    # 432 runs an hour are 8.33 s a run; 790e12 operations a second of bfloat16.
    room = 790e12 * 3600 / 432
    assert 0.2 < operations(("noise", "curvature")) / room < 0.27
    assert operations(("all",)) / room < 0.36
