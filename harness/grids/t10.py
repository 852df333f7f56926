"""Grid T-10."""

from itertools import product

from harness.profiles import Profile
from harness.registry import GRIDS
from harness.spec import RunConfig


@GRIDS.register("t10")
def t10(profile: Profile) -> list[RunConfig]:
    """T-10, 162 runs: do cheap runs on small images foretell runs on large ones?

    3 resolutions x 3 widths x 3 learning rates x 2 schedules (step is the negative
    control) x 3 seeds. The images are natively of the largest resolution.
    """
    factors = product(
        profile.resolutions,
        (0.5, 1.0, 2.0),
        (0.3, 1.0, 3.0),
        ("cosine", "step"),
        range(3),
    )
    return [
        profile.run(
            resolution=resolution,
            width=width,
            lr_mult=lr_mult,
            schedule=schedule,
            seed=seed,
        )
        for resolution, width, lr_mult, schedule, seed in factors
    ]
