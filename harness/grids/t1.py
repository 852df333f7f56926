"""Grid T-1."""

from itertools import product

from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig


@GRIDS.register("t1")
def t1(profile: Profile) -> list[RunConfig]:
    """T-1, 108 runs: does a straight early loss curve foretell the end of a run?

    2 optimizers x 3 schedules (step is the negative control) x 3 learning rates x 2
    batch sizes x 3 seeds.
    """
    factors = product(
        ("sgd", "adamw"),
        ("cosine", "const_cool", "step"),
        (0.3, 1.0, 3.0),
        (128, 512),
        range(3),
    )
    return [
        profile.run(
            optimizer=optimizer,
            schedule=schedule,
            lr_mult=lr_mult,
            batch_size=batch_size,
            seed=seed,
        )
        for optimizer, schedule, lr_mult, batch_size, seed in factors
    ]
