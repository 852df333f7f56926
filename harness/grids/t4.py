"""Grid T-4."""

from itertools import product

from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig


@GRIDS.register("t4")
def t4(profile: Profile) -> list[RunConfig]:
    """T-4, 432 runs: which early noise signal foretells accuracy, and at what price?

    3 optimizers x 3 batch sizes x 4 learning rates x 2 schedules (step is the negative
    control) x 2 augmentations x 3 seeds.
    """
    factors = product(
        ("sgd", "adamw", "lion"),
        (64, 128, 256),
        (0.1, 0.3, 1.0, 3.0),
        ("cosine", "step"),
        ("std", "randaugment"),
        range(3),
    )
    return [
        profile.run(
            optimizer=optimizer,
            batch_size=batch_size,
            lr_mult=lr_mult,
            schedule=schedule,
            augmentation=augmentation,
            seed=seed,
        )
        for optimizer, batch_size, lr_mult, schedule, augmentation, seed in factors
    ]
