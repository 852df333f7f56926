"""The pilot grid."""

from itertools import product

from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig


@GRIDS.register("pilot")
def pilot(profile: Profile) -> list[RunConfig]:
    """Pilot, 18 runs: are the base settings of every optimizer sound?

    3 optimizers x 2 schedules x 3 seeds at the base learning rate.
    """
    factors = product(("sgd", "adamw", "lion"), ("cosine", "const_cool"), range(3))
    return [
        profile.run(optimizer=optimizer, schedule=schedule, seed=seed)
        for optimizer, schedule, seed in factors
    ]
