"""Grid T-8."""

from itertools import product

from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig


@GRIDS.register("t8")
def t8(profile: Profile) -> list[RunConfig]:
    """T-8, 72 runs: can a doomed run be told early enough to be worth stopping?

    2 optimizers x 3 schedules x 4 learning rates (ten times the base makes doomed runs)
    x 3 seeds. Every run trains to its end: stopping is simulated afterwards.
    """
    factors = product(
        ("sgd", "adamw"),
        ("cosine", "const_cool", "step"),
        (0.1, 1.0, 3.0, 10.0),
        range(3),
    )
    return [
        profile.run(optimizer=optimizer, schedule=schedule, lr_mult=lr_mult, seed=seed)
        for optimizer, schedule, lr_mult, seed in factors
    ]
