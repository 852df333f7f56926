"""What is known about a run that another program trained: its name and settings.

Stands where a `RunConfig` stands in a record; see `harness.importers`.
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.spec import ID_BYTES, RunConfig, Value, canonical_json

FOREIGN: Final = "foreign"
"""Key of a foreign run's origin, in its configuration and in the table `runs`."""
UNKNOWN: Final = "unknown"
"""Name of a part that a foreign run does not tell."""
PARTS: Final = ("dataset.name", "model.name", "optimizer.name", "schedule.name")
"""Names that every run of a corpus has, if only `UNKNOWN`."""
SEED: Final = "seed"
IMPORTED: Final = "imported"
"""The `probe` of signals that another program recorded under a name of its own."""


@dataclass(frozen=True, kw_only=True)
class ForeignConfig:
    """A foreign run: the name it was given, and what is known of its configuration.

    Raises:
        ValueError: A setting's name is reserved, or is the beginning of another.
    """

    collection: str
    """Name of the corpus that it was imported into first."""
    run: str
    """The run's id as given; any text."""
    settings: Mapping[str, Value]
    """Plain values by dotted name, such as "optimizer.lr"; known before training."""
    family: str | None = None
    """Family as given; None: the settings but for the seed tell it."""

    def __post_init__(self) -> None:
        """Sort the settings, drop what says nothing, and refuse clashing names."""
        known = {
            name: value
            for name, value in sorted(self.settings.items())
            if value is not None and not (name in PARTS and value == UNKNOWN)
        }
        object.__setattr__(self, "settings", known)
        _nested(known)

    @functools.cached_property
    def run_id(self) -> str:
        """Name of the run: collection and given id, whatever else is known."""
        return _digest("r", {"collection": self.collection, "run": self.run})

    @property
    def trajectory_id(self) -> str:
        """Name of the trajectory; a foreign run is measured once."""
        return _digest("t", {"collection": self.collection, "run": self.run})

    @functools.cached_property
    def family_id(self) -> str:
        """Name of the replicates: family as given, or settings without the seed.

        A run of which neither is known is a family of its own.
        """
        alike = {k: v for k, v in self.settings.items() if k != SEED}
        what: Any = self.family if self.family is not None else alike or [self.run]
        return _digest("f", {"collection": self.collection, "alike": what})

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as plain JSON data, parts as in a `RunConfig`."""
        data = _nested({**dict.fromkeys(PARTS, UNKNOWN), **self.settings})
        origin = {"collection": self.collection, "run": self.run}
        if self.family is not None:
            origin["family"] = self.family
        return {**data, "probes": [], FOREIGN: origin}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ForeignConfig":
        """Rebuild a configuration from `to_json`."""
        rest = {k: v for k, v in data.items() if k not in (FOREIGN, "probes")}
        return cls(**data[FOREIGN], settings=dict(_flat(rest)))


def read_config(data: Mapping[str, Any]) -> RunConfig | ForeignConfig:
    """Rebuild the configuration of a run from its JSON data, foreign or not."""
    return (ForeignConfig if FOREIGN in data else RunConfig).from_json(data)


def _nested(settings: Mapping[str, Value]) -> dict[str, Any]:
    """Return dotted names as nested dictionaries."""
    data: dict[str, Any] = {}
    for name, value in settings.items():
        *parts, last = name.split(".")
        if name.split(".")[0] in (FOREIGN, "probes"):
            raise ValueError(
                f"a setting of a run is called {name!r}, which is reserved"
            )
        place = data
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last in place:
            raise ValueError(
                f"the setting {name!r} is both a value and the beginning of another "
                "name, such as 'a' beside 'a.b': rename one of the two"
            )
        place[last] = value
    return data


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _digest(kind: str, data: Any) -> str:
    text = canonical_json(data).encode()
    return f"{kind}-{hashlib.blake2b(text, digest_size=ID_BYTES).hexdigest()}"
