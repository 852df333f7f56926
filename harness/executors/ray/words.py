"""What the driver of the Ray executor and its actors say to each other; torch-free."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

NAMESPACE: Final = "runcast"
"""Of the actors in a Ray cluster."""
NEWS_S: Final = 0.5
"""Seconds for which a question waits for the end of the work, where there is work."""
FORSAKEN_S: Final = 120.0
"""Seconds without a driver's word after which an actor without work ends itself."""
UNFETCHED_S: Final = 3600.0
"""The same for one whose results lie on its node alone."""
DRIVER_S: Final = 10.0
"""Seconds without a word after which another driver may take an actor over."""

Files = dict[str, bytes]
"""Contents by path in the corpus folder."""
Claim = Literal["taken", "stranger", "ours", "other"]
"""An actor's answer to a driver that finds it: another driver speaks to it; it works
for another folder; it is the driver's now, with the same terms; or with other terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an actor works on and how: it goes on under the same terms only."""

    folder: str
    """Corpus folder, as an absolute path of the driver's machine."""
    host: str
    """The driver's machine."""
    data_dir: str | None
    """Local mirror of data sets there."""
    cache_dir: str
    """Cache of data sets there."""
    setting: dict[str, Any]
    """Fields of `harness.device.Setting`, the device as the actor sees it."""
    tuned: dict[str, str]
    """What was tried before: name and content of files of `harness.tuning`."""
    version: str
    """Of runcast."""
    commit: str | None
    """Of its checkout, if it is one."""


@dataclass(frozen=True, slots=True)
class Order:
    """A cohort to train."""

    cohort: str
    """Its id."""
    plan: str
    """Digest of the plan that holds it."""
    files: Files = field(default_factory=dict)
    """What is known of it, for an actor that does not see the corpus folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an actor is, and of which code."""

    host: str
    """Name of its machine."""
    node: str
    """Ray's id of it."""
    pid: int
    """Its process."""
    version: str
    """Of runcast."""
    commit: str | None
    """Of its checkout, if it is one."""
    sends_back: bool = False
    """Whether it does not see the corpus folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """How far an actor is."""

    number: int
    """To be named in the next question, once everything here was taken in."""
    cohort: str | None
    """What it works on."""
    share: float
    """Share of the updates done."""
    beats: int
    """Signs of life up to now."""
    files: Files
    """New files of the cohort, from an actor that does not see the corpus folder."""
    report: dict[str, Any] | None
    """How the work ended, as `harness.executors.work.Report`, and "spoiled"; the ending
    "unfit": the actor could not begin to work at all."""
