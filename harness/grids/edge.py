"""Grid edge: the learning rates at which training stops working."""

from itertools import product

from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig


@GRIDS.register("edge")
def edge(profile: Profile) -> list[RunConfig]:
    """Edge, 288 runs: which runs fail to learn, and how early does it show?

    3 optimizers x 8 learning rates, a quarter of a decade apart from the base on, x 2
    batch sizes x 2 schedules x 3 seeds. In the planned grids few runs or none fail, so
    that telling them apart cannot be scored there.
    """
    factors = product(
        ("sgd", "adamw", "lion"),
        (1.0, 1.8, 3.2, 5.6, 10.0, 18.0, 32.0, 56.0),
        (64, 256),
        ("cosine", "step"),
        range(3),
    )
    return [
        profile.run(
            optimizer=optimizer,
            lr_mult=lr_mult,
            batch_size=batch_size,
            schedule=schedule,
            seed=seed,
        )
        for optimizer, lr_mult, batch_size, schedule, seed in factors
    ]
