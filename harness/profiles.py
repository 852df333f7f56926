"""Profiles: what a grid is run on. A grid says which factors cross, a profile the rest.

Base settings follow the plan: SGD with Nesterov momentum at a learning rate of 0.1 for
128 images, linear in the batch size; AdamW and Lion at fixed learning rates.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.registry import PROBES, PROFILES
from harness.spec import Part, Recording, RunConfig

REFERENCE_BATCH = 128
"""Batch size, in a grid's own units, at which SGD's base learning rate holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Data, model and base settings under a grid's factors."""

    name: str
    """Registered name."""
    dataset: Part
    """Data set of every run."""
    model: Part
    """Model of every run."""
    epochs: int
    """Passes over the training set."""
    optimizers: dict[str, Part]
    """Optimizers with their base learning rates, by the grid's level name."""
    augmentations: dict[str, Part]
    """Augmentations by the grid's level name: "std" and "randaugment"."""
    recording: Recording
    """Evaluation cadence and out-of-distribution sets."""
    precision: str = "float32"
    """Arithmetic of forward and backward passes."""
    batch_scale: float = 1.0
    """Multiplies the grid's batch sizes: below 1 for few images, above 1 for speed."""
    warmup_epochs: float = 1.0
    """Linear warm-up of every schedule."""
    resolutions: tuple[int, int, int] = (32, 48, 64)
    """Levels of the factor resolution, in pixels."""
    resolution_dataset: Part | None = None
    """Data set of grids that vary the resolution, where it is another one."""
    probe_sets: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    """Probes by the name under which `--probes` knows them, fit for this profile."""
    probes: tuple[Part, ...] = ()
    """Probes of every run."""
    max_runs: int | None = None
    """Keep only this many runs of a grid, spread over its first seed."""
    offered: tuple[str, ...] = ()
    """Natural shifts of the data set, recorded where their data are at hand."""
    at_hand: tuple[Part, ...] = ()
    """Those of them that are; scored at the data set's own resolution only."""

    def run(
        self,
        *,
        optimizer: str = "sgd",
        lr_mult: float = 1.0,
        schedule: str = "cosine",
        batch_size: int = REFERENCE_BATCH,
        augmentation: str = "std",
        resolution: int | None = None,
        width: float | None = None,
        seed: int = 0,
    ) -> RunConfig:
        """Return the run at these levels of a grid's factors."""
        base = self.optimizers[optimizer]
        per_batch = batch_size / REFERENCE_BATCH if optimizer == "sgd" else 1.0
        rate = base.params["lr"] * lr_mult * per_batch
        dataset, model, recording = self.dataset, self.model, self.recording
        if resolution is None:
            ood = (*recording.ood, *self.at_hand)
            recording = dataclasses.replace(recording, ood=ood)
        else:
            dataset = self.resolution_dataset or dataset
            dataset = dataset.with_params(resolution=resolution)
        if width is not None:
            model = model.with_params(width=width)
        return RunConfig(
            dataset=dataset,
            model=model,
            # 12 digits: the same product in another order is the same rate
            optimizer=base.with_params(lr=float(f"{rate:.12g}")),
            schedule=Part(schedule, {"warmup_epochs": self.warmup_epochs}),
            batch_size=max(1, int(batch_size * self.batch_scale)),
            epochs=self.epochs,
            seed=seed,
            augmentation=self.augmentations[augmentation],
            precision=self.precision,
            probes=self.probes,
            recording=recording,
        )

    def in_float32(self) -> "Profile":
        """Return the profile with training and probes in float32."""
        return dataclasses.replace(
            self,
            precision="float32",
            probes=tuple(_in_float32(part) for part in self.probes),
            probe_sets={
                name: tuple(_in_float32(part) for part in parts)
                for name, parts in self.probe_sets.items()
            },
        )

    def with_probes(self, names: Sequence[str]) -> "Profile":
        """Return the profile with the probes called so.

        Args:
            names: Sets of this profile ("noise", "curvature", "plateau", "all"),
                registered probes or `module:attribute`; "none" alone for no probe. A
                probe that is in one of the sets has the arguments that it has there;
                the last set that names it wins.

        Raises:
            KeyError: A name is neither a set nor a probe.
            ValueError: There is no name.
        """
        if not names:
            raise ValueError("no probe is named: say 'none' for none")
        tuned = {part.name: part for s in self.probe_sets.values() for part in s}
        chosen: dict[str, Part] = {}
        for name in names if tuple(names) != ("none",) else ():
            if name in self.probe_sets:
                chosen |= {part.name: part for part in self.probe_sets[name]}
            else:
                PROBES.get(name)
                chosen[name] = tuned.get(name, Part(name))
        ordered = tuple(part for _, part in sorted(chosen.items()))
        return dataclasses.replace(self, probes=ordered)


def _in_float32(probe: Part) -> Part:
    if "precision" not in probe.params:
        return probe
    return probe.with_params(precision="float32")


def _probe_sets(
    noise: tuple[Part, ...], curvature: tuple[Part, ...], more: tuple[Part, ...]
) -> dict[str, tuple[Part, ...]]:
    """Return the sets that `--probes` knows by name."""
    (hessian,) = (part for part in curvature if part.name == "hessian")
    return {
        # the task plateau/w30 asks when lambda_1 stands still: that takes many values
        "plateau": (hessian.with_params(cadence="epochs:1"),),
        "noise": noise,
        "curvature": curvature,
        "all": (*noise, *curvature, *more),
    }


# docs/signals.md counts and measures what these cost.
HALF = {"precision": "bfloat16"}
DEFAULT_PROBES = ("noise", "curvature")
CIFAR_PROBES = _probe_sets(
    noise=(
        Part("gradient_noise", {"images": 512, "microbatch": 4} | HALF),
        Part("update_direction"),
    ),
    curvature=(
        Part(
            "hessian",
            {"cadence": "log:20", "images": 256, "steps": 12, "probes": 6}
            | HALF
            | {"tolerance": 0.01},
        ),
        Part("gradient_autocorrelation", {"cadence": "log:20"} | HALF),
    ),
    more=(
        Part("hessian_spectrum", HALF | {"tolerance": 0.01}),
        Part("sharpness", HALF),
        Part("gradient_covariance", HALF | {"tolerance": 0.01}),
    ),
)
DIGITS_PROBES = _probe_sets(
    noise=(
        Part("gradient_noise", {"cadence": "windows", "images": 100, "microbatch": 1}),
        Part("update_direction", {"cadence": "windows", "window": 16}),
    ),
    curvature=(
        Part(
            "hessian", {"cadence": "windows", "images": 128, "steps": 16, "probes": 6}
        ),
        Part("gradient_autocorrelation", {"cadence": "windows", "images": 128}),
    ),
    more=(
        Part("hessian_spectrum", {"images": 128}),
        Part("sharpness", {"images": 128}),
        Part("gradient_covariance", {"images": 128}),
    ),
)


CIFAR_OPTIMIZERS = {
    "sgd": Part("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "l2": 5e-4}),
    "adamw": Part("adamw", {"lr": 1e-3, "weight_decay": 5e-2}),
    "lion": Part("lion", {"lr": 1e-4, "weight_decay": 0.5}),
}


@PROFILES.register("cifar10")
def cifar10() -> Profile:
    """ResNet-18 on CIFAR-10, 50 epochs in bfloat16: the plan's setting, for a GPU."""
    return Profile(
        name="cifar10",
        dataset=Part("cifar10"),
        model=Part("resnet18"),
        epochs=50,
        optimizers=CIFAR_OPTIMIZERS,
        augmentations={"std": Part("crop_flip"), "randaugment": Part("randaugment")},
        recording=Recording(ood=(Part("corrupted"),)),
        precision="bfloat16",
        probe_sets=CIFAR_PROBES,
        resolution_dataset=Part("tiny-imagenet"),
        offered=("cifar10.1-v6", "cinic10"),
    ).with_probes(DEFAULT_PROBES)


@PROFILES.register("cifar10-jpeg")
def cifar10_jpeg() -> Profile:
    """The plan's setting on the JPEG re-encoding of CIFAR-10, from a local mirror."""
    return dataclasses.replace(
        cifar10(),
        name="cifar10-jpeg",
        dataset=Part("cifar10-jpeg"),
        resolution_dataset=None,
        offered=(),
    )


# Chosen, and its cost counted, by docs/profiles.md.
FAST_PROBES = _probe_sets(
    noise=(
        # the tail index takes 100 micro-batches
        Part(
            "gradient_noise",
            {"cadence": "log:9", "images": 256, "microbatch": 2} | HALF,
        ),
        # a window of its own: an epoch has 43 to 175 updates, by the batch size
        Part("update_direction", {"cadence": "log:9", "window": 32}),
    ),
    curvature=(
        Part(
            "hessian",
            {"cadence": "log:9", "images": 256, "steps": 12, "probes": 4}
            | HALF
            | {"tolerance": 0.01},
        ),
        Part("gradient_autocorrelation", {"cadence": "log:9"} | HALF),
    ),
    more=(
        Part(
            "hessian_spectrum",
            {"cadence": "log:3", "probes": 4, "steps": 20} | HALF | {"tolerance": 0.01},
        ),
        Part("sharpness", {"steps": 10, "starts": 2} | HALF),
        Part(
            "gradient_covariance",
            {"cadence": "log:3", "probes": 4, "steps": 12} | HALF | {"tolerance": 0.01},
        ),
    ),
)


@PROFILES.register("cifar10-fast")
def cifar10_fast() -> Profile:
    """ResNet-9 on CIFAR-10, 10 epochs in bfloat16: seconds a run on a large GPU.

    Batches are four times the grid's, and SGD's base learning rate holds at 512 images.
    """
    return dataclasses.replace(
        cifar10(),
        name="cifar10-fast",
        model=Part("resnet9"),
        epochs=10,
        optimizers={
            "sgd": CIFAR_OPTIMIZERS["sgd"].with_params(lr=0.4),
            "adamw": CIFAR_OPTIMIZERS["adamw"].with_params(lr=3e-3),
            "lion": CIFAR_OPTIMIZERS["lion"].with_params(lr=1e-3),
        },
        recording=Recording(ood=(Part("corrupted", {"num_images": 2000}),)),
        batch_scale=4.0,
        warmup_epochs=1.5,
        probe_sets=FAST_PROBES,
    ).with_probes(DEFAULT_PROBES)


@PROFILES.register("cifar10-jpeg-fast")
def cifar10_jpeg_fast() -> Profile:
    """The fast setting on the JPEG re-encoding of CIFAR-10, from a local mirror."""
    return dataclasses.replace(
        cifar10_fast(),
        name="cifar10-jpeg-fast",
        dataset=Part("cifar10-jpeg"),
        resolution_dataset=None,
        offered=(),
    )


@PROFILES.register("digits")
def digits() -> Profile:
    """Small convolutional networks on scikit-learn's digits: minutes on a laptop."""
    shifts = {"pad": 1, "flip": False}  # a mirrored digit is another sign
    return Profile(
        name="digits",
        # Chosen by docs/profiles.md: with more images early loss tells nearly all.
        dataset=Part("digits", {"train_size": 256}),
        model=Part("patchnet"),
        epochs=50,
        optimizers={
            "sgd": Part("sgd", {"lr": 0.1, "momentum": 0.9, "l2": 5e-4}),
            "adamw": Part("adamw", {"lr": 1e-2, "weight_decay": 5e-2}),
            "lion": Part("lion", {"lr": 2e-3, "weight_decay": 0.5}),
        },
        augmentations={
            "std": Part("crop_flip", shifts),
            "randaugment": Part("randaugment", shifts),
        },
        recording=Recording(train_subset=128, ood=(Part("corrupted"),)),
        batch_scale=0.25,
        probe_sets=DIGITS_PROBES,
        resolutions=(4, 6, 8),
        offered=("mnist-8",),
    ).with_probes(DEFAULT_PROBES)


@PROFILES.register("smoke")
def smoke() -> Profile:
    """Two runs of two epochs on few digits: seconds, to see that all works."""
    return dataclasses.replace(
        digits(),
        name="smoke",
        dataset=Part("digits", {"train_size": 128, "validation_size": 64}),
        epochs=2,
        recording=Recording(
            train_subset=64,
            ood=(Part("corrupted", {"num_images": 64, "severities": (1, 5)}),),
        ),
        max_runs=2,
        offered=(),
    )
