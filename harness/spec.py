"""What a run is: parts, configurations and the three ids that name a run.

A grid yields `RunConfig`s, the plan resolves them (defaults filled in), and every
later stage knows a run by ids computed from one canonical JSON text.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from harness.registry import (
    AUGMENTATIONS,
    DATASETS,
    MODELS,
    OBJECTIVES,
    OOD_SETS,
    OPTIMIZERS,
    PROBES,
    SCHEDULES,
    Registry,
    complete,
)

Value: TypeAlias = "str | int | float | bool | tuple[Value, ...] | None"
"""What a part's argument may be."""

ID_BYTES: Final = 10
"""Length of an id's digest; 10 bytes make a clash in 10^6 runs a 10^-12 event."""


@dataclass(frozen=True, slots=True, init=False)
class Part:
    """A named thing with arguments: an optimizer, a data set, a schedule.

    Example:
        >>> Part("sgd", {"lr": 0.1}) == Part("sgd", {"lr": 0.10})
        True
    """

    name: str
    """Registered name, or `module:attribute`."""
    arguments: tuple[tuple[str, Value], ...]
    """The arguments as sorted pairs."""
    resolved: bool = dataclasses.field(compare=False)
    """Whether every default is filled in; ids are computed on such parts only."""

    def __init__(
        self, name: str, params: Mapping[str, Any] | None = None, resolved: bool = False
    ) -> None:
        pairs = ((k, _plain(v, f"{name}.{k}")) for k, v in (params or {}).items())
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "arguments", tuple(sorted(pairs)))
        object.__setattr__(self, "resolved", resolved)

    @property
    def params(self) -> dict[str, Any]:
        """The arguments as a dictionary."""
        return dict(self.arguments)

    def with_params(self, **changes: Any) -> "Part":
        """Return this part with some arguments changed or added."""
        return Part(self.name, self.params | changes, self.resolved)

    def resolve(self, registry: Registry[Any]) -> "Part":
        """Return this part with every default of its factory filled in."""
        factory = registry.get(self.name)
        label = f"{registry.kind} {self.name!r}"
        return Part(self.name, complete(label, factory, self.params), resolved=True)

    def to_json(self) -> dict[str, Any]:
        """Return the part as plain JSON data."""
        return {"name": self.name, **self.params}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Part":
        """Rebuild a resolved part from `to_json`."""
        params = {k: v for k, v in data.items() if k != "name"}
        return cls(data["name"], params, resolved=True)


NONE: Final = Part("none", resolved=True)
"""Nothing in this place: no regularizer, no controller, no augmentation."""

_REGISTRY_OF: Final[dict[str, Registry[Any]]] = {
    "dataset": DATASETS,
    "augmentation": AUGMENTATIONS,
    "model": MODELS,
    "objective": OBJECTIVES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}

PRECISIONS: Final = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is measured beside the per-step curves; not part of the trajectory."""

    evals_per_epoch: int = 4
    """Evaluations on validation and clean training images an epoch, 1 to 20."""
    train_subset: int = 5000
    """Clean training images scored beside the validation images, at most."""
    ood: tuple[Part, ...] = ()
    """Out-of-distribution sets scored at the end of the run."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.evals_per_epoch <= 20:
            raise ValueError(
                f"evals_per_epoch is {self.evals_per_epoch}, expected 1 to 20"
            )
        if self.train_subset < 1:
            raise ValueError(f"train_subset is {self.train_subset}, expected 1 or more")

    def resolve(self) -> "Recording":
        """Return the recording with every default of its sets filled in."""
        ood = tuple(part.resolve(OOD_SETS) for part in self.ood)
        return dataclasses.replace(self, ood=ood)

    def to_json(self) -> dict[str, Any]:
        """Return the recording as plain JSON data."""
        return {
            "evals_per_epoch": self.evals_per_epoch,
            "train_subset": self.train_subset,
            "ood": [part.to_json() for part in self.ood],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Recording":
        """Rebuild a resolved recording from `to_json`."""
        ood = tuple(Part.from_json(part) for part in data["ood"])
        return cls(**{**data, "ood": ood})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One training run, complete: two equal configurations are the same run."""

    dataset: Part
    """Data set with its subset and resolution."""
    model: Part
    """Architecture with its options."""
    optimizer: Part
    """Optimizer with the peak learning rate of this run."""
    schedule: Part
    """Learning-rate schedule with its warm-up."""
    batch_size: int
    """Images a step."""
    epochs: int
    """Passes over the training set; a last partial batch is dropped."""
    seed: int
    """Names every random stream of the run; any integer."""
    augmentation: Part = NONE
    """What happens to a training image before the model sees it."""
    objective: Part = Part("cross_entropy")
    """Training loss."""
    regularizer: Part = NONE
    """Penalty beside the loss; none is built in yet."""
    controller: Part = NONE
    """What may change the run while it trains; none is built in yet."""
    precision: str = "float32"
    """Arithmetic of forward and backward passes: float32 or bfloat16."""
    probes: tuple[Part, ...] = ()
    """What is measured on the training state, each with its cadence."""
    recording: Recording = Recording()
    """Evaluation cadence and final out-of-distribution sets."""

    def __post_init__(self) -> None:
        """Check the ranges that no other stage checks."""
        for name in ("batch_size", "epochs"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is {value!r}, expected a positive integer")
        if type(self.seed) is not int:  # True and 1.5 would draw what 1 draws
            raise ValueError(f"seed is {self.seed!r}, expected an integer")
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision is {self.precision!r}, expected one of {PRECISIONS}"
            )
        for name in ("regularizer", "controller"):
            part = getattr(self, name)
            if part.name != "none":
                raise ValueError(f"no {name} is called {part.name!r} (known: none)")

    def resolve(self) -> "RunConfig":
        """Return the configuration with every default filled in.

        Raises:
            KeyError: A part's name is unknown.
            TypeError: A part's argument is unknown or missing.
        """
        parts = {k: getattr(self, k).resolve(r) for k, r in _REGISTRY_OF.items()}
        probes = tuple(p.resolve(PROBES) for p in self.probes)
        recording = self.recording.resolve()
        return dataclasses.replace(self, probes=probes, recording=recording, **parts)

    @property
    def run_id(self) -> str:
        """Name of the run: everything counts."""
        return _digest("r", self.to_json())

    @property
    def trajectory_id(self) -> str:
        """Name of the trajectory: what is measured on it does not count."""
        return _digest("t", _without(self.to_json(), "probes", "recording"))

    @property
    def family_id(self) -> str:
        """Name of the replicates: the trajectory without its seed."""
        data = _without(self.to_json(), "probes", "recording", "seed")
        return _digest("f", data)

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as plain JSON data.

        Raises:
            ValueError: A part is not resolved, so its id would depend on spelling.
        """
        data: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Part):
                if not value.resolved:
                    raise ValueError(
                        f"{field.name} {value.name!r} is not resolved: call "
                        "RunConfig.resolve() before computing ids"
                    )
                data[field.name] = value.to_json()
            elif field.name == "probes":
                data["probes"] = [p.to_json() for p in value]
            elif field.name == "recording":
                data["recording"] = value.to_json()
            else:
                data[field.name] = value
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RunConfig":
        """Rebuild a resolved configuration from `to_json`."""
        fields = dict(data)
        for name, value in data.items():
            if name == "probes":
                fields[name] = tuple(Part.from_json(p) for p in value)
            elif name == "recording":
                fields[name] = Recording.from_json(value)
            elif isinstance(value, Mapping):
                fields[name] = Part.from_json(value)
        return cls(**fields)


def canonical_json(data: Any) -> str:
    """Return one text for equal data: sorted keys, 1.0 as 1, no blanks.

    Raises:
        ValueError: A number is not finite.

    Example:
        >>> canonical_json({"b": 1.0, "a": True})
        '{"a":true,"b":1}'
    """
    return json.dumps(
        _plain(data, "data"), sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def _digest(kind: str, data: Any) -> str:
    text = canonical_json(data).encode()
    return f"{kind}-{hashlib.blake2b(text, digest_size=ID_BYTES).hexdigest()}"


def _without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in keys}


def _plain(value: Any, where: str) -> Any:
    """Return `value` with one spelling a number, lists as tuples; refuse the rest."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, expected a finite number")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, (list, tuple)):
        return tuple(_plain(v, where) for v in value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{where}.{k}") for k, v in value.items()}
    raise TypeError(
        f"{where} is {value!r} of type {type(value).__name__}; expected a string, "
        "number, bool, None or a tuple of these"
    )
