"""Which probes a run gets: sets of the profile, names, none."""

import pytest
import torch

from harness.datasets.source import find_source
from harness.estimate import estimate
from harness.planning import plan_grid
from harness.profiles import Profile
from harness.registry import PROBES, PROFILES
from harness.workbench import Workbench


def names(profile: Profile) -> list[str]:
    return [part.name for part in profile.probes]


@pytest.mark.parametrize("profile", ["cifar10", "cifar10-jpeg", "digits", "smoke"])
def test_every_profile_records_noise_and_curvature_by_default(profile):
    chosen: Profile = PROFILES.get(profile)()
    assert chosen.probes == chosen.with_probes(("noise", "curvature")).probes
    assert chosen.run().resolve().probes


@pytest.mark.parametrize("profile", ["cifar10", "digits"])
def test_all_is_every_registered_probe(profile):
    chosen: Profile = PROFILES.get(profile)().with_probes(("all",))
    assert names(chosen) == PROBES.names()


def test_the_order_of_names_does_not_make_other_runs():
    profile: Profile = PROFILES.get("digits")()
    one = plan_grid("pilot", profile.with_probes(("noise", "curvature")))
    other = plan_grid("pilot", profile.with_probes(("curvature", "hessian", "noise")))
    assert [r.run_id for r in one.runs] == [r.run_id for r in other.runs]


def test_a_probe_by_name_has_the_arguments_of_the_profile():
    (part,) = PROFILES.get("digits")().with_probes(("sharpness",)).probes
    assert part.params == {"images": 128}


def test_a_probe_of_ones_own_has_its_defaults():
    name = "tests.harness.probes.fakes:Norms"
    (part,) = PROFILES.get("digits")().with_probes((name,)).probes
    assert (part.name, part.params) == (name, {})


def test_none_is_no_probe_and_the_same_trajectory():
    profile: Profile = PROFILES.get("digits")()
    bare = profile.with_probes(("none",))
    assert bare.probes == ()
    one, other = (p.run(seed=1).resolve() for p in (profile, bare))
    assert one.trajectory_id == other.trajectory_id
    assert one.run_id != other.run_id


def test_unknown_and_missing_names_are_refused():
    profile: Profile = PROFILES.get("digits")()
    with pytest.raises(KeyError, match="did you mean 'hessian'"):
        profile.with_probes(("hesian",))
    with pytest.raises(KeyError, match="no probe is called 'none'"):
        profile.with_probes(("none", "noise"))
    with pytest.raises(ValueError, match="say 'none' for none"):
        profile.with_probes(())


def test_without_a_gpu_probes_leave_bfloat16_too():
    profile: Profile = PROFILES.get("cifar10")()
    assert "bfloat16" in {part.params.get("precision") for part in profile.probes}
    single = profile.in_float32()
    assert single.precision == "float32"
    for part in (*single.probes, *single.with_probes(("all",)).probes):
        assert part.params.get("precision", "float32") == "float32"
    assert names(single) == names(profile)


def test_an_estimate_counts_what_probes_pass():
    profile: Profile = PROFILES.get("smoke")().with_probes(("sharpness",))
    (cohort,) = plan_grid("pilot", profile, limit=1).cohorts().values()
    share = estimate([cohort], Workbench(find_source(None), torch.device("cpu")))
    # 5 forward passes and 60 gradients of 128 images a window; the windows of a run of
    # 8 updates end after 1, 2, 4 and 8 of them
    assert share.probe_share == pytest.approx(4 * 128 * (60 + 5 / 3) / (2 * 128))
