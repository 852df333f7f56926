"""What an entry reads, and so whom it is ranked against."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from tasks.base import Task
from tasks.prediction import Charge

CURVE: Final = "curve"
NOISE: Final = "noise"
CURVATURE: Final = "curvature"
SETTINGS: Final = "settings"
POOLS: Final = (CURVE, NOISE, CURVATURE, SETTINGS)
"""Nested: curve only, + noise, + curvature, + hyper-parameters, which is everybody."""
KINDS: Final = {
    "train": CURVE,
    "evaluate": CURVE,
    "gradient_noise": NOISE,
    "gradient_autocorrelation": NOISE,
    "update_direction": NOISE,
    "hessian": CURVATURE,
}
"""What a probe's signals count as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What an entry reads of a run."""

    kinds: tuple[str, ...]
    """Of `POOLS`, in their order; empty: nothing."""
    pool: str
    """The narrowest pool that it belongs to."""
    unknown: tuple[str, ...] = ()
    """Probes that no pool knows; who reads them is in the widest one."""


def reads(charge: Charge, tasks: Iterable[Task], signals: pl.DataFrame) -> Reads:
    """Return what an entry reads of what the tasks it answers show.

    Who declares no signals reads all that the corpus has and the tasks show. Who reads
    no curve reads no signal at all, and who reads nothing is in the narrowest pool.

    Args:
        charge: What the entry declares.
        tasks: Those that it answers.
        signals: The corpus's table `signals`.
    """
    found: set[str] = set()
    unknown: set[str] = set()
    probes = signals.select("name", "probe").unique().rows()
    for task in tasks:
        seen = task.visibility
        if charge.settings and seen.settings:
            found.add(SETTINGS)
        if not charge.curves:
            continue
        found.add(CURVE)
        for name, probe in probes:
            shown = all(some is None or name in some for some in _lists(charge, task))
            if shown and probe in KINDS:
                found.add(KINDS[probe])
            elif shown:
                unknown.add(probe)
    kinds = tuple(kind for kind in POOLS if kind in found)
    pool = SETTINGS if unknown else kinds[-1] if kinds else CURVE
    return Reads(kinds=kinds, pool=pool, unknown=tuple(sorted(unknown)))


def members(pool: str, pool_of: Sequence[str]) -> list[int]:
    """Return which entries are ranked in a pool: its own and those of narrower ones."""
    widest = POOLS.index(pool)
    return [at for at, own in enumerate(pool_of) if POOLS.index(own) <= widest]


def _lists(
    charge: Charge, task: Task
) -> tuple[Sequence[str] | None, Sequence[str] | None]:
    return charge.signals, task.visibility.signals
