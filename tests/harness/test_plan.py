"""Grids, profiles and plans: counts, overlaps, cohorts."""

from itertools import combinations

import pytest

from harness.plan import Plan
from harness.planning import PACK, plan_grid
from harness.profiles import Profile, cifar10, digits, smoke
from harness.registry import GRIDS, PROFILES

EXPECTED = {"pilot": 18, "t1": 108, "t4": 432, "t8": 72, "t10": 162, "edge": 288}


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {grid: plan_grid(grid, cifar10()) for grid in EXPECTED}


def test_the_registered_grids_are_the_designed_ones():
    assert set(GRIDS.names()) == set(EXPECTED)
    for grid in EXPECTED:
        docstring = GRIDS.get(grid).__doc__
        assert "?" in docstring.splitlines()[0], "a grid states its question"
        assert str(EXPECTED[grid]) in docstring


@pytest.mark.parametrize("grid", EXPECTED)
@pytest.mark.parametrize("profile", [cifar10, digits])
def test_a_grid_has_its_designed_number_of_distinct_runs(grid, profile):
    assert len(plan_grid(grid, profile()).runs) == EXPECTED[grid]


def test_runs_shared_between_grids_are_one_run(plans):
    ids = {grid: {run.run_id for run in plan.runs} for grid, plan in plans.items()}
    shared = {
        (a, b): len(ids[a] & ids[b]) for a, b in combinations(("t1", "t4", "t8"), 2)
    }
    assert shared == {("t1", "t4"): 36, ("t1", "t8"): 36, ("t4", "t8"): 36}
    union = ids["pilot"] | ids["t1"] | ids["t4"] | ids["t8"]
    assert len(union) == 531  # of 630: grids.md


def test_a_family_holds_the_seeds_of_one_configuration(plans):
    families: dict[str, set[int]] = {}
    for run in plans["t4"].runs:
        families.setdefault(run.config.family_id, set()).add(run.config.seed)
    assert len(families) == 144
    assert all(seeds == {0, 1, 2} for seeds in families.values())


def test_sgds_learning_rate_is_linear_in_the_batch_size_and_the_others_is_fixed():
    profile = cifar10()

    def lr(optimizer: str, batch_size: int) -> float:
        run = profile.run(optimizer=optimizer, batch_size=batch_size, lr_mult=0.3)
        return float(run.optimizer.params["lr"])

    assert lr("sgd", 128) == pytest.approx(0.03)
    assert lr("sgd", 512) == pytest.approx(0.12)
    assert lr("adamw", 128) == lr("adamw", 512) == pytest.approx(3e-4)
    assert lr("lion", 64) == pytest.approx(3e-5)


def test_a_small_data_set_takes_proportionally_small_batches():
    assert digits().run(batch_size=128).batch_size == 32
    assert digits().run(batch_size=128).optimizer == digits().run().optimizer


def test_small_networks_train_in_packs_and_large_ones_alone(plans):
    sizes = [len(c) for c in plan_grid("t4", digits()).cohorts().values()]
    assert sizes == [PACK] * 18
    assert all(len(c) == 1 for c in plans["t4"].cohorts().values())


def test_the_smoke_profile_keeps_two_runs_of_one_seed():
    plan = plan_grid("t4", smoke())
    assert [run.config.seed for run in plan.runs] == [0, 0]
    assert plan.runs[0].config.optimizer.name != plan.runs[1].config.optimizer.name


def test_a_plan_survives_the_disk(tmp_path):
    plan = plan_grid("pilot", digits())
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan


def test_merging_keeps_the_first_cohort_and_names_both_grids():
    one, other = plan_grid("t4", digits()), plan_grid("t1", digits())
    merged = one.merged_with(other)
    assert len(merged.runs) == 432 + 108 - 36
    both = [run for run in merged.runs if len(run.grids) == 2]
    assert len(both) == 36
    assert {run.cohort_id for run in both} <= set(one.cohorts())


def test_a_limit_keeps_the_first_runs():
    assert plan_grid("t4", digits(), limit=5).runs == tuple(
        type(run)(run.config, run.run_id, planned.cohort_id, run.grids)
        for run, planned in zip(
            plan_grid("t4", digits()).runs[:5],
            plan_grid("t4", digits(), limit=5).runs,
            strict=True,
        )
    )
    with pytest.raises(ValueError, match="limit is 0, expected a positive number"):
        plan_grid("t4", digits(), limit=0)


@pytest.mark.parametrize("name", ["cifar10", "cifar10-jpeg", "digits", "smoke"])
def test_every_profile_runs_every_grid(name):
    profile: Profile = PROFILES.get(name)()
    assert profile.name == name
    for grid in EXPECTED:
        for config in GRIDS.get(grid)(profile):
            assert config.resolve().run_id.startswith("r-")
